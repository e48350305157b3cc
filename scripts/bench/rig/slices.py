"""Slices in shuffled order, until each subject of a case has enough clean ones or the time is up."""

import random
import time
from dataclasses import dataclass, field

from .client import Failed


@dataclass
class Series:
    """All slices of one subject in one case."""

    subject: str
    peer: str
    slices: list = field(default_factory=list)
    failed: str | None = None

    @property
    def clean(self):
        return [each for each in self.slices if each["clean"]]


def take(site, case, subjects, enough, seconds, patience, say):
    """The series of a case, by subject. What is waited for a quiet machine is on top of `seconds`."""
    series = {subject.name: Series(subject.name, subject.peer) for subject in subjects}
    until = time.monotonic() + seconds

    def open_ones():
        return [each for each in subjects if not _is_done(series[each.name], enough)]

    while time.monotonic() < until and (left := open_ones()):
        random.shuffle(left)
        for subject in left:
            until += patience.wait_for_quiet()
            if time.monotonic() > until:
                break
            _add_slice(site, case, subject, series[subject.name], patience)
    say(f"{case.name}: clean slices: " + ", ".join(_count(each) for each in series.values()))
    return series


def _count(series):
    return f"{series.subject} {series.failed or f'{len(series.clean)} of {len(series.slices)}'}"


def _is_done(series, enough):
    return series.failed is not None or len(series.clean) >= enough


def _add_slice(site, case, subject, series, patience):
    try:
        figures, noise = case.how(site, case, subject)
    except Failed as error:
        series.failed = str(error)
        return
    series.slices.append(slice_of(figures, noise))
    patience.saw(series.slices[-1])


def slice_of(figures, noise):
    return figures | {"stolen": round(noise.stolen, 4), "foreign": round(noise.foreign, 4), "clean": noise.is_clean}
