"""One slice: what a proxy costs for about a second of one kind of work."""

import os
import select
import subprocess

from .noise import Watch
from .process import PATIENCE, cpu_seconds

MICROSECONDS = 1e6
WARM_UP = 200
SLICE = 1000


class Failed(Exception):
    """A slice that did not come to an end, and why."""


def cpu_per_request(site, case, subject, cpus):
    """CPU of the proxy per request, with as many requests as go through."""
    command = ["requests", subject.port, subject.prefix + case.path, case.connections, case.body]
    with Client(site, command, cpus) as client:
        client.line()
        client.tell(WARM_UP)
        client.line()
        watch, before = Watch(), cpu_seconds(subject.process.pid)
        client.tell(SLICE)
        answered, nanoseconds = map(int, client.line().split())
        used, noise = cpu_seconds(subject.process.pid) - before, watch.noise()
    return {"value": used / answered * MICROSECONDS, "per_second": answered / nanoseconds * 1e9}, noise


def latency(site, case, subject, cpus):
    """How long one request takes, one after the other on one connection."""
    return _percentiles(site, ["latency", subject.port, subject.prefix + case.path, 10_000], cpus)


def event_delay(site, case, subject, cpus):
    """How late an event of a stream arrives."""
    return _percentiles(site, ["events", subject.port, subject.prefix + case.path, 200], cpus)


def _percentiles(site, command, cpus):
    with Client(site, command, cpus) as client:
        watch = Watch()
        _count, median, high = map(int, client.line().split())
        noise = watch.noise()
    return {"value": median / 1000, "p99": high / 1000}, noise


class Client:
    """The client of the benchmark, which answers line by line."""

    def __init__(self, site, arguments, cpus):
        self.process = subprocess.Popen(
            [site.client, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def tell(self, number):
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def line(self):
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        said = self.process.stdout.readline() if readable else ""
        if not said:
            self.process.kill()
            raise Failed(self.process.stderr.read().strip() or f"nothing within {PATIENCE} s")
        return said
