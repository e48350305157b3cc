// The client of the benchmark.
// usage: client requests PORT PATH CONNECTIONS [BODY_BYTES]  as many as go through in a time
//        client exactly  PORT PATH CONNECTIONS [BODY_BYTES]  as many as told
//        client latency  PORT PATH COUNT                     one after the other
//        client events   PORT PATH COUNT                     how late each event of a stream arrives
//        client idle     PORT PATH CONNECTIONS               connections that had one answer, then nothing
//
// All but `latency` and `events` print `ready` once every connection had its first answer. Then, for each number that
// is read, of milliseconds or of requests, they print how many requests were answered, to the last one that was under
// way, and the nanoseconds that took; `idle` just holds its connections. They end with their input.
#include "loopback.h"

#include <limits.h>

struct connection {
    int fd;
    char head[MAX_HEAD + 1];
    size_t head_filled;
    long body_left; // of the answer; -1 while its head is incomplete
    size_t sent;    // of the request
    bool waits_for_room;
};

static char *request;
static size_t request_length;
static char scratch[1 << 18];

static void make_request(int port, const char *path, long body) {
    request = malloc(1024 + body);
    request_length = sprintf(request,
                             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n"
                             "Authorization: Bearer of-the-client\r\nContent-Type: application/json\r\n"
                             "anthropic-version: 2023-06-01\r\n",
                             body ? "POST" : "GET", path, port);
    if (body) request_length += sprintf(request + request_length, "Content-Length: %ld\r\n", body);
    request_length += sprintf(request + request_length, "\r\n");
    memset(request + request_length, 'x', body);
    request_length += body;
}

static void refuse(const char *why, const char *what) {
    fprintf(stderr, "error: %s\n%s\n", why, what);
    exit(1);
}

// Takes what arrived; true once the answer is complete.
static bool receive(struct connection *c) {
    for (;;) {
        ssize_t n = recv(c->fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return false;
        if (n <= 0) refuse("the connection was closed", "");
        if (c->body_left >= 0) {
            c->body_left -= n;
        } else {
            size_t room = MAX_HEAD - c->head_filled, taken = (size_t)n < room ? (size_t)n : room;
            memcpy(c->head + c->head_filled, scratch, taken);
            size_t before = c->head_filled;
            c->head_filled += taken;
            size_t length = head_length(c->head, c->head_filled);
            if (!length) continue;
            c->head[length - 2] = 0;
            if (strncmp(c->head, "HTTP/1.1 200", 12)) refuse("the answer is not 200", c->head);
            long body = content_length(c->head);
            if (body < 0) refuse("the answer has no length", c->head);
            c->body_left = body - ((long)(before + n) - (long)length);
        }
        if (c->body_left == 0) return true;
        // Nothing more can be there after a short read: no second call to learn that.
        if (n < (ssize_t)sizeof scratch) return false;
    }
}

static void send_request(int poll, struct connection *c) {
    while (c->sent < request_length) {
        ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) die("send");
        if (n < 0) {
            if (!c->waits_for_room) watch(poll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            c->waits_for_room = true;
            return;
        }
        c->sent += n;
    }
    if (c->waits_for_room) watch(poll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->waits_for_room = false;
}

static void begin(int poll, struct connection *c) {
    c->sent = c->head_filled = 0;
    c->body_left = -1;
    send_request(poll, c);
}

// Keeps every connection busy until `until` or until `most` were begun; each ends what it has begun. Returns the answers.
static long drive(int poll, struct connection *all, int count, long until, long most) {
    struct epoll_event ready[256];
    long answered = 0, begun = 0;
    int busy = 0;
    for (; busy < count && begun < most; busy++, begun++) begin(poll, &all[busy]);
    while (busy) {
        int n = epoll_wait(poll, ready, 256, 60000);
        if (n == 0) refuse("no answer for a minute", "");
        bool in_time = now_ns() < until;
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT) send_request(poll, c);
            if (!(ready[i].events & ~EPOLLOUT) || !receive(c)) continue;
            answered++;
            if (in_time && begun < most) begin(poll, c), begun++;
            else busy--;
        }
    }
    return answered;
}

static struct connection *open_all(int poll, int port, int count) {
    struct connection *all = calloc(count, sizeof *all);
    for (int i = 0; i < count; i++) {
        all[i].fd = dial(port);
        watch(poll, EPOLL_CTL_ADD, all[i].fd, EPOLLIN, &all[i]);
    }
    return all;
}

static void requests(int port, int count, bool exactly) {
    int poll = epoll_create1(0);
    struct connection *all = open_all(poll, port, count);
    drive(poll, all, count, LONG_MAX, count);
    printf("ready\n");
    fflush(stdout);
    for (long told; scanf("%ld", &told) == 1;) {
        long began = now_ns();
        long answered = exactly ? drive(poll, all, count, LONG_MAX, told)
                                : drive(poll, all, count, began + told * 1000000L, LONG_MAX);
        printf("%ld %ld\n", answered, now_ns() - began);
        fflush(stdout);
    }
}

static int by_size(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static void print_percentiles(long *samples, long count) {
    qsort(samples, count, sizeof *samples, by_size);
    printf("%ld %ld %ld\n", count, samples[count / 2], samples[count * 99 / 100]);
}

static void ask_and_wait(struct connection *c) {
    char byte;
    c->head_filled = 0;
    c->body_left = -1;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
    do {
        if (recv(c->fd, &byte, 1, MSG_PEEK) <= 0) refuse("the connection was closed", "");
    } while (!receive(c));
}

static void latency(int port, long count) {
    struct connection c = {.fd = dial(port)};
    long *samples = malloc(count * sizeof *samples);
    for (long i = -count / 10; i < count; i++) {
        long began = now_ns();
        ask_and_wait(&c);
        if (i >= 0) samples[i] = now_ns() - began;
    }
    print_percentiles(samples, count);
}

static void events(int port, long count) {
    int fd = dial(port);
    long *samples = malloc(count * sizeof *samples), seen = 0;
    if (send(fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
    while (seen < count) {
        ssize_t n = recv(fd, scratch, sizeof scratch - 1, 0);
        long arrived = now_ns();
        if (n <= 0) refuse("the stream ended early", "");
        scratch[n] = 0;
        if (!seen && !strncmp(scratch, "HTTP/1.1 ", 9) && strncmp(scratch + 9, "200", 3))
            refuse("the answer is not 200", scratch);
        for (char *at = scratch; seen < count && (at = strstr(at, "\"t\":")); at += 4)
            samples[seen++] = arrived - atol(at + 4);
    }
    print_percentiles(samples, count);
}

static void idle(int port, int count) {
    struct connection *all = calloc(count, sizeof *all);
    for (int i = 0; i < count; i++) {
        all[i].fd = dial(port);
        ask_and_wait(&all[i]);
    }
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF) {
    }
}

int main(int count, char **arguments) {
    if (count < 5) return fprintf(stderr, "usage: client requests|exactly|latency|events|idle PORT PATH COUNT [BODY_BYTES]\n"), 2;
    const char *mode = arguments[1];
    int port = atoi(arguments[2]), number = atoi(arguments[4]);
    make_request(port, arguments[3], count > 5 ? atol(arguments[5]) : 0);
    if (!strcmp(mode, "requests")) requests(port, number, false);
    else if (!strcmp(mode, "exactly")) requests(port, number, true);
    else if (!strcmp(mode, "latency")) latency(port, number);
    else if (!strcmp(mode, "events")) events(port, number);
    else if (!strcmp(mode, "idle")) idle(port, number);
    else return fprintf(stderr, "error: no mode %s\n", mode), 2;
}
