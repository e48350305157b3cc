"""ccproxy beside itself: what a request costs as routes, connections and plugins grow, and with the access log."""

from dataclasses import dataclass
from statistics import median

from . import ccproxy, measure
from .cases import Case
from .peer import PLAIN, Door
from .process import free_port

PLUGIN = "libccproxy_provider_api_key.so"


@dataclass(frozen=True)
class Growth:
    """One ccproxy for each size; the first is what the others are compared with."""

    word: str
    case: Case
    sizes: tuple
    configured: object  # a site and a size -> a peer
    spread: bool = False  # over all CPUs


def routes(site, count):
    more = "".join(
        f'[routes.r{n}]\nconnection = "plain"\nupstream = "http://127.0.0.1:{site.upstream_port}"\n' for n in range(count)
    )
    return variant(site, f"routes-{count}", f"/r{count // 2}", more)


def connections(site, count):
    upstream = f"http://127.0.0.1:{site.upstream_port}"
    more = "".join(ccproxy.key_connection(f"c{n}", upstream) for n in range(count))
    return variant(site, f"connections-{count}", f"/c{count // 2}", more)


def plugins(site, count):
    """The plugin for keys under as many names, each with a connection."""
    upstream = f"http://127.0.0.1:{site.upstream_port}"
    names = [f"key-{n:03}" for n in range(count)]
    more = "".join(ccproxy.key_connection(f"c{n}", upstream, provider=name) for n, name in enumerate(names))
    peer = variant(site, f"plugins-{count}", f"/c{count // 2}", more)
    folder = site.home / peer.label / "plugins"
    original = (folder / PLUGIN).read_bytes()
    for name in names:
        # A name of the same length, so that the manifest can be rewritten in place.
        renamed = folder / f"lib{name}.so"
        renamed.write_bytes(original.replace(b'"id":"api-key"', f'"id":"{name}"'.encode()))
        renamed.chmod(0o644)
    return peer


def access_log(site, state):
    """A line per request, into a file as a service manager would take it."""
    return variant(site, f"access-log-{state}", "/plain", f"[logging]\naccess_log = {'true' if state == 'on' else 'false'}\n")


def variant(site, label, prefix, more="", workers=None):
    """ccproxy in one of its sizes."""
    port = free_port()
    return ccproxy.configured(site, label, port, [Door(PLAIN, port, prefix=prefix)], more=more, workers=workers)


def _growth(word, configured, sizes, name):
    return Growth(word, Case(name, "µs CPU", measure.cpu_per_request), sizes, configured)


GROWTHS = [
    _growth("routes", routes, (1, 100, 10_000), "as routes grow"),
    _growth("connections", connections, (1, 1000), "as connections of the credential table grow"),
    _growth("plugins", plugins, (1, 50), "as plugins grow"),
    _growth("access-log", access_log, ("off", "on"), "access log"),
]


def line(growth, series):
    """One line: the first size as it is, the others as shares of it, with the clean slices of each."""
    told, first = [], None
    for size in growth.sizes:
        word = f"{size:,}" if isinstance(size, int) else size
        figure = figure_of(growth, size, series)
        if isinstance(figure, str):
            told.append(f"{word}: {figure}")
            continue
        sure = figure["sure"] and (first is None or first["sure"])
        mark, clean = "" if sure else "~", f"({figure['clean']} clean)"
        if first is None:
            first = figure
            told.append(f"{word}: {mark}{figure['value']:.1f} {growth.case.unit}, {mark}{figure['per_second']:,.0f} requests/s {clean}")
        else:
            cost, rate = (figure[key] / first[key] for key in ("value", "per_second"))
            told.append(f"{word}: {mark}{cost:.2f} of it, {mark}{rate:.2f} of the requests {clean}")
    return f"{growth.case.name}: " + "; ".join(told)


def figure_of(growth, size, series):
    """The medians of one size, or why there are none."""
    each = series.get(f"{growth.word}-{size}")
    slices = each and (each.clean or each.slices)
    if not slices:
        return each.failed or "no slice" if each else "left out"
    medians = {key: median(slice[key] for slice in slices) for key in ("value", "per_second", "load") if key in slices[0]}
    return medians | {"clean": len(each.clean), "sure": len(each.clean) >= growth.case.enough}
