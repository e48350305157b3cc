"""ccproxy itself, as installed: all five plugins, the default configuration but for its workers and upstreams."""

import shutil
from pathlib import Path

from .build import PLUGINS, build_ccproxy
from .peer import PLAIN, TLS, Door, Peer
from .process import free_port
from .site import KEY, Site


def peer(site: Site, name="ccproxy", settings="", more="", doors=None):
    """`settings` go into `[server]`, `more` to the end of the configuration."""
    home = Home(site.home / name)
    port = free_port()
    home.configure(f'[server]\nlisten = ["127.0.0.1:{port}"]\nworkers = {site.workers}\n{settings}\n' + connections(site) + more)
    doors = doors(port) if doors else [Door(PLAIN, port, prefix="/plain"), Door(TLS, port, prefix="/tls")]
    return Peer(site, name, doors, [home.program, "serve"], home.env)


def connections(site):
    """One connection for each plugin, so that all are loaded; those of `api-key` lead to the upstreams."""
    return (
        key_connection("plain", f"http://127.0.0.1:{site.upstream_port}")
        + key_connection("tls", f"https://127.0.0.1:{site.tls_upstream_port}", f'extra_ca = "{site.home}/tls.pem"\n')
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
