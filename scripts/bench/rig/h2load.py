"""The client for HTTP/2: nghttp2's h2load."""

import os
import re
import subprocess

from .client import Failed
from .packages import find, library_path
from .process import PATIENCE

CONNECTIONS, STREAMS = 8, 16


def provide():
    return find("h2load", "nghttp2-client")


def drive(subject, path, count, cpus, patience=PATIENCE):
    """Sends so many requests; all are answered, and well, or it fails."""
    if not (h2load := provide()):
        raise Failed("h2load cannot be had")
    command = [
        h2load, f"-n{count}", f"-c{CONNECTIONS}", f"-m{STREAMS}", "-t1",
        "-H", "authorization: Bearer of-the-client", f"http://127.0.0.1:{subject.port}{subject.prefix}{path}",
    ]
    try:
        done = subprocess.run(
            [str(part) for part in command], env=os.environ | library_path(), capture_output=True, text=True,
            timeout=patience, preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{count} requests took more than {patience} s") from error
    good = re.search(r"status codes: (\d+) 2xx", done.stdout)
    if not good or int(good[1]) != count:
        raise Failed(f"h2load: {good[0] if good else done.stderr.strip()} of {count}")
