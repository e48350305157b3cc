"""What does not depend on the machine's mood: instructions, system calls and allocations of one request.

Each is the difference between two runs of another length, so that start, connections and the end cancel out.
"""

import os
import re
import shutil
import signal
import struct
import subprocess
import time
from dataclasses import dataclass

from . import h2load
from .build import build_c
from .client import Client, Failed
from .peer import HTTP2, Peer
from .process import ALL, memory_kib, tree
from .site import Site

FEW, MANY = 1000, 6000
WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6")
# Seconds until a start is over.
SETTLED = 0.5
# Under callgrind a request takes fifty times as long.
SLOW = 120


@dataclass(frozen=True)
class Work:
    """What kind of requests are counted, and over how many connections they come at once."""

    kind: str
    connections: int = 64

    @property
    def lengths(self):
        """Of the two runs. The first of many connections makes what they need, all of it."""
        scale = max(1, self.connections // 250)
        return FEW * scale, MANY * scale


def instructions(site: Site, peer: Peer, work):
    """User instructions, as callgrind counts them."""
    out = site.home / "callgrind"

    def wrapped():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return ["valgrind", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={out}/%p", *peer.command], {}

    def total():
        text = "".join(file.read_text() for file in out.iterdir())
        return sum(int(found) for found in re.findall(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)) // _repeated(text)

    return _per_request(site, peer, work, wrapped, total)


def _repeated(text):
    """Callgrind writes its sum at the start and at the end of a file."""
    return 2 if "\ntotals:" in text and "\nsummary:" in text else 1


def system_calls(site: Site, peer: Peer, work):
    """System calls of the work itself."""
    return _traced(site, peer, work, lambda name: name not in WAITS)


def waits(site: Site, peer: Peer, work):
    """System calls that wait for events: how many requests share one depends on who is scheduled when."""
    return _traced(site, peer, work, lambda name: name in WAITS)


def _traced(site, peer, work, counts):
    out = site.home / "strace"

    def total():
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*?(\w+)$", out.read_text(), re.MULTILINE)
        return sum(int(calls) for calls, name in rows if name != "total" and counts(name))

    return _per_request(site, peer, work, lambda: (["strace", "--follow-forks", "--summary-only", "-o", out, *peer.command], {}), total)


def allocations(site: Site, peer: Peer, work):
    """Calls of malloc and its kin."""
    shim, out = build_c("load/allocations.c", shared=True), site.home / "allocations"

    def wrapped():
        out.write_bytes(bytes(8))
        return peer.command, {"LD_PRELOAD": str(shim), "BENCH_ALLOCATIONS": str(out)}

    return _per_request(site, peer, work, wrapped, lambda: struct.unpack("l", out.read_bytes())[0])


def idle_memory(_site: Site, peer: Peer, _work):
    """MiB of the process before its first request, as `alone.memory` weighs it."""
    peer.start()
    try:
        time.sleep(SETTLED)
        return memory_kib(peer.process.pid) / 1024
    finally:
        peer.stop()


def _per_request(site, peer, work, wrapped, total):
    totals = []
    few, many = work.lengths
    for requests in (few, many):
        command, env = wrapped()
        _run(site, peer, work, command, env, requests)
        totals.append(total())
    return (totals[1] - totals[0]) / (many - few)


def _run(site, peer, work, command, env, requests):
    process = site.start(command, f"{peer.label}-counted", env=peer.env | env)
    try:
        _drive(site, peer.subjects(work.kind)[0], work, process, requests)
        # A tracer writes its sums once its child has ended by itself.
        below = tree(process.pid)[1:] if command[0] == "strace" else [process.pid]
        os.kill(below[0], signal.SIGINT)
        process.popen.wait(timeout=SLOW)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"it does not end within {SLOW} s") from error
    finally:
        process.stop()
        site.running.remove(process)


def _drive(site, subject, work, process, requests):
    process.wait_for_port(subject.port, SLOW)
    if work.kind == HTTP2:
        h2load.drive(subject, "/small", requests, ALL, SLOW)
        return
    with Client(site, ["exactly", subject.port, subject.prefix + "/small", work.connections], ALL, SLOW) as client:
        client.line()
        client.tell(requests)
        client.line()
