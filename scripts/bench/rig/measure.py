"""One slice: what a proxy costs for about a second of one kind of work."""

import os
import re
import subprocess
import time

from .client import Client, Failed
from .noise import Watch
from .packages import find, library_path
from .process import DRIVING, MEASURED, PATIENCE, cpu_seconds

MICROSECONDS = 1e6
WARM_UP = 200
SLICE = 1000
# Of HTTP/2: connections, and streams on each.
MULTIPLEXED = (8, 16)


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


def http2(_site, case, subject):
    """CPU of the proxy per request that comes in by HTTP/2."""
    began = time.monotonic()
    few = 1000
    _h2load(case, subject, few)
    many = max(few, int(few / (time.monotonic() - began)))
    watch, before = Watch(), cpu_seconds(subject.process.pid)
    _h2load(case, subject, many)
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


def _h2load(case, subject, count):
    connections, streams = MULTIPLEXED
    h2load = find("h2load", "nghttp2-client")
    if not h2load:
        raise Failed("h2load cannot be had")
    command = [
        h2load, f"-n{count}", f"-c{connections}", f"-m{streams}", "-t1",
        "-H", "authorization: Bearer of-the-client", f"http://127.0.0.1:{subject.port}{subject.prefix}{case.path}",
    ]
    try:
        done = subprocess.run(
            [str(part) for part in command], env=os.environ | library_path(), capture_output=True, text=True,
            timeout=PATIENCE, preexec_fn=lambda: os.sched_setaffinity(0, DRIVING),
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{count} requests took more than {PATIENCE} s") from error
    good = re.search(r"status codes: (\d+) 2xx", done.stdout)
    if not good or int(good[1]) != count:
        raise Failed(f"h2load: {good[0] if good else done.stderr.strip()} of {count}")
