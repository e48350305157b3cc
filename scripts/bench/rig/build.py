"""Builds what is measured and what measures it."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from .packages import CACHE, REPOSITORY, find_cmake

BENCH = REPOSITORY / "scripts/bench"
PLUGINS = ["oidc", "github", "azure", "google", "api-key"]


@cache
def build_ccproxy():
    """The directory with the program and its plugins: CCPROXY_BUILT, or built here."""
    if given := os.environ.get("CCPROXY_BUILT"):
        return Path(given).resolve()
    packages = " ".join(f"--package ccproxy-provider-{plugin}" for plugin in PLUGINS)
    _cargo(f"build --release --package ccproxy {packages}")
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"


@cache
def build_pingora():
    """The minimal server on pingora; None where it does not build."""
    target = CACHE / "pingora"
    cmake = find_cmake()
    path = f"{cmake.parent}:{os.environ['PATH']}" if cmake else os.environ["PATH"]
    try:
        _cargo(f"build --release --locked --manifest-path scripts/bench/peers/pingora/Cargo.toml --target-dir '{target}'", PATH=path)
    except subprocess.CalledProcessError:
        print("bench: no pingora: it does not build", file=sys.stderr)
        return None
    return target / "release/pingora-peer"


@cache
def build_c(source, shared=False):
    """A program, or a library, of one C file below scripts/bench."""
    out = CACHE / "c" / Path(source).with_suffix(".so" if shared else "").name
    form = ["-shared", "-fPIC"] if shared else []
    sources = [*BENCH.glob("load/*.[ch]"), *BENCH.glob("floors/*.[ch]")]
    if out.exists() and all(each.stat().st_mtime < out.stat().st_mtime for each in sources):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    # Another run may be executing, or building, the one that is there.
    new = out.with_name(f".{out.name}.{os.getpid()}")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-pthread", *form, "-o", new, BENCH / source], check=True)
    new.rename(out)
    return out


def _cargo(arguments, **env):
    command = f". ./scripts/toolchain && cargo {arguments}"
    subprocess.run(["bash", "-c", command], cwd=REPOSITORY, env=os.environ | env, check=True)
