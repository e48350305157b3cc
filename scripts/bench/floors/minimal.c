// The upper floor: the least that does the same work. Finds the head, drops Authorization and Connection, adds our
// own Authorization line, follows the framing of both bodies, keeps upstream connections for the next request.
// Checks nothing: no limits, no timeouts, no strictness. What a proxy costs above it is what those cost.
// usage: minimal PORT UPSTREAM_PORT THREADS        the token is $BENCH_KEY
#include "relay.h"

static __thread struct side *idle[65536];
static __thread int idle_count;
static char line[512];
static size_t line_length;

static void accept_all(int poll, int listener) {
    for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
        no_delay(fd);
        new_side(poll, fd);
    }
}

static struct side *take_upstream(int poll) {
    while (idle_count > 0) {
        struct side *side = idle[--idle_count];
        if (side->fd >= 0) return side;
    }
    struct side *side = new_side(poll, dial(upstream_port));
    side->is_upstream = true;
    return side;
}

static bool is_field(const char *at, size_t length, const char *name) {
    size_t n = strlen(name);
    return length > n && at[n] == ':' && !strncasecmp(at, name, n);
}

// Copies a request head but for the fields that are ours; returns the end of the copy.
static char *rewrite(char *out, const char *head, size_t length) {
    for (const char *at = head, *end = head + length - 2; at < end;) {
        const char *next = (const char *)memchr(at, '\n', end - at) + 1;
        size_t n = next - at;
        if (!is_field(at, n, "authorization") && !is_field(at, n, "connection")) {
            memcpy(out, at, n);
            out += n;
        }
        at = next;
    }
    memcpy(out, line, line_length);
    out += line_length;
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

static long length_of(const char *head, size_t length, bool *by_chunks) {
    long value = 0;
    *by_chunks = false;
    for (const char *at = head, *end = head + length - 2; at < end;) {
        const char *next = (const char *)memchr(at, '\n', end - at) + 1;
        if (is_field(at, next - at, "content-length")) value = atol(at + 15);
        if (is_field(at, next - at, "transfer-encoding")) *by_chunks = true;
        at = next;
    }
    return value;
}

static void read_request(int poll, struct side *client) {
    if (client->body_left > 0) {
        size_t room = client->body_left < (long)sizeof scratch ? (size_t)client->body_left : sizeof scratch;
        ssize_t n = recv(client->fd, scratch, room, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return close_both(client);
        client->body_left -= n;
        return relay(poll, client, scratch, n);
    }
    ssize_t n = recv(client->fd, client->head + client->head_filled, MAX_HEAD - client->head_filled, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return close_both(client);
    client->head_filled += n;
    size_t length = head_length(client->head, client->head_filled), extra = client->head_filled - length;
    if (!length) return;
    client->head_filled = 0;
    client->body_left = length_of(client->head, length, &client->by_chunks) - (long)extra;
    char *end = rewrite(scratch, client->head, length);
    memcpy(end, client->head + length, extra);
    if (!client->peer) client->peer = take_upstream(poll);
    client->peer->peer = client;
    client->peer->body_left = -1;
    relay(poll, client, scratch, end + extra - scratch);
}

static void read_reply(int poll, struct side *upstream) {
    ssize_t n = recv(upstream->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !upstream->peer) return close_both(upstream);
    if (upstream->body_left < 0) {
        // Our upstream sends its heads whole.
        size_t length = head_length(scratch, n);
        if (!length) return close_both(upstream);
        upstream->body_left = length_of(scratch, length, &upstream->by_chunks) - (n - (long)length);
    } else if (!upstream->by_chunks) {
        upstream->body_left -= n;
    }
    bool ended = upstream->by_chunks ? n >= 5 && !memcmp(scratch + n - 5, "0\r\n\r\n", 5) : upstream->body_left == 0;
    struct side *client = upstream->peer;
    relay(poll, upstream, scratch, n);
    // An upstream whose last bytes still wait for room stays with its client, who takes it for the next request.
    if (!ended || client->waiting || upstream->fd < 0) return;
    client->peer = upstream->peer = 0;
    idle[idle_count++] = upstream;
}

static void readable(int poll, struct side *side) {
    if (side->is_upstream) read_reply(poll, side);
    else read_request(poll, side);
}

int main(int count, char **arguments) {
    const char *key = getenv("BENCH_KEY");
    line_length = snprintf(line, sizeof line, "authorization: Bearer %s\r\n", key ? key : "");
    return serve_floor(count, arguments);
}
