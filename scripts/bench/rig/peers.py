"""The proxies that are measured. All do the same work: proxy, replace Authorization, keep connections, log nothing."""

import sys

from . import ccproxy
from .build import build_c
from .packages import find, library_path
from .peer import HTTP2, PLAIN, TLS, Door, Peer
from .process import NotUp, free_port
from .site import KEY, Site

def nginx(site: Site):
    program = find("nginx", "nginx")
    doors = [
        Door(PLAIN, free_port()), Door(PLAIN, free_port(), "64k buffers"),
        Door(TLS, free_port()), Door(TLS, free_port(), "64k buffers"), Door(HTTP2, free_port()),
    ]
    names = ("plain", "plain_64k", "tls", "tls_64k", "http2")
    ports = {name: door.port for name, door in zip(names, doors)}
    return program and Peer(site, "nginx", doors, [program, "-c", site.fill("peers/nginx.conf", **ports)], library_path())


def haproxy(site: Site):
    program = find("haproxy", "haproxy")
    doors = [Door(PLAIN, free_port()), Door(PLAIN, free_port(), "splice"), Door(TLS, free_port()), Door(HTTP2, free_port())]
    ports = {name: door.port for name, door in zip(("plain", "plain_splice", "tls", "http2"), doors)}
    return program and Peer(
        site, "haproxy", doors, [program, "-db", "-f", site.fill("peers/haproxy.cfg", **ports)], library_path()
    )


def floor(site: Site, name):
    door = Door(PLAIN, free_port())
    command = [build_c(f"floors/{name}.c"), door.port, site.upstream_port, site.workers]
    return Peer(site, name, [door], command, {"BENCH_KEY": KEY})


KNOWN = {
    "ccproxy": ccproxy.peer,
    "nginx": nginx,
    "haproxy": haproxy,
    "minimal": lambda site: floor(site, "minimal"),
    "forward": lambda site: floor(site, "forward"),
}
FLOORS = ("minimal", "forward")
# Relays bytes, so the token of the client arrives.
CARRIES_NOTHING = ("forward",)


def start(site, names):
    """Starts the named peers; those that cannot be had are left out, with a word on stderr."""
    started = []
    for name in names:
        try:
            peer = KNOWN[name](site)
            if peer:
                peer.start()
                started.append(peer)
        except NotUp as error:
            print(f"bench: no {name}: {error}", file=sys.stderr)
    return started


def provide(names):
    """Fetches and builds what the named peers need, while there is a network."""
    build_c("load/client.c")
    build_c("load/upstream.c")
    for name in names:
        PROVIDED.get(name, lambda: None)()


PROVIDED = {
    "nginx": lambda: find("nginx", "nginx"),
    "haproxy": lambda: find("haproxy", "haproxy"),
}
