"""ccproxy beside itself: what a request costs as routes, connections and plugins grow, and with two workers."""

from dataclasses import dataclass
from statistics import median

from . import ccproxy, measure
from .cases import Case
from .peer import PLAIN, Door
from .process import ALL, CPUS, free_port

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
    return _variant(site, f"routes-{count}", f"/r{count // 2}", more)


def connections(site, count):
    upstream = f"http://127.0.0.1:{site.upstream_port}"
    more = "".join(ccproxy.key_connection(f"c{n}", upstream) for n in range(count))
    return _variant(site, f"connections-{count}", f"/c{count // 2}", more)


def plugins(site, count):
    """The plugin for keys under as many names, each with a connection."""
    upstream = f"http://127.0.0.1:{site.upstream_port}"
    names = [f"key-{n:03}" for n in range(count)]
    more = "".join(ccproxy.key_connection(f"c{n}", upstream, provider=name) for n, name in enumerate(names))
    peer = _variant(site, f"plugins-{count}", f"/c{count // 2}", more)
    folder = site.home / peer.label / "plugins"
    original = (folder / PLUGIN).read_bytes()
    for name in names:
        # A name of the same length, so that the manifest can be rewritten in place.
        renamed = folder / f"lib{name}.so"
        renamed.write_bytes(original.replace(b'"id":"api-key"', f'"id":"{name}"'.encode()))
        renamed.chmod(0o644)
    return peer


def workers(site, count):
    return _variant(site, f"workers-{count}", "/plain", "", workers=count)


def _variant(site, label, prefix, more, workers=None):
    port = free_port()
    return ccproxy.configured(site, label, port, [Door(PLAIN, port, prefix=prefix)], more=more, workers=workers)


def _growth(configured, sizes, name=None, **more):
    word = configured.__name__
    case = Case(f"as {name or word} grow", "µs CPU", measure.cpu_per_request)
    return Growth(word, case, sizes, configured, **more)


GROWTHS = [
    _growth(routes, (1, 100, 10_000)),
    _growth(connections, (1, 1000), "connections of the credential table"),
    _growth(plugins, (1, 50)),
    _growth(workers, (1, 2), spread=True),
]
# Two workers need two CPUs; the load side takes others where there are any.
WORKING = set(CPUS[:2]) if len(CPUS) >= 4 else ALL
LOADING = set(CPUS[2:]) if len(CPUS) >= 4 else ALL


def line(growth, series):
    """One line: the first size as it is, the others as shares of it, with the clean slices of each."""
    told, first = [], None
    for size in growth.sizes:
        each = series.get(f"{growth.word}-{size}")
        slices = each and (each.clean or each.slices)
        if not slices:
            told.append(f"{size:,}: {each.failed or 'no slice' if each else 'left out'}")
            continue
        cost, rate = (median(slice[key] for slice in slices) for key in ("value", "per_second"))
        sure = len(each.clean) >= growth.case.enough
        mark = "" if sure and (first is None or first[2]) else "~"
        clean = f"({len(each.clean)} clean)"
        if first is None:
            first = (cost, rate, sure)
            told.append(f"{size:,}: {mark}{cost:.1f} {growth.case.unit}, {mark}{rate:,.0f} requests/s {clean}")
        else:
            told.append(f"{size:,}: {mark}{cost / first[0]:.2f} of it, {mark}{rate / first[1]:.2f} of the requests {clean}")
    return f"{growth.case.name}: " + "; ".join(told)
