"""A proxy under measurement, and the ways into it."""

from dataclasses import dataclass

from .process import MEASURED, Process

PLAIN, TLS, HTTP2 = "plain", "tls", "http2"


@dataclass(frozen=True)
class Subject:
    """A way into a running proxy: what a slice measures."""

    peer: str
    form: str  # where a proxy has several configurations for one case; else empty
    port: int
    prefix: str
    process: Process

    @property
    def name(self):
        return f"{self.peer} ({self.form})" if self.form else self.peer


@dataclass(frozen=True)
class Door:
    """Where a proxy takes the work of one kind: plain, TLS upstream, HTTP/2."""

    kind: str
    port: int
    form: str = ""
    prefix: str = ""


class Peer:
    """A proxy and its doors. `command` starts it on them."""

    def __init__(self, site, name, doors, command, env=None, label=None):
        self.site = site
        self.name = name
        self.label = label or name
        self.doors = doors
        self.command = command
        self.env = env or {}
        self.process = None

    def spawn(self):
        self.process = self.site.start(self.command, self.label, env=self.env, cpus=MEASURED)

    def start(self):
        self.spawn()
        for door in self.doors:
            self.process.wait_for_port(door.port)

    def stop(self):
        self.process.stop()
        self.site.running.remove(self.process)

    def takes(self, kind):
        return any(door.kind == kind for door in self.doors)

    def subjects(self, kind):
        return [
            Subject(self.name, door.form, door.port, door.prefix, self.process)
            for door in self.doors
            if door.kind == kind
        ]
