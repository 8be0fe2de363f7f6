"""Where the time of one small picture goes, from a client's request to its reply: what `overhead` adds, stage by stage."""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.bare import Bare
from benchmarks.calls import picture
from benchmarks.figures import median, percentile
from benchmarks.inside import Inside, inside
from tests.tiny.fixtures import cached

#: Each moment that is noted, and what has happened since the one before it.
STAGES: Final = {
    "submit": "request sent, read, permitted and its parameters understood",
    "store": "model found, estimates, defaults",
    "stored": "job stored (durable)",
    "claimed": "worker woken, job claimed",
    "engine": "order planned",
    "made": "engine, until its picture is there",
    "done": "engine, until it is free again",
    "noted": "picture written (durable), until it is noted",
    "finish": "attempt tidied up",
    "finished": "ending stored (durable)",
    "replied": "waiter woken, picture read, reply sent and read",
}

Row = tuple[str, str, str]


class Moments:
    """When one job came to its stages, in seconds; each is noted once a job."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def note(self, name: str) -> None:
        """Now; the first time counts."""
        self.at.setdefault(name, time.perf_counter())

    def around(self, owner: object, method: str, before: str, after: str) -> None:
        """Note when ``owner.method`` begins and ends; an empty name notes nothing."""
        call: Callable[..., Awaitable[Any]] = getattr(owner, method)

        async def noted(*args: Any, **kwargs: Any) -> Any:
            if before:
                self.note(before)
            result = await call(*args, **kwargs)
            if after and result is not None:
                self.note(after)
            return result

        setattr(owner, method, noted)

    def milliseconds(self, begun: float) -> dict[str, float]:
        """Stage → how long it took, where each begins when the one before it ended; stages overlap: one may be below 0."""
        ends = [begun, *(self.at[name] for name in STAGES)]
        return {name: (end - start) * 1000 for name, start, end in zip(STAGES, ends, ends[1:], strict=False)}


async def by_stage(bare: Bare, rounds: int) -> list[Row]:
    """The same picture as `overhead`'s so many times, in an application of this process: stage, median and p90 in ms."""
    taken: list[dict[str, float]] = []
    called: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        async with inside(Path(name), ["ernie"]) as app:
            moments = Moments()
            _watch(app, moments)
            for number in range(-3, rounds):
                body = picture(seed=100 + number, model=cached("ernie").stem)
                milliseconds, _ = bare.generate(64, 4, 100 + number, body["prompt"])
                moments.at.clear()
                begun = time.perf_counter()
                async with app.client.post("/api/v1/generate", json=body) as reply:
                    assert base64.b64decode((await reply.json())["images"][0]["data"])
                moments.note("replied")
                if number >= 0:
                    taken.append(moments.milliseconds(begun))
                    called.append(milliseconds)
    rows = [(about, [stages[name] for stages in taken]) for name, about in STAGES.items()]
    rows.append(("all of it", [sum(stages.values()) for stages in taken]))
    rows.append(("the bare call", called))
    return [(about, f"{median(series):.2f}", f"{percentile(series, 90):.2f}") for about, series in rows]


def _watch(app: Inside, moments: Moments) -> None:
    store, engine = app.jobs.store, app.engine
    moments.around(app.intake, "submit", "submit", "")
    moments.around(store, "add", "store", "stored")
    moments.around(store, "claim", "", "claimed")
    moments.around(store, "note_output", "", "noted")
    moments.around(store, "finish", "finish", "finished")
    run = engine.run

    async def running(task: Any, heard: Callable[[Any], None]) -> Any:
        moments.note("engine")

        def hearing(report: Any) -> None:
            if type(report).__name__ == "PictureMade":
                moments.note("made")
            heard(report)

        done = await run(task, hearing)
        moments.note("done")
        return done

    engine.run = running  # type: ignore[assignment, method-assign]
