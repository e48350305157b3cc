"""The table of ratios, and the whole run as JSON."""

from statistics import median

from .peers import FLOORS

# Fewer clean slices than this are told, but not judged.
ENOUGH = 5
DIRECT = "direct"


def summary(case, series):
    """The figures of a case by peer, each in its better form."""
    direct = _figure(series[DIRECT])["value"] if case.added and DIRECT in series else 0.0
    peers = {}
    for each in series.values():
        if each.subject == DIRECT or not each.slices:
            continue
        figure = _figure(each)
        figure["value"] -= direct
        best = peers.get(each.peer)
        # A form with clean slices beats one without.
        if best is None or (not figure["verdict"], figure["value"]) < (not best["verdict"], best["value"]):
            peers[each.peer] = figure
    return peers


def _figure(series):
    slices = series.clean or series.slices
    return {
        "subject": series.subject,
        "value": median(each["value"] for each in slices),
        "clean": len(series.clean),
        "slices": len(series.slices),
        "verdict": len(series.clean) >= ENOUGH,
    }


def table(results):
    """One line per case: ccproxy, then every peer as a share of nginx."""
    names = list(dict.fromkeys(name for _, peers in results for name in peers if name not in ("ccproxy", "nginx")))
    heads = ["case", "unit", "ccproxy", "nginx", "ccproxy/nginx", "ccproxy/floor", "goals", *[f"{n}/nginx" for n in names], "clean"]
    rows = [_row(case, peers, names) for case, peers in results]
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [heads, *rows]]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    lines.append(f"~: fewer than {ENOUGH} clean slices on one side, so no verdict (?). clean: the fewest of any peer.")
    return "\n".join(lines)


def _row(case, peers, names):
    ours, nginx = peers.get("ccproxy"), peers.get("nginx")
    floor = peers.get(FLOORS[0])
    return [
        case.name,
        case.unit,
        _value(ours),
        _value(nginx) + (f" {nginx['subject'].removeprefix('nginx').strip()}".rstrip() if nginx else ""),
        _ratio(ours, nginx),
        _ratio(ours, floor),
        _goals(case, ours, nginx, floor),
        *[_ratio(peers.get(name), nginx) for name in names],
        str(min((each["clean"] for each in peers.values()), default=0)),
    ]


def _value(figure):
    return "-" if figure is None else f"{figure['value']:.1f}"


def _ratio(ours, theirs):
    if not ours or not theirs or theirs["value"] <= 0:
        return "-"
    return f"{'' if ours['verdict'] and theirs['verdict'] else '~'}{ours['value'] / theirs['value']:.2f}"


def _goals(case, ours, nginx, floor):
    told = []
    for name, goal, peer in (("nginx", case.goal.of_nginx, nginx), ("floor", case.goal.of_floor, floor)):
        if goal is None:
            continue
        if not ours or not peer or not (ours["verdict"] and peer["verdict"]):
            verdict = "?"
        else:
            verdict = "met" if ours["value"] <= goal * peer["value"] else "missed"
        told.append(f"{name} <= {goal:.2f} {verdict}")
    return ", ".join(told) or "-"


def document(machine, results, all_series):
    return {
        "schema": "ccproxy.bench/1",
        "machine": machine,
        "cases": [
            {
                "case": case.name,
                "unit": case.unit,
                "peers": peers,
                "slices": {name: each.slices for name, each in all_series[case.name].items()},
                "failed": {name: each.failed for name, each in all_series[case.name].items() if each.failed},
            }
            for case, peers in results
        ],
    }
