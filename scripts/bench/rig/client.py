"""The client of the benchmark, `load/client.c`, which answers line by line."""

import os
import select
import subprocess

from .process import PATIENCE


class Failed(Exception):
    """A slice that did not come to an end, and why."""


class Client:
    def __init__(self, site, arguments, cpus, patience=PATIENCE):
        self.patience = patience
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
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Failed(self.process.stderr.read().strip()) from error

    def line(self):
        readable, _, _ = select.select([self.process.stdout], [], [], self.patience)
        said = self.process.stdout.readline() if readable else ""
        if not said:
            self.process.kill()
            raise Failed(self.process.stderr.read().strip() or f"nothing within {self.patience} s")
        return said
