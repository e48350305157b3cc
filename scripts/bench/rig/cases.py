"""What is measured: one line of the table each."""

from dataclasses import dataclass, field

from . import measure
from .peer import PLAIN, TLS
from .process import DRIVING, MEASURED


@dataclass(frozen=True)
class Goal:
    """At most this share of the peer's cost."""

    of_nginx: float | None = None
    of_floor: float | None = None


@dataclass(frozen=True)
class Case:
    name: str
    unit: str
    how: object
    path: str
    kind: str = PLAIN
    connections: int = 64
    body: int = 0
    # Latency is measured with everything on one CPU: to wake another one costs more than any proxy.
    one_cpu: bool = False
    # What the work takes without a proxy is subtracted.
    added: bool = False
    goal: Goal = field(default_factory=Goal)

    @property
    def driving(self):
        return MEASURED if self.one_cpu else DRIVING


def cpu(name, path, **more):
    return Case(name, "µs CPU", measure.cpu_per_request, path, **more)


CASES = [
    cpu("0.2 KB", "/small", goal=Goal(of_nginx=0.80, of_floor=1.15)),
]
