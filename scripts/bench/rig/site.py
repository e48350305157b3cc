"""Where one run happens: a directory, the upstreams, and the rules that all proxies share."""

import grp
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .build import BENCH, build_c
from .packages import find, library_path
from .process import DRIVING, Process, free_port

# As long as a real access token of a provider.
KEY = "sk-of-the-bench-" + "A" * 92


class Site:
    def __init__(self, workers=1, fd_limit=1024, tls=False):
        self.workers = workers
        self.fd_limit = fd_limit
        self.home = Path(tempfile.mkdtemp(prefix="ccproxy-bench-"))
        self.client = build_c("load/client.c")
        self.upstream_port = free_port()
        self.tls_upstream_port = free_port()
        self.tls_upstream = None
        self.with_tls = tls
        self.driving = DRIVING
        self.running = []

    def __enter__(self):
        self.upstream = self._start_upstream(self.workers)
        if self.with_tls:
            self.tls_upstream = self._start_tls_upstream()
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def restart_upstream(self, threads):
        """On the same port."""
        self.upstream.stop()
        self.running.remove(self.upstream)
        self.upstream = self._start_upstream(threads)

    def start(self, command, name, env=None, cpus=None):
        process = Process(command, self.home / f"{name}.log", env=env, cpus=cpus, cwd=self.home)
        self.running.append(process)
        return process

    def fill(self, template, name=None, **values):
        """Writes a configuration from its template: `@NAME@` stands for a value. Returns its path."""
        known = {
            "HOME": self.home,
            "USER": pwd.getpwuid(os.getuid()).pw_name,
            "GROUP": grp.getgrgid(os.getgid()).gr_name,
            "WORKERS": self.workers,
            "FILES": self.fd_limit,
            "CONNECTIONS": (self.fd_limit - 1000) // 2,
            "UPSTREAM": self.upstream_port,
            "TLS_UPSTREAM": self.tls_upstream_port,
            "KEY": KEY,
        } | {name.upper(): value for name, value in values.items()}
        text = (BENCH / template).read_text()
        filled = self.home / (name or Path(template).name)
        filled.write_text(re.sub("@([A-Z0-9_]+)@", lambda name: str(known[name[1]]), text))
        return filled

    def _start_upstream(self, threads):
        process = self.start([build_c("load/upstream.c"), self.upstream_port, threads], "upstream", cpus=DRIVING)
        process.wait_for_port(self.upstream_port)
        return process

    def _start_tls_upstream(self):
        nginx = find("nginx", "nginx")
        if not nginx or not shutil.which("openssl"):
            return None
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", self.home / "tls.key", "-out", self.home / "tls.pem"],
            check=True, capture_output=True,
        )
        files = self.home / "files"
        files.mkdir()
        for name, size in (("small", 200), ("medium", 10 << 10), ("large", 1 << 20)):
            (files / name).write_bytes(b"x" * size)
        process = self.start(
            [nginx, "-c", self.fill("load/tls-upstream.conf")], "tls-upstream", env=library_path(), cpus=DRIVING
        )
        process.wait_for_port(self.tls_upstream_port)
        return process
