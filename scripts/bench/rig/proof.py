"""Before anything is measured: does a proxy do the work at all?"""

import subprocess

from .peer import HTTP2
from .peers import ADDS_ONLY, CARRIES_NOTHING
from .site import KEY

OF_THE_CLIENT = "of-the-client"
SIZES = {"/small": 200, "/medium": 10 << 10, "/large": 1 << 20}


class Unproven(Exception):
    """What a proxy did instead of the work."""


def prove(subject, case):
    """The upstream saw our token and only it, and the answer of the case comes back whole."""
    head = _get(subject, case, "/echo").decode(errors="replace")
    seen = [line for line in head.splitlines() if line.lower().startswith("authorization:")]
    ours = [line for line in seen if line.split(":", 1)[1].strip() == f"Bearer {KEY}"]
    done = len(ours) == 1 and (subject.peer in ADDS_ONLY or len(seen) == 1 and OF_THE_CLIENT not in head)
    if not done and subject.peer not in CARRIES_NOTHING:
        raise Unproven(f"the upstream saw {len(seen)} Authorization fields, {len(ours)} of them ours")
    if size := SIZES.get(case.path):
        body = _get(subject, case, case.path)
        if len(body) != size:
            raise Unproven(f"{case.path} answered {len(body)} bytes of {size}")


def _get(subject, case, path):
    version = "--http2-prior-knowledge" if case.kind == HTTP2 else "--http1.1"
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", "--noproxy", "*", version,
         "--header", f"Authorization: Bearer {OF_THE_CLIENT}", f"http://127.0.0.1:{subject.port}{subject.prefix}{path}"],
        capture_output=True,
    )
    if done.returncode != 0:
        raise Unproven(f"{path}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
