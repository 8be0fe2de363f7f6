"""sdrest and sd-server on a machine that others keep busy: small and larger pictures beside 0, 1, 2 and 4 busy processes.

``python -m benchmarks contention``. Then the bare library, whose threads wait for each other in various ways: where the choice of
``sdrest.engine.child.patience`` comes from.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.bare import Bare, bare_library
from benchmarks.beside import Bench, timed, tiny
from benchmarks.figures import median, ratio
from benchmarks.peers import peers
from benchmarks.results import Result, say
from benchmarks.rivals import both
from benchmarks.rounds import some

BUSY: Final = (0, 1, 2, 4)
#: Model, side, steps, rounds beside each number of busy processes.
PICTURES: Final = (("ernie", 64, 20, 20), ("ernie", 256, 4, 8), ("sd1", 64, 4, 4), ("sd1", 256, 1, 2))
MOST: Final = 1.02

#: How threads wait for each other: name → environment.
WAITING: Final[Mapping[str, Mapping[str, str]]] = {
    "as sdrest does": {},
    "spin count 0": {"GOMP_SPINCOUNT": "0"},
    "spin count 100": {"GOMP_SPINCOUNT": "100"},
    "spin count 1,000": {"GOMP_SPINCOUNT": "1000"},
    "spin count 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin count 300,000, libgomp's own": {"GOMP_SPINCOUNT": "300000"},
    "one thread": {"OMP_THREAD_LIMIT": "1"},
}


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many processes that do nothing but compute, each in a session of its own as an application is."""
    # They end with this process, even when it is killed.
    program = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10_000_000))"
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


async def measure() -> Result:
    """Run it."""
    result = Result(
        "contention",
        "On a busy machine",
        "Both servers get the same requests in turns while 0, 1, 2 or 4 other processes compute without a pause. Then one 64×64 picture "
        "in 20 steps by bare calls of the library, whose threads spin that often before they sleep, in turns as well.",
    )
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(result, await asyncio.to_thread(peers), Path(name))
        result.method += f" Threads: {bench.threads} each."
        await _servers(bench)
    _waiting(result)
    return result


async def _servers(bench: Bench) -> None:
    rows: list[tuple[object, ...]] = []
    for model, size, steps, rounds in PICTURES:
        async with both(bench.peers, tiny(model), bench.new_folder("contention"), bench.threads) as pair:
            for busy in BUSY:
                ours: list[float] = []
                theirs: list[float] = []
                with busy_processes(busy):
                    for number in range(some(rounds)):
                        order = (0, 1) if number % 2 else (1, 0)
                        for place in order:
                            milliseconds, _ = await timed(pair[place].draw(size, steps, 100 + number))
                            (ours, theirs)[place].append(milliseconds)
                rows.append(
                    (f"{model} {size}×{size}, {steps} steps", busy, *_figures(ours), *_figures(theirs),
                     f"{ratio(ours, theirs):.2f}", f"{max(ours) / max(theirs):.2f}")
                )  # fmt: skip
                say(f"{rows[-1]}")
    for column, what in ((6, "median"), (7, "slowest")):
        largest = max(float(str(row[column])) for row in rows)
        bench.result.add(
            f"largest ratio of all, {what}: sdrest / sd-server", f"{largest:.2f}", f"≤ {MOST}", met=largest <= MOST
        )
    bench.result.add_table(
        "Beside busy processes (ms)",
        ("picture", "busy", "sdrest", "slowest", "sd-server", "slowest", "ratio", "of the slowest"),
        rows,
    )


def _waiting(result: Result) -> None:
    model = tiny("ernie").main
    rows: list[tuple[object, ...]] = []
    with contextlib.ExitStack() as stack:
        ways = {name: stack.enter_context(bare_library(model, values)) for name, values in WAITING.items()}
        for bare in ways.values():
            _draw(bare, 1)
        for busy in BUSY:
            taken: dict[str, list[float]] = {name: [] for name in ways}
            with busy_processes(busy):
                for number in range(some(12)):
                    for name, bare in ways.items():
                        taken[name].append(_draw(bare, number))
            rows += [(name, busy, *_figures(series)) for name, series in taken.items()]
    result.add_table(
        "The library's threads, one 64×64 picture in 20 steps (ms)", ("way", "busy", "median", "slowest"), rows
    )


def _draw(bare: Bare, seed: int) -> float:
    return bare.generate(64, 20, seed, "a red circle")[0]


def _figures(series: list[float]) -> tuple[str, str]:
    return f"{median(series):.0f}", f"{max(series):.0f}"


if __name__ == "__main__":
    asyncio.run(measure()).save()
