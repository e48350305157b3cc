"""One run: its groups of cases, one after the other, and what they gave."""

from . import alone, peers, report, slices
from .peer import PLAIN, Subject
from .process import DRIVING, MEASURED
from .proof import Unproven, prove
from .workers import LOADING, WORKING


class Session:
    def __init__(self, site, names, enough, seconds, patience, say):
        self.site = site
        self.names = names
        self.peers = peers.make(site, names)
        self.enough = enough
        self.seconds = seconds
        self.patience = patience
        self.say = say
        self.results = []
        self.series = {}

    def start_up(self):
        """Each alone."""
        self._keep(alone.START, alone.start_up(self._proxies(), self.enough, self.seconds, self.patience))

    def memory(self):
        """Each alone; a client connection may need one to the upstream, so half of the files are for those."""
        many = (self.site.fd_limit - 2000) // 2
        for case, series in alone.memory(self.site, self._proxies(), many, self.say).items():
            self._keep(case, series)

    def side_by_side(self, cases):
        """All at once, on the same work."""
        kinds = {case.kind for case in cases}
        started = peers.start([*self.peers, *peers.make_also(self.site, self.names, kinds)])
        for case in cases:
            subjects = self._proven(case, [subject for peer in started for subject in peer.subjects(case.kind)])
            if case.added:
                subjects.append(Subject(report.DIRECT, "", self.site.upstream_port, "", self.site.upstream))
            self._keep(case, self._take(case, subjects))
        for peer in started:
            peer.stop()

    def grow(self, growth):
        """ccproxy in each size, all at once."""
        if growth.spread:
            self.site.restart_upstream(threads=max(growth.sizes))
        started = peers.start([growth.configured(self.site, size) for size in growth.sizes])
        subjects = [Subject(peer.label, "", peer.doors[0].port, peer.doors[0].prefix, peer.process) for peer in started]
        if growth.spread:
            self._pin(subjects, WORKING, LOADING)
        proven = self._proven(growth.case, subjects)
        self.series[growth.case.name] = self._take(growth.case, proven)
        if growth.spread:
            self._pin(subjects, MEASURED, DRIVING)
            self.site.restart_upstream(self.site.workers)
        for peer in started:
            peer.stop()

    def _take(self, case, subjects):
        return slices.take(self.site, case, subjects, self.enough, self.seconds, self.patience, self.say)

    def _proxies(self):
        """The floors are there for what a request costs; idle, they are hardly a program."""
        return [peer for peer in self.peers if peer.name not in peers.FLOORS and peer.takes(PLAIN)]

    def _pin(self, subjects, working, loading):
        for subject in subjects:
            subject.process.pin(working)
        self.site.upstream.pin(loading)
        self.site.driving = loading

    def _proven(self, case, subjects):
        proven = []
        for subject in subjects:
            try:
                prove(subject, case)
                proven.append(subject)
            except Unproven as error:
                self.say(f"{subject.name} is left out of {case.name!r}: {error}")
        return proven

    def _keep(self, case, series):
        self.series[case.name] = series
        self.results.append((case, report.summary(case, series)))
