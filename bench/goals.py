"""What has to be reached, and whether it was. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import commands, figures
from bench.contenders import EMBEDDED, ENVOY_AUTHZ, TOOL_ALONE
from bench.figures import YARDSTICK, Found

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Goal:
    """``want`` and ``got`` as text; ``reached`` is ``None`` if there is no figure."""

    what: str
    want: str
    got: str
    reached: bool | None


def judged(found: Found) -> list[Goal]:
    """Every goal, in the order of its promise."""
    write, read, change = (EMBEDDED, "write"), (EMBEDDED, "read"), (EMBEDDED, "change")
    return [
        _faster(found, "write without snapshot, of the aiohttp proxy, c=16", write, (YARDSTICK, "write"), 1.0),
        _faster(found, "write without snapshot, of Envoy + ext_authz, c=16", write, (ENVOY_AUTHZ, "write"), 1.2),
        _faster(found, "read, of the aiohttp proxy, c=16", read, (YARDSTICK, "read"), 1.5),
        _faster(found, "write with snapshot and verify, of the aiohttp proxy's three calls, c=16", change, (YARDSTICK, "change"), 1.0),
        _added(found, "write", None if found.fdatasync is None else 2 * found.fdatasync + 0.6e-3, "2 x fdatasync + 0.6 ms"),
        _added(found, "read", 0.25e-3, ""),
        *_memory(found),
        *_growth(found),
        *_speeds(found),
        *_parts(found),
        *_rollback(found),
        *_recovery(found),
        *_fairness(found),
    ]


def _faster(found: Found, what: str, ours: tuple[str, str], theirs: tuple[str, str], least: float) -> Goal:
    ratio = figures.ratio(found.samples, 16, ours, theirs)
    return _goal(what, f">= {least:.1f} x", ratio, lambda value: f"{value:.2f} x", lambda value: value >= least)


def _added(found: Found, call: str, most: float | None, formula: str) -> Goal:
    added = figures.added(found.samples, 1, (EMBEDDED, call), (TOOL_ALONE, call)) if most is not None else None
    bound = most or 0.0
    want = f"<= {bound * 1e3:.2f} ms" + (f" ({formula})" if formula else "")
    return _goal(f"p50 added to the tool's own, {call}, c=1", want, added, _ms, lambda value: value <= bound)


def _memory(found: Found) -> list[Goal]:
    bounds = [("idle", 100)] + [(one.of, 170) for one in found.memory if one.of.endswith("open runs")]
    rss = {one.of: one.rss / MIB for one in found.memory}
    return [_at_most(f"memory {of}", most, rss.get(of)) for of, most in bounds]


def _at_most(what: str, most: int, rss: float | None) -> Goal:
    return _goal(what, f"<= {most} MiB", rss, lambda value: f"{value:.0f} MiB", lambda value: value <= most)


def _growth(found: Found) -> list[Goal]:
    return [
        _goal(f"latency from {one.of}, {one.call}", "<= 1.3 x", one.ratio, lambda value: f"{value:.2f} x", lambda value: value <= 1.3)
        for one in found.growth
    ]


def _speeds(found: Found) -> list[Goal]:
    least = {commands.VERIFY: (50_000, "entries"), commands.VERIFY_LIVE: (50_000, "entries"), commands.REPLAY: (8_000, "decisions")}
    return [_speed(one.of, one.per_second, *least[one.of]) for one in found.speeds if one.of in least]


def _speed(of: str, per_second: float | None, least: int, unit: str) -> Goal:
    shown = f">= {least:,} {unit}/s"
    return _goal(f"killcord {of}", shown, per_second, lambda value: f"{value:,.0f} {unit}/s", lambda value: value >= least)


def _parts(found: Found) -> list[Goal]:
    most = {"gate": 10e-6, "order": 100e-6, "triggers": 25e-6}
    return [
        _goal(one.of, f"<= {most[one.goal] * 1e6:.0f} us", one.seconds, lambda value: f"{value * 1e6:.1f} us", most[one.goal].__ge__)
        for one in found.parts
        if one.goal in most
    ]


def _rollback(found: Found) -> list[Goal]:
    goals = []
    for of, (few, many) in found.plans.items():
        goals.append(_goal(f"plan of {of}", "<= 1 s", many, lambda value: f"{value:.2f} s", (1.0).__ge__))
        goals.append(_goal(f"plan of {of}, of a tenth of them", "<= 13 x", many / few, lambda value: f"{value:.1f} x", (13.0).__ge__))
    for one in found.undone:
        what = f"rollback of {one.effects:,} independent effects"
        goals.append(_goal(f"{what}, of the same writes, c=16", ">= 0.6 x", one.ratio, lambda value: f"{value:.2f} x", (0.6).__le__))
        goals.append(_goal(f"{what}, first compensation", "<= 200 ms", one.first, lambda value: f"{value * 1e3:.0f} ms", (0.2).__ge__))
    return goals


def _recovery(found: Found) -> list[Goal]:
    goals = []
    for on in found.gone_on:
        first = _goal("resume to the first forwarded call", "<= 300 ms", on.first, lambda value: f"{value * 1e3:.0f} ms", (0.3).__ge__)
        goals += [first, _goal("a replayed call, of a read, c=1", "<= 1.2 x", on.ratio, lambda value: f"{value:.2f} x", (1.2).__ge__)]
    for one in found.started:
        what = f"start with {one.entries:,} entries and {one.open_calls:,} open calls, beside an empty one"
        goals.append(_goal(what, "<= 2 s more", one.more, lambda value: f"{value:.2f} s more", (2.0).__ge__))
    return goals


def _fairness(found: Found) -> list[Goal]:
    what = "p99 of a tenant's {}s beside ten times the calls of another, of that beside its usual calls"
    return [_goal(what.format(one.call), "<= 1.5 x", one.ratio, lambda value: f"{value:.2f} x", (1.5).__ge__) for one in found.beside]


def _ms(value: float) -> str:
    return f"{value * 1e3:.2f} ms"


def _goal(what: str, want: str, got: float | None, shown: Callable[[float], str], reached: Callable[[float], bool]) -> Goal:
    if got is None:
        return Goal(what, want, "not measured", None)
    return Goal(what, want, shown(got), reached(got))
