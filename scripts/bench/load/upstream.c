// The upstream of the benchmark: replies of fixed sizes, a stream of events, an echo of the request's head.
// usage: upstream PORT THREADS
//
//   /small /medium /large   200 B, 10 KB, 1 MB (a request body is read and dropped first)
//   /events?n=N&us=U        N events, one every U microseconds; each tells when it was sent
//   /echo                   the head of the request, as it arrived
#include "loopback.h"

struct reply {
    char *bytes;
    size_t length;
};

struct client {
    int fd;
    char head[MAX_HEAD + 1];
    size_t head_filled;
    long body_left;
    struct reply answer; // what is answered once the body was read
    bool owned;          // the answer is of this client alone
    size_t sent;
    bool waits_for_room;
    int events_left;
    long event_every, event_at;
    struct client *next; // in the list of those that stream
};

static int port;
static struct reply small, medium, large;
static const char STREAM[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n";
static __thread struct client *streams;

static struct reply reply_of(size_t size) {
    struct reply reply = {.bytes = malloc(size + 512)};
    int head = sprintf(reply.bytes,
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                       "Date: Fri, 20 Nov 2026 23:00:00 GMT\r\nrequest-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
                       "x-organization: 0a0a0a0a-0b0b-0c0c-0d0d-0e0e0e0e0e0e\r\n\r\n",
                       size);
    memset(reply.bytes + head, 'x', size);
    reply.length = head + size;
    return reply;
}

static struct reply echo_of(const char *head) {
    struct reply reply = {.bytes = malloc(MAX_HEAD + 512)};
    reply.length = sprintf(reply.bytes, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
                           strlen(head), head);
    return reply;
}

static int number_after(const char *text, const char *name, int otherwise) {
    const char *found = strstr(text, name);
    return found ? atoi(found + strlen(name)) : otherwise;
}

static void choose_answer(struct client *c) {
    const char *path = strchr(c->head, ' ');
    c->owned = false;
    if (!strncmp(path, " /small", 7)) c->answer = small;
    else if (!strncmp(path, " /medium", 8)) c->answer = medium;
    else if (!strncmp(path, " /large", 7)) c->answer = large;
    else if (!strncmp(path, " /events", 8)) {
        c->answer = (struct reply){(char *)STREAM, sizeof STREAM - 1};
        c->events_left = number_after(path, "n=", 10);
        c->event_every = number_after(path, "us=", 10000) * 1000L;
        c->event_at = now_ns() + c->event_every;
        c->next = streams;
        streams = c;
    } else {
        c->answer = echo_of(c->head);
        c->owned = true;
    }
}

// Sends as much as there is room for. False once the connection is broken.
static bool send_answer(int poll, struct client *c) {
    while (c->sent < c->answer.length) {
        ssize_t n = send(c->fd, c->answer.bytes + c->sent, c->answer.length - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) return false;
        if (n < 0) {
            if (!c->waits_for_room) watch(poll, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
            c->waits_for_room = true;
            return true;
        }
        c->sent += n;
    }
    if (c->waits_for_room) watch(poll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->waits_for_room = false;
    if (c->owned) free(c->answer.bytes);
    c->owned = false;
    c->head_filled = c->sent = c->answer.length = 0;
    return true;
}

// Reads what arrived of a head or a body; answers once both are complete.
static bool receive(int poll, struct client *c) {
    static __thread char dropped[1 << 18];
    if (c->body_left > 0) {
        size_t room = c->body_left < (long)sizeof dropped ? (size_t)c->body_left : sizeof dropped;
        ssize_t n = recv(c->fd, dropped, room, MSG_DONTWAIT);
        if (n <= 0) return n < 0 && errno == EAGAIN;
        c->body_left -= n;
        return c->body_left > 0 || send_answer(poll, c);
    }
    ssize_t n = recv(c->fd, c->head + c->head_filled, MAX_HEAD - c->head_filled, MSG_DONTWAIT);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    c->head_filled += n;
    size_t length = head_length(c->head, c->head_filled);
    if (!length) return c->head_filled < MAX_HEAD;
    c->head[length - 2] = 0;
    long body = content_length(c->head);
    choose_answer(c);
    c->body_left = (body < 0 ? 0 : body) - (long)(c->head_filled - length);
    return c->body_left > 0 || send_answer(poll, c);
}

static void leave_streams(struct client *c) {
    for (struct client **at = &streams; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            return;
        }
}

static void close_client(struct client *c) {
    leave_streams(c);
    close(c->fd);
    if (c->owned) free(c->answer.bytes);
    free(c);
}

// Sends the events that are due; returns how long until the next one, or -1.
static long send_events(void) {
    long soonest = -1;
    for (struct client *c = streams, *next; c; c = next) {
        next = c->next;
        long now = now_ns();
        if (c->event_at <= now) {
            char data[256], chunk[512];
            int length = sprintf(data,
                                 "event: delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                                 "\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"},\"t\":%ld}\n\n",
                                 now);
            int size = sprintf(chunk, "%x\r\n%s\r\n%s", length, data, c->events_left == 1 ? "0\r\n\r\n" : "");
            send(c->fd, chunk, size, MSG_NOSIGNAL | MSG_DONTWAIT);
            c->event_at += c->event_every;
            if (--c->events_left == 0) {
                leave_streams(c);
                continue;
            }
        }
        long wait = c->event_at - now_ns();
        if (wait < 0) wait = 0;
        if (soonest < 0 || wait < soonest) soonest = wait;
    }
    return soonest;
}

static void *serve(void *unused) {
    int listener = listen_at(port), poll = epoll_create1(0);
    watch(poll, EPOLL_CTL_ADD, listener, EPOLLIN, 0);
    struct epoll_event ready[256];
    for (;;) {
        long wait = send_events();
        struct timespec timeout = {wait / 1000000000L, wait % 1000000000L};
        int n = epoll_pwait2(poll, ready, 256, wait < 0 ? 0 : &timeout, 0);
        for (int i = 0; i < n; i++) {
            struct client *c = ready[i].data.ptr;
            if (!c) {
                for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
                    no_delay(fd);
                    c = calloc(1, sizeof *c);
                    c->fd = fd;
                    watch(poll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
                }
                continue;
            }
            bool open = ready[i].events & EPOLLOUT ? send_answer(poll, c) : receive(poll, c);
            if (!open) close_client(c);
        }
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count != 3) return fprintf(stderr, "usage: upstream PORT THREADS\n"), 2;
    port = atoi(arguments[1]);
    small = reply_of(200), medium = reply_of(10 << 10), large = reply_of(1 << 20);
    on_threads(atoi(arguments[2]), serve);
}
