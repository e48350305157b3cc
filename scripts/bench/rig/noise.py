"""How much of the machine was not ours while something was measured: stolen by its host, or used by others."""

import os
import resource
import time
from pathlib import Path

from .process import cpu_seconds

STOLEN_AT_MOST = 0.02
# Ticks are 10 ms, so a second on two CPUs cannot be told apart from its neighbour below a percent or two.
FOREIGN_AT_MOST = 0.05
TICK = 1 / os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at the machine from its making until `noise`."""

    def __init__(self):
        self.began = time.monotonic()
        self.busy, self.stolen = _ticks()
        self.ours = _our_seconds()

    def noise(self):
        seconds = (time.monotonic() - self.began) * os.cpu_count()
        busy, stolen = _ticks()
        ours = _our_seconds() - self.ours
        return Noise(
            stolen=(stolen - self.stolen) * TICK / seconds,
            foreign=max(0.0, (busy - self.busy) * TICK - ours) / seconds,
        )


class Noise:
    def __init__(self, stolen, foreign):
        self.stolen = stolen
        self.foreign = foreign

    @property
    def is_clean(self):
        return self.stolen <= STOLEN_AT_MOST and self.foreign <= FOREIGN_AT_MOST


class Patience:
    """How long a run may wait, all in all, for others to be done."""

    GLANCE = 0.5

    def __init__(self, seconds):
        self.left = seconds
        self.quiet = False

    def saw(self, slice):
        """What was quiet a moment ago need not be looked at."""
        self.quiet = slice["clean"]

    def wait_for_quiet(self):
        """Returns how long it took; at once after a clean slice, or if no patience is left."""
        began = time.monotonic()
        quiet = self.quiet
        while not quiet and time.monotonic() - began < self.left:
            watch = Watch()
            time.sleep(self.GLANCE)
            quiet = watch.noise().is_clean
        waited = time.monotonic() - began
        self.left -= waited
        return waited


def _ticks():
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return user + nice + system + irq + softirq, steal


def _our_seconds():
    """All processes of the benchmark, those that have ended included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_seconds(os.getpid()) + ended.ru_utime + ended.ru_stime
