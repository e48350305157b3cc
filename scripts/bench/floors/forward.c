// The lower floor: forwards bytes between a client and an upstream connection of its own. Parses nothing, replaces
// nothing, pools nothing, so no proxy that works on this kernel with epoll can cost less.
// usage: forward PORT UPSTREAM_PORT THREADS
#include "relay.h"

static void accept_all(int poll, int listener) {
    for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
        no_delay(fd);
        struct side *client = new_side(poll, fd), *upstream = new_side(poll, dial(upstream_port));
        client->peer = upstream;
        upstream->peer = client;
    }
}

static void readable(int poll, struct side *from) {
    ssize_t n = recv(from->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return close_both(from);
    relay(poll, from, scratch, n);
}

int main(int count, char **arguments) {
    return serve_floor(count, arguments);
}
