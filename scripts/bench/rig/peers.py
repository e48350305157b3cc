"""The proxies that are measured. All do the same work: proxy, replace Authorization, keep connections, log nothing.
Two do less, and are told apart: `ADDS_ONLY`, `CARRIES_NOTHING`."""

import sys

from . import ccproxy, h2load
from .build import build_c, build_ccproxy, build_pingora
from .packages import find, find_envoy, library_path
from .peer import HTTP2, PLAIN, TLS, Door, Peer
from .process import NotUp, free_port
from .site import KEY, Site


def nginx(site: Site):
    forms = ("", "64k buffers")
    doors = [Door(kind, free_port(), form) for kind in (PLAIN, TLS) for form in forms] + [Door(HTTP2, free_port())]
    ports = _ports(("plain", "plain_64k", "tls", "tls_64k", "http2"), doors)
    return Peer(site, "nginx", doors, [_nginx(), "-c", site.fill("peers/nginx.conf", **ports)], library_path())


def haproxy(site: Site, label="haproxy", form="", buffer=16384):
    splice = f"{form}, splice" if form else "splice"
    doors = [
        Door(PLAIN, free_port(), form), Door(PLAIN, free_port(), splice), Door(TLS, free_port(), form), Door(HTTP2, free_port(), form)
    ]
    ports = _ports(("plain", "plain_splice", "tls", "http2"), doors)
    config = site.fill("peers/haproxy.cfg", f"{label}.cfg", buffer=buffer, **ports)
    return Peer(site, "haproxy", doors, [_haproxy(), "-db", "-f", config], library_path(), label)


def haproxy_64k(site: Site):
    """Its buffers are those of the process."""
    return haproxy(site, "haproxy-64k", "64k buffers", 65536)


def pingora(site: Site):
    doors = [Door(PLAIN, free_port()), Door(TLS, free_port())]
    ports = [doors[0].port, site.upstream_port, doors[1].port, site.tls_upstream_port]
    return Peer(site, "pingora", doors, [build_pingora(), site.workers, *ports], {"BENCH_KEY": KEY})


def envoy(site: Site):
    plain = free_port()
    doors = [Door(PLAIN, plain), Door(TLS, free_port()), Door(HTTP2, plain)]
    config = site.fill("peers/envoy.yaml", **_ports(("plain", "tls"), doors))
    command = [find_envoy(), "-c", config, "--concurrency", site.workers, "--disable-hot-restart", "-l", "error"]
    return Peer(site, "envoy", doors, command)


def caddy(site: Site):
    plain = free_port()
    doors = [Door(PLAIN, plain), Door(TLS, free_port()), Door(HTTP2, plain)]
    config = site.fill("peers/Caddyfile", **_ports(("plain", "tls"), doors))
    command = [_caddy(), "run", "--adapter", "caddyfile", "--config", config]
    return Peer(site, "caddy", doors, command, library_path() | {"GOMAXPROCS": str(site.workers), "HOME": str(site.home)})


def nghttpx(site: Site):
    """Only for HTTP/2, which it is made for. As Debian builds it, without mruby, it adds a field and replaces none."""
    door = Door(HTTP2, free_port())
    command = [
        _nghttpx(), "--conf=/dev/null", f"--workers={site.workers}", f"--frontend=127.0.0.1,{door.port};no-tls",
        f"--backend=127.0.0.1,{site.upstream_port}", f"--add-request-header=authorization: Bearer {KEY}",
        "--frontend-http2-read-timeout=1h", "--backend-keep-alive-timeout=1h", "--accesslog-file=/dev/null",
        "--errorlog-file=/dev/stderr", f"--rlimit-nofile={site.fd_limit}",
    ]
    return Peer(site, "nghttpx", [door], command, library_path())


def floor(site: Site, name):
    command = [build_c(f"floors/{name}.c"), port := free_port(), site.upstream_port, site.workers]
    return Peer(site, name, [Door(PLAIN, port)], command, {"BENCH_KEY": KEY})


def _ports(names, doors):
    return {name: door.port for name, door in zip(names, doors)}


def _nginx():
    return find("nginx", "nginx")


def _haproxy():
    return find("haproxy", "haproxy")


def _caddy():
    return find("caddy", "caddy")


def _nghttpx():
    return find("nghttpx", "nghttp2-proxy")


# What each needs that must be fetched or built, and how it is made.
KNOWN = {
    "ccproxy": (build_ccproxy, ccproxy.peer),
    "nginx": (_nginx, nginx),
    "haproxy": (_haproxy, haproxy),
    "nghttpx": (_nghttpx, nghttpx),
    "pingora": (build_pingora, pingora),
    "envoy": (find_envoy, envoy),
    "caddy": (_caddy, caddy),
    "minimal": (lambda: build_c("floors/minimal.c"), lambda site: floor(site, "minimal")),
    "forward": (lambda: build_c("floors/forward.c"), lambda site: floor(site, "forward")),
}
# Forms that need a process of their own, for the kinds of work they are for.
ALSO = {"ccproxy": ((HTTP2,), ccproxy.with_http2), "haproxy": ((PLAIN, TLS), haproxy_64k)}
FLOORS = ("minimal", "forward")
# Relays bytes, so the token of the client arrives.
CARRIES_NOTHING = ("forward",)
# The token of the client arrives beside ours.
ADDS_ONLY = ("nghttpx",)


def provide(names, kinds=()):
    """Fetches and builds what these peers and kinds of work need, while there is a network. Returns the peers that can be had."""
    build_c("load/client.c")
    build_c("load/upstream.c")
    if HTTP2 in kinds:
        h2load.provide()
    if TLS in kinds:
        _nginx()
    return [name for name in names if KNOWN[name][0]()]


def make(site, names):
    return [KNOWN[name][1](site) for name in names]


def make_also(site, names, kinds):
    return [made(site) for name, (own, made) in ALSO.items() if name in names and kinds.intersection(own)]


def make_for(site, names, kind):
    """One of each name that takes this kind of work."""
    made = [*make_also(site, names, {kind}), *make(site, names)]
    taking = {peer.name: peer for peer in reversed(made) if peer.takes(kind)}
    return [taking[name] for name in names if name in taking]


def start(peers):
    """Starts them all; returns those that came up, and tells on stderr why others did not."""
    started = []
    for peer in peers:
        try:
            peer.start()
            started.append(peer)
        except NotUp as error:
            print(f"bench: {peer.label} is left out: {error}", file=sys.stderr)
    return started
