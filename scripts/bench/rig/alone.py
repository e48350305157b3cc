"""What is measured with one proxy up at a time: how fast it starts, and its memory."""

import http.client
import random
import time

from .cases import ABSOLUTE, Case, Goal
from .client import Client, Failed
from .noise import Watch
from .peer import PLAIN
from .process import DRIVING, PATIENCE, NotUp, memory_kib
from .slices import Series, slice_of

START = Case("start-up, to the first answer", "ms")
IDLE = Case("memory of an idle process", "MiB", enough=1, goals=(Goal(ABSOLUTE, 16),))
FEW = Case("memory per idle connection, of 1,000", "KiB", enough=1, goals=(Goal(ABSOLUTE, 1.25),))
MANY = Case("memory per idle connection, of as many as fit", "KiB", enough=1, goals=(Goal(ABSOLUTE, 1.25),))

STARTS = 40


def start_up(peers, enough, seconds, patience):
    """From the start of the process to the answer that came through it; files are in the cache."""
    series = {peer.name: Series(peer.name, peer.name) for peer in peers}
    until = time.monotonic() + seconds
    for turn in range(STARTS):
        left = [peer for peer in peers if series[peer.name].failed is None and len(series[peer.name].clean) < enough]
        random.shuffle(left)
        for peer in left:
            until += patience.wait_for_quiet()
            if time.monotonic() > until:
                return series
            watch = Watch()
            try:
                took = _time_start(peer)
            except NotUp as error:
                series[peer.name].failed = str(error)
                continue
            # The first fills caches, and pins plugins.
            if turn > 0:
                series[peer.name].slices.append(slice_of({"value": took * 1000}, watch.noise()))
                patience.saw(series[peer.name].slices[-1])
    return series


def _time_start(peer):
    began = time.perf_counter()
    peer.spawn()
    try:
        while not _answers(peer):
            if peer.process.popen.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise NotUp(peer.process.last_words())
            time.sleep(0.0005)
        return time.perf_counter() - began
    finally:
        peer.stop()


def _answers(peer):
    subject = peer.subjects(PLAIN)[0]
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=PATIENCE)
    try:
        connection.request("GET", subject.prefix + "/small")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def memory(site, peers, many, say):
    """The proportional set size of a process that has just started, and what idle connections add."""
    cases = {case: {} for case in (IDLE, FEW, MANY)}
    for peer in peers:
        try:
            figures = _memory_of(site, peer, many)
        except (Failed, NotUp) as error:
            say(f"no memory figures of {peer.name}: {error}")
            continue
        for case, figure in zip(cases, figures):
            cases[case][peer.name] = Series(peer.name, peer.name, [{"value": figure, "clean": True}])
    return cases


def _memory_of(site, peer, many):
    peer.start()
    try:
        time.sleep(0.5)
        idle = memory_kib(peer.process.pid)
        few, all_of_them = _with_connections(site, peer, 1000), _with_connections(site, peer, many)
    finally:
        peer.stop()
    return idle / 1024, (few - idle) / 1000, (all_of_them - idle) / many


def _with_connections(site, peer, count):
    subject = peer.subjects(PLAIN)[0]
    with Client(site, ["idle", subject.port, subject.prefix + "/small", count], DRIVING, 3 * PATIENCE) as client:
        client.line()
        time.sleep(0.5)
        return memory_kib(peer.process.pid)
