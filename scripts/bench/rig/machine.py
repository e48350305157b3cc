"""What a figure was measured on."""

import os
import platform
from datetime import datetime, timezone
from pathlib import Path


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
