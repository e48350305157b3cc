"""Figures out of slices: the better form of each peer, ratios, verdicts, one table; and everything as JSON."""

from statistics import median

from .cases import ABSOLUTE, FLOOR, NGINX

OURS = "ccproxy"
DIRECT = "direct"
# Who is measured although it does not do all of the work.
DOES_LESS = {
    "nghttpx": "adds our token beside the client's: as Debian builds it, it replaces no field",
    "forward": "relays bytes: the upstream sees the client's token",
}


def summary(case, series):
    """The figures of a case by peer, each in its better form."""
    without = {"value": 0.0, "sure": True}
    if case.added:
        if not series[DIRECT].slices:
            return {}
        without = _figure(case, series[DIRECT])
    peers = {}
    for each in series.values():
        if each.subject == DIRECT or not each.slices:
            continue
        figure = _figure(case, each)
        figure["value"] -= without["value"]
        figure["sure"] = figure["sure"] and without["sure"]
        best = peers.get(each.peer)
        # A form with enough clean slices beats one without.
        if best is None or (not figure["sure"], figure["value"]) < (not best["sure"], best["value"]):
            peers[each.peer] = figure
    return peers


def _figure(case, series):
    slices = series.clean or series.slices
    return {
        "subject": series.subject,
        "value": median(each["value"] for each in slices),
        "clean": len(series.clean),
        "slices": len(series.slices),
        "sure": len(series.clean) >= case.enough,
    }


def table(results):
    """One line per case: ccproxy beside nginx and the floor, then every other peer as a share of nginx."""
    others = list(dict.fromkeys(name for _, peers in results for name in peers if name not in (OURS, NGINX)))
    heads = ["case", "unit", OURS, NGINX, "ccproxy/nginx", "ccproxy/floor", "goals", *[f"{name}/nginx" for name in others], "clean"]
    rows = [_row(case, peers, others) for case, peers in results]
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [heads, *rows]]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    lines.append("~: too few clean slices on one side, so no verdict (?). clean: the fewest of any peer.")
    for name in others:
        if name in DOES_LESS:
            lines.append(f"{name} {DOES_LESS[name]}.")
    return "\n".join(lines)


def _row(case, peers, others):
    ours, nginx = peers.get(OURS), peers.get(NGINX)
    return [
        case.name,
        case.unit,
        _value(ours),
        _value(nginx) + (nginx["subject"].removeprefix(NGINX) if nginx else ""),
        _ratio(ours, nginx),
        _ratio(ours, peers.get(FLOOR)),
        ", ".join(_verdict(goal, ours, peers) for goal in case.goals) or "-",
        *[_ratio(peers.get(name), nginx) for name in others],
        str(min((each["clean"] for each in peers.values()), default=0)),
    ]


def _value(figure):
    if figure is None:
        return "-"
    return f"{'' if figure['sure'] else '~'}{figure['value']:.{1 if figure['value'] >= 10 else 2}f}"


def _ratio(ours, theirs):
    if not ours or not theirs or theirs["value"] <= 0:
        return "-"
    return f"{'' if ours['sure'] and theirs['sure'] else '~'}{ours['value'] / theirs['value']:.2f}"


def _verdict(goal, ours, peers):
    peer = {"value": 1.0, "sure": True} if goal.against == ABSOLUTE else peers.get(goal.against)
    if not ours or not peer or not (ours["sure"] and peer["sure"]):
        verdict = "?"
    else:
        verdict = "met" if ours["value"] <= goal.at_most * peer["value"] else "missed"
    told = "-" if not ours or not peer or peer["value"] <= 0 else f"{ours['value'] / peer['value']:.2f}"
    return f"{goal.against} {goal.at_most:g} {verdict} ({told})"


def document(machine, results, growths, all_series):
    return {
        "schema": "ccproxy.bench/1",
        "machine": machine,
        "cases": [
            {"case": case.name, "unit": case.unit, "peers": peers, **_slices(all_series[case.name])} for case, peers in results
        ],
        "growth": [
            {"case": growth.case.name, "sizes": growth.sizes, **_slices(all_series[growth.case.name])} for growth in growths
        ],
    }


def _slices(series):
    return {
        "slices": {name: each.slices for name, each in series.items()},
        "failed": {name: each.failed for name, each in series.items() if each.failed},
    }
