"""A network namespace of our own, where one can be had: nobody else's traffic, nobody else's ports."""

import ctypes
import fcntl
import os
import resource
import socket
import struct
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def isolate():
    """Moves this process into a network namespace with a loopback interface. False where that is not allowed."""
    if not (_unshare(CLONE_NEWNET) or _unshare_as_user()):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    # Thousands of connections a second, from one address to another: no port is too many.
    try:
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("1024 65535")
    except OSError:
        pass
    return True


def raise_fd_limit():
    """As many open files as are allowed; returns how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _unshare(flags):
    return ctypes.CDLL(None, use_errno=True).unshare(flags) == 0


def _unshare_as_user():
    uid, gid = os.getuid(), os.getgid()
    if not _unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return False
    # We stay who we are: the proxies look at the owner of a socket.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return True
