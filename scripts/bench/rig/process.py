"""Processes of the benchmark: started with their output in a file, pinned, read from /proc, ended by pid."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 20

CPUS = sorted(os.sched_getaffinity(0))
# What is measured runs alone on one CPU, everything that drives it on another.
MEASURED = {CPUS[0]}
DRIVING = {CPUS[-1]}
ALL = set(CPUS)


class Process:
    """A program that runs until it is stopped."""

    def __init__(self, command, log, env=None, cpus=None, cwd=None):
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                [str(part) for part in command],
                env=os.environ | (env or {}),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
            )
        self.pid = self.popen.pid

    def wait_for_port(self, port, patience=PATIENCE):
        until = time.monotonic() + patience
        while not accepts(port):
            if self.popen.poll() is not None or time.monotonic() > until:
                raise NotUp(self.last_words())
            time.sleep(0.02)

    def last_words(self):
        return f"{self.log.name} ends with: {self.log.read_text(errors='replace')[-500:]}"

    def pin(self, cpus):
        for pid in tree(self.pid):
            for task in tasks(pid):
                try:
                    os.sched_setaffinity(task, cpus)
                except ProcessLookupError:
                    pass

    def stop(self):
        if self.popen.poll() is not None:
            return
        family = tree(self.pid)
        for each in reversed(family):
            _signal(each, signal.SIGTERM)
        try:
            self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            for each in reversed(family):
                _signal(each, signal.SIGKILL)
            self.popen.wait()


class NotUp(Exception):
    """A program that did not come up, and what it said."""


def end_cleanly():
    """Ended from outside, a run still stops what it started."""

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for task in tasks(pid):
        try:
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += tree(int(child))
    return found


def tasks(pid):
    try:
        return [int(task) for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def cpu_seconds(pid):
    """What a process and all below it have run so far."""
    total = 0
    for each in tree(pid):
        for task in tasks(each):
            try:
                total += int(Path(f"/proc/{each}/task/{task}/schedstat").read_text().split()[0])
            except (OSError, IndexError):
                pass
    return total / 1e9


def memory_kib(pid):
    """The proportional set size of a process and all below it."""
    total = 0
    for each in tree(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
