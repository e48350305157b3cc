// What both floors share: pairs of sockets, and bytes that wait where a peer has no room for them.
#pragma once
#include "../load/loopback.h"

struct side {
    int fd; // -1 once closed
    struct side *peer;
    char *waiting; // what the socket had no room for
    size_t waiting_length, waiting_sent;
    bool is_upstream;
    long body_left; // of the message that is read here; -1 while its head is incomplete
    bool by_chunks; // the body ends with its last chunk
    char head[MAX_HEAD];
    size_t head_filled;
};

static int port, upstream_port;
static __thread char scratch[1 << 18];

// Each floor has its own.
static void accept_all(int poll, int listener);
static void readable(int poll, struct side *from);

static struct side *new_side(int poll, int fd) {
    struct side *side = calloc(1, sizeof *side);
    side->fd = fd;
    side->body_left = -1;
    watch(poll, EPOLL_CTL_ADD, fd, EPOLLIN, side);
    return side;
}

// Sides are not freed: an event of the same batch may still name them.
static void close_both(struct side *side) {
    if (side->fd >= 0) close(side->fd);
    side->fd = -1;
    if (side->peer && side->peer->fd >= 0) close(side->peer->fd);
    if (side->peer) side->peer->fd = -1;
}

// Sends to the peer; what finds no room waits, and nothing more is read meanwhile.
static void relay(int poll, struct side *from, const char *bytes, size_t length) {
    struct side *to = from->peer;
    ssize_t n = send(to->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return close_both(from);
    if (n < 0) n = 0;
    if ((size_t)n == length) return;
    to->waiting_length = length - n;
    to->waiting_sent = 0;
    to->waiting = malloc(to->waiting_length);
    memcpy(to->waiting, bytes + n, to->waiting_length);
    watch(poll, EPOLL_CTL_MOD, to->fd, EPOLLOUT, to);
    watch(poll, EPOLL_CTL_MOD, from->fd, 0, from);
}

static void writable(int poll, struct side *to) {
    ssize_t n = send(to->fd, to->waiting + to->waiting_sent, to->waiting_length - to->waiting_sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return close_both(to);
    if (n > 0) to->waiting_sent += n;
    if (to->waiting_sent < to->waiting_length) return;
    free(to->waiting);
    to->waiting = 0;
    watch(poll, EPOLL_CTL_MOD, to->fd, EPOLLIN, to);
    if (to->peer && to->peer->fd >= 0) watch(poll, EPOLL_CTL_MOD, to->peer->fd, EPOLLIN, to->peer);
}

static void *serve(void *unused) {
    int listener = listen_at(port), poll = epoll_create1(0);
    watch(poll, EPOLL_CTL_ADD, listener, EPOLLIN, 0);
    struct epoll_event ready[256];
    for (;;) {
        int n = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            struct side *side = ready[i].data.ptr;
            if (!side) accept_all(poll, listener);
            else if (side->fd < 0) continue;
            else if (side->waiting) writable(poll, side);
            else if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(poll, side);
        }
    }
    return unused;
}

static int serve_floor(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "usage: %s PORT UPSTREAM_PORT THREADS\n", arguments[0]), 2;
    port = atoi(arguments[1]);
    upstream_port = atoi(arguments[2]);
    on_threads(atoi(arguments[3]), serve);
    return 0;
}
