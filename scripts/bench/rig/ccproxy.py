"""ccproxy itself, as installed: all five plugins, the default configuration but for its workers and upstreams."""

import shutil
from pathlib import Path

from .build import PLUGINS, build_ccproxy
from .peer import HTTP2, PLAIN, TLS, Door, Peer
from .process import free_port
from .site import KEY, Site


def peer(site: Site):
    port = free_port()
    return configured(site, "ccproxy", port, [Door(PLAIN, port, prefix="/plain"), Door(TLS, port, prefix="/tls")])


def with_http2(site: Site):
    """Cleartext HTTP/2 is off by default, so it has a process of its own."""
    port = free_port()
    return configured(site, "ccproxy-http2", port, [Door(HTTP2, port, prefix="/plain")], settings="http2 = true")


def configured(site, label, port, doors, settings="", more="", workers=None):
    """`settings` go into `[server]`, `more` to the end of the configuration."""
    home = Home(site.home / label)
    listen = f'[server]\nlisten = ["127.0.0.1:{port}"]\nworkers = {workers or site.workers}\n'
    home.configure(f"{listen}{settings}\n{connections(site)}{more}")
    return Peer(site, "ccproxy", doors, [home.program, "serve"], home.env, label)


def connections(site):
    """One connection for each plugin, so that all are loaded; those of `api-key` lead to the upstreams."""
    tls = ""
    if site.tls_upstream:
        tls = key_connection("tls", f"https://127.0.0.1:{site.tls_upstream_port}", f'extra_ca = "{site.home}/tls.pem"\n')
    return (
        key_connection("plain", f"http://127.0.0.1:{site.upstream_port}")
        + tls
        + '[connections.corp]\nprovider = "oidc"\nissuer = "https://id.example.com"\nclient_id = "bench"\n'
        + "".join(
            f'[connections.{plugin}]\nprovider = "{plugin}"\nclient_id = "bench"\n'
            for plugin in PLUGINS
            if plugin not in ("oidc", "api-key")
        )
    )


def key_connection(name, upstream, more="", provider="api-key"):
    return (
        f'[connections.{name}]\nprovider = "{provider}"\npreset = "generic"\nupstream = "{upstream}"\n'
        f'key = {{ env = "BENCH_KEY" }}\n{more}'
    )


class Home:
    """Configuration, state and plugins of one ccproxy."""

    def __init__(self, path: Path):
        self.path = path
        built = build_ccproxy()
        self.plugins = path / "plugins"
        for each in (path, self.plugins, path / "config"):
            each.mkdir(mode=0o700)
        # Copies: a build directory may hold other plugins, and may be written to meanwhile.
        self.program = path / "ccproxy"
        shutil.copy2(built / "ccproxy", self.program)
        for plugin in PLUGINS:
            file = f"libccproxy_provider_{plugin.replace('-', '_')}.so"
            shutil.copy2(built / file, self.plugins / file)
            (self.plugins / file).chmod(0o644)
        self.env = {
            "CCPROXY_CONFIG_DIR": str(path / "config"),
            "CCPROXY_STATE_DIR": str(path / "state"),
            "CCPROXY_DATA_DIR": str(path / "data"),
            "CCPROXY_RUNTIME_DIR": str(path / "run"),
            "CCPROXY_PLUGIN_DIR": str(self.plugins),
            "BENCH_KEY": KEY,
        }

    def configure(self, text):
        file = self.path / "config/config.toml"
        file.write_text(text)
        file.chmod(0o600)
