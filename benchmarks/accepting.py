"""Question: what does an accept or a look cost? Beside it: a bare FastAPI route that checks the same body.

Both are asked in turns over as many kept connections, with the same settings of the server. The CPU is that of the one
process that answers; requests a second also say how many cores were left for Redis and for whoever asks.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.colours import BESIDE, GOAL, OURS
from benchmarks.load import Seen, load, request
from benchmarks.parts import bare_environ
from benchmarks.provider import Provider
from benchmarks.rounds import goal, say, spread
from benchmarks.system import IMAGE, PROMPT, System, running
from benchmarks.used import used_by
from cli.local import probes
from cli.local.ports import unclaimed
from cli.local.programs import ROOT, api
from cli.local.supervisor import Part
from config.settings import Settings

CONNECTIONS: Final = 64
BODY: Final = json.dumps({"prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024, "seed": 7}).encode()
LEAST: Final = 0.5  # of the bare route's speed is the goal
WARM: Final = 0.5  # seconds that are not counted


def measure(*, full: bool) -> dict[str, Any]:
    return asyncio.run(_measure(rounds=7 if full else 4, seconds=3.0 if full else 1.5))


async def _measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    port = unclaimed()
    async with running(Provider(), workers=0, api=True, beside=lambda settings: _bare(settings, port)) as system:
        edit_id = (await system.accept(1))[0]
        asked = {"accept": ("POST", "/v1/edits", BODY), "read": ("GET", f"/v1/edits/{edit_id}", b"")}
        found: dict[str, list[dict[str, float]]] = {}
        for number in range(rounds + 1):
            for name, (method, path, body) in asked.items():
                for server, at in (("bare", port), ("api", int(system.api_url.rpartition(":")[2]))):
                    sent = request(method, path, host=f"127.0.0.1:{at}", key=system.api_key, body=body)
                    figures = await _asked(system, server, at, sent, seconds=seconds if number else WARM)
                    if number:
                        found.setdefault(f"{server} {name}", []).append(figures)
            say(f"round {number} of {rounds}")
    spreads = {
        name: {figure: spread([one[figure] for one in rounds_of]) for figure in rounds_of[0]}
        for name, rounds_of in found.items()
    }
    ratios = {
        name: {
            figure: spread(
                [
                    _ratio(mine, bare, figure)
                    for mine, bare in zip(found[f"api {name}"], found[f"bare {name}"], strict=True)
                ]
            )
            for figure in ("rate", "cpu_us")
        }
        for name in asked
    }
    return {"connections": CONNECTIONS, "rounds": rounds, "ratios": ratios, "figures": spreads, "goals": _goals(ratios)}


def _ratio(mine: Mapping[str, float], bare: Mapping[str, float], figure: str) -> float:
    """How much of the bare route's speed is kept: at the same CPU, or in requests a second."""
    return mine["rate"] / bare["rate"] if figure == "rate" else bare["cpu_us"] / mine["cpu_us"]


async def _asked(system: System, server: str, port: int, sent: bytes, *, seconds: float) -> dict[str, float]:
    pid = system.pids(server)[0]
    redis = system.pids("valkey")[0]
    before, before_redis = used_by(pid)[0], used_by(redis)[0]
    seen = await asyncio.to_thread(load, port, lambda: sent, connections=CONNECTIONS, seconds=seconds)
    _require(seen)
    spent, spent_redis = used_by(pid)[0] - before, used_by(redis)[0] - before_redis
    late = sorted(seen.took)
    return {
        "rate": seen.answers / seen.seconds,
        "cpu_us": spent / seen.answers * 1e6,
        "redis_us": spent_redis / seen.answers * 1e6,
        "p50_ms": late[len(late) // 2] * 1e3,
        "p99_ms": late[len(late) * 99 // 100] * 1e3,
    }


def _require(seen: Seen) -> None:
    """A busy disk may keep some edits from being accepted in time; what is measured are those that were."""
    wrong = {status: times for status, times in seen.statuses.items() if status not in {200, 202}}
    if sum(wrong.values()) * 100 > seen.answers:
        raise RuntimeError(f"answers that say no: {wrong}")


def _bare(settings: Settings, port: int) -> Part:
    """The product's own command line with another app on another port."""
    other = {"api.app:app": "benchmarks.bare:app", str(settings.api.port): str(port)}
    return Part(
        name="bare",
        command=tuple(other.get(word, word) for word in api(settings)),
        environment=bare_environ() | {"PYTHONPATH": str(ROOT)},
        ready=probes.http(port, "/openapi.json"),
        order=2,
        start_within=90.0,
    )


def _goals(ratios: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        goal(
            f"{what}: share of the bare route's speed, at the same CPU, at least",
            ratios[name]["cpu_us"]["median"],
            least=LEAST,
        )
        for name, what in (("accept", "POST /v1/edits"), ("read", "GET /v1/edits/{id}"))
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "Accepting and reading: goals", found["goals"]
    rows = []
    for name, figures in found["figures"].items():
        server, _, what = name.partition(" ")
        ratio = found["ratios"][what] if server == "api" else None
        rows.append(
            {
                "what": what,
                "by": "Retouch" if server == "api" else "a bare route",
                "speed at the same CPU": ratio["cpu_us"]["median"] if ratio else 1.0,
                "requests a second, share": ratio["rate"]["median"] if ratio else 1.0,
                "CPU a request, µs": round(figures["cpu_us"]["median"]),
                "Redis, µs": round(figures["redis_us"]["median"]),
                "requests a second": round(figures["rate"]["median"]),
                "p99, ms": round(figures["p99_ms"]["median"], 1),
            }
        )
    yield f"Accepting and reading over {found['connections']} connections, one process", rows


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.add_subplot()
    names = {
        "bare accept": "accept, a bare route",
        "api accept": "accept, Retouch",
        "bare read": "read, a bare route",
        "api read": "read, Retouch",
    }
    took = [found["figures"][name]["cpu_us"]["median"] for name in names]
    bars = axes.barh(list(names.values()), took, color=[OURS if name.startswith("api") else BESIDE for name in names])
    axes.bar_label(bars, fmt="%.0f", padding=4)
    for place in range(1, len(took), 2):
        most = took[place - 1] / LEAST
        axes.plot([most, most], [place - 0.48, place + 0.48], **GOAL)
    axes.invert_yaxis()
    axes.set_xlabel(f"CPU of the server, µs a request; dashed: the goal, {1 / LEAST:g} x the bare route")
