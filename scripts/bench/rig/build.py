"""Builds what is measured and what measures it."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from .packages import CACHE, REPOSITORY

BENCH = REPOSITORY / "scripts/bench"
PLUGINS = ["oidc", "github", "azure", "google", "api-key"]


@cache
def build_ccproxy(profile="release"):
    """The directory with the program and its plugins: CCPROXY_BUILT, or built here."""
    if given := os.environ.get("CCPROXY_BUILT"):
        return Path(given).resolve()
    packages = " ".join(f"--package ccproxy-provider-{plugin}" for plugin in PLUGINS)
    _cargo(f"build --profile {profile} --package ccproxy {packages}")
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / profile


@cache
def build_pingora():
    """The minimal server on pingora; None where it does not build."""
    target = CACHE / "pingora"
    try:
        _cargo(f"build --release --locked --manifest-path scripts/bench/peers/pingora/Cargo.toml --target-dir '{target}'")
    except subprocess.CalledProcessError:
        print("bench: no pingora: it does not build", file=sys.stderr)
        return None
    return target / "release/pingora-peer"


@cache
def build_c(source):
    """A program of one C file below scripts/bench."""
    out = CACHE / "c" / Path(source).stem
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-pthread", "-o", out, BENCH / source], check=True)
    return out


def _cargo(arguments):
    subprocess.run(["bash", "-c", f". ./scripts/toolchain && cargo {arguments}"], cwd=REPOSITORY, check=True)
