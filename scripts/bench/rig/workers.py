"""Two workers against one: does twice as much go through, where the load side allows it?

With four CPUs the workers have two and whoever drives them has the others. With fewer all share: then not even a
proxy that costs nothing lets twice as much through, so what is judged is told apart from what could be seen.
"""

from . import growth, measure
from .cases import Case
from .process import ALL, CPUS

COUNTS = (1, 2)
# Requests with two workers, as a multiple of those with one.
GOAL = 1.8
ALONE = len(CPUS) >= 4
WORKING = set(CPUS[:2]) if ALONE else ALL
LOADING = set(CPUS[2:]) if ALONE else ALL


def workers(site, count):
    return growth.variant(site, f"workers-{count}", "/plain", workers=count)


WORKERS = growth.Growth("workers", Case("two workers against one", "µs CPU", measure.spread), COUNTS, workers, spread=True)


def lines(grown, series):
    """What each count gave, and what two are to one."""
    told = [growth.line(grown, series)]
    one, two = (growth.figure_of(grown, count, series) for count in COUNTS)
    if isinstance(one, str) or isinstance(two, str):
        return told
    seen = two["per_second"] / one["per_second"]
    # What a second of CPU is worth must not fall when there are two workers: each has a CPU of its own then.
    by_cpu = len(COUNTS) * one["value"] / two["value"]
    possible = _most_per_second(two) / one["per_second"]
    sure = one["sure"] and two["sure"]
    mark = "" if sure else "~"
    if possible >= GOAL:
        verdict = "?" if not sure else "met" if seen >= GOAL else "missed"
        told.append(f"  {mark}{seen:.2f} times the requests: goal {GOAL} {verdict}")
    else:
        told.append(
            f"  {mark}{seen:.2f} times the requests, of {mark}{possible:.2f} that can be had here: client and upstream take {mark}{two['load']:.1f} µs"
            f" a request of the same {len(CPUS)} CPUs; no verdict on {GOAL}"
        )
    told.append(f"  {mark}{by_cpu:.2f} times the requests by what each takes of a CPU, were the load side elsewhere")
    return told


def _most_per_second(figure):
    """Requests per second if no CPU were ever idle."""
    proxy, load = figure["value"] / measure.MICROSECONDS, figure["load"] / measure.MICROSECONDS
    if ALONE:
        return min(len(WORKING) / proxy, len(LOADING) / load)
    return len(ALL) / (proxy + load)
