"""One slice: what a proxy costs for about a second of one kind of work."""

import time

from . import h2load
from .client import Client
from .noise import Watch
from .process import DRIVING, MEASURED, cpu_seconds

MICROSECONDS = 1e6
WARM_UP = 200
SLICE = 1000


def cpu_per_request(site, case, subject):
    """CPU of the proxy per request, with as many requests as go through."""
    command = ["requests", subject.port, subject.prefix + case.path, case.connections, case.body]
    with Client(site, command, site.driving) as client:
        client.line()
        client.tell(WARM_UP)
        client.line()
        watch, before = Watch(), cpu_seconds(subject.process.pid)
        client.tell(SLICE)
        answered, nanoseconds = map(int, client.line().split())
        used, noise = cpu_seconds(subject.process.pid) - before, watch.noise()
    return {"value": used / answered * MICROSECONDS, "per_second": answered / nanoseconds * 1e9}, noise


def spread(site, case, subject):
    """The same with two clients, so that one is not what it waits for; and what the load side took of the CPUs."""
    command = ["requests", subject.port, subject.prefix + case.path, case.connections // 2, case.body]
    with Client(site, command, site.driving) as one, Client(site, command, site.driving) as other:
        clients = (one, other)
        for client in clients:
            client.line()
        _together(clients, WARM_UP)
        load = [site.upstream.pid, *(client.process.pid for client in clients)]
        watch, proxy_before, load_before = Watch(), cpu_seconds(subject.process.pid), sum(map(cpu_seconds, load))
        answers = _together(clients, SLICE)
        proxy = cpu_seconds(subject.process.pid) - proxy_before
        driving = sum(map(cpu_seconds, load)) - load_before
        noise = watch.noise()
    answered, seconds = sum(count for count, _ in answers), max(nanoseconds for _, nanoseconds in answers) / 1e9
    return {
        "value": proxy / answered * MICROSECONDS,
        "load": driving / answered * MICROSECONDS,
        "per_second": answered / seconds,
    }, noise


def _together(clients, milliseconds):
    for client in clients:
        client.tell(milliseconds)
    return [tuple(map(int, client.line().split())) for client in clients]


def http2(_site, case, subject):
    """CPU of the proxy per request that comes in by HTTP/2."""
    began = time.monotonic()
    few = 1000
    h2load.drive(subject, case.path, few, DRIVING)
    many = max(few, int(few / (time.monotonic() - began)))
    watch, before = Watch(), cpu_seconds(subject.process.pid)
    h2load.drive(subject, case.path, many, DRIVING)
    used, noise = cpu_seconds(subject.process.pid) - before, watch.noise()
    return {"value": used / many * MICROSECONDS}, noise


def latency(site, case, subject):
    """How long one request takes, one after the other on one connection."""
    return _percentiles(site, ["latency", subject.port, subject.prefix + case.path, 10_000], subject)


def event_delay(site, case, subject):
    """How late an event of a stream arrives."""
    return _percentiles(site, ["events", subject.port, subject.prefix + case.path, 200], subject)


def _percentiles(site, command, subject):
    """With everything on one CPU: to wake another one costs more than any proxy."""
    site.upstream.pin(MEASURED)
    try:
        with Client(site, command, MEASURED) as client:
            watch, before = Watch(), cpu_seconds(subject.process.pid)
            count, median, high = map(int, client.line().split())
            used, noise = cpu_seconds(subject.process.pid) - before, watch.noise()
    finally:
        site.upstream.pin(DRIVING)
    return {"value": median / 1000, "p99": high / 1000, "cpu": used / count * MICROSECONDS}, noise

