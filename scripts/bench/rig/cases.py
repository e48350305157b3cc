"""What is measured side by side: one line of the table each."""

from dataclasses import dataclass

from . import measure
from .peer import HTTP2, PLAIN, TLS

NGINX, HAPROXY, NGHTTPX, FLOOR = "nginx", "haproxy", "nghttpx", "minimal"
ABSOLUTE = "at most"


@dataclass(frozen=True)
class Goal:
    """What ccproxy is held to: at most this share of a peer's figure, or this figure."""

    against: str
    at_most: float


@dataclass(frozen=True)
class Case:
    name: str
    unit: str
    how: object = None
    path: str = "/small"
    kind: str = PLAIN
    connections: int = 64
    body: int = 0
    # What the work takes without a proxy is subtracted.
    added: bool = False
    # Clean slices that make a verdict.
    enough: int = 5
    goals: tuple = ()


def cpu(name, path, *goals, **more):
    return Case(name, "µs CPU", measure.cpu_per_request, path, goals=goals, **more)


CASES = [
    cpu("0.2 KB", "/small", Goal(NGINX, 0.80), Goal(FLOOR, 1.15)),
    cpu("10 KB", "/medium"),
    cpu("1 MB", "/large", Goal(NGINX, 0.70)),
    cpu("1,000 connections", "/small", Goal(NGINX, 0.70), connections=1000),
    cpu("TLS upstream, 0.2 KB", "/small", Goal(NGINX, 0.75), kind=TLS),
    cpu("TLS upstream, 10 KB", "/medium", Goal(NGINX, 0.80), kind=TLS),
    cpu("TLS upstream, 1 MB", "/large", Goal(NGINX, 0.85), kind=TLS),
    cpu("upload, 1 MB", "/small", Goal(NGINX, 0.70), body=1 << 20),
    Case(
        "HTTP/2 in, 0.2 KB", "µs CPU", measure.http2, kind=HTTP2,
        goals=(Goal(NGINX, 1.0), Goal(HAPROXY, 1.25), Goal(NGHTTPX, 1.25)),
    ),
    Case("latency added, one CPU", "µs p50", measure.latency, added=True, goals=(Goal(NGINX, 1.0),)),
    Case(
        "event of a stream, delay added, one CPU", "µs p50", measure.event_delay, "/events?n=200&us=5000",
        added=True, goals=(Goal(NGINX, 1.0),),
    ),
]
