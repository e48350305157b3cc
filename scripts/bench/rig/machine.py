"""What a figure was measured on."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from .build import build_ccproxy
from .packages import REPOSITORY, find, find_envoy, library_path


def versions(names):
    """What was measured: of ccproxy its commit, of the others what they say of themselves."""
    told = {"ccproxy": [build_ccproxy() / "ccproxy", "version"], "commit": ["git", "describe", "--always", "--dirty"]}
    if "nginx" in names:
        told["nginx"] = [find("nginx", "nginx"), "-v"]
    if "haproxy" in names:
        told["haproxy"] = [find("haproxy", "haproxy"), "-v"]
    if "nghttpx" in names:
        told["nghttpx"] = [find("nghttpx", "nghttp2-proxy"), "--version"]
    if "envoy" in names:
        told["envoy"] = [find_envoy(), "--version"]
    if "caddy" in names:
        told["caddy"] = [find("caddy", "caddy"), "version"]
    return {name: _first_line(command) for name, command in told.items()}


def _first_line(command):
    env = os.environ | library_path()
    done = subprocess.run([str(part) for part in command], cwd=REPOSITORY, env=env, capture_output=True, text=True)
    return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "unknown")


def describe():
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "model": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "memory_mib": int(memory) // 1024,
        "load": os.getloadavg()[0],
    }
