"""sdrest beside ``sd-cli`` and ``sd-server``, in the same run, in turns, on the same models with the same parameters and threads.

``python -m benchmarks comparison`` (``--quick``: fewer rounds). ``python -m benchmarks.comparison PART …`` runs only the named parts
and keeps nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp

from benchmarks.beside import MODELS, Bench, named, timed, tiny
from benchmarks.figures import median, percentile, ratio
from benchmarks.peers import READY_PATH, Files, peers
from benchmarks.process import ServerProcess, start_sdrest
from benchmarks.results import Result
from benchmarks.rivals import Rival, Sdrest, SdServer, both, cli_command, run_cli, sdrest_flags
from benchmarks.rounds import some

#: Never slower than the peer on the same picture; two percent is what a ratio of medians can tell here.
MOST = 1.02


async def pictures(bench: Bench) -> None:
    """One picture end to end, warm."""
    rows = []
    for model, size, steps, most in (
        ("ernie", 64, 4, 40),
        ("ernie", 256, 4, 12),
        ("ernie", 512, 4, 5),
        ("sd1", 64, 4, 5),
        ("sd1", 256, 1, 3),
    ):
        rounds = some(most)
        ours: list[float] = []
        theirs: list[float] = []
        equal = 0
        async with both(bench.peers, tiny(model), bench.new_folder("pictures"), bench.threads) as (left, right):
            for number in range(rounds):
                # Whoever goes first finds other caches: they take turns in that too.
                first, second = (left, right) if number % 2 else (right, left)
                times: dict[int, float] = {}
                digests: list[str] = []
                for rival in (first, second):
                    times[id(rival)], digest = await timed(rival.draw(size, steps, 100 + number))
                    digests.append(digest)
                ours.append(times[id(left)])
                theirs.append(times[id(right)])
                equal += digests[0] == digests[1]
        found = ratio(ours, theirs)
        rows.append((f"{model} {size}×{size}, {steps} steps", rounds, f"{median(ours):.0f}", f"{median(theirs):.0f}",
                     f"{found:.3f}", f"{equal}/{rounds}"))  # fmt: skip
        bench.result.add(f"{rows[-1][0]}: sdrest / sd-server", f"{found:.3f}", f"≤ {MOST}", met=found <= MOST)
    bench.result.add_table(
        "One picture end to end, model loaded (ms, median; the ratio is the median of the rounds' ratios)",
        ("picture", "rounds", "sdrest", "sd-server", "ratio", "equal pictures"),
        rows,
        chart=("sdrest", "sd-server"),
    )


async def many(bench: Bench) -> None:
    """100 small jobs one after another, and 8 clients at once."""
    rows = []
    async with both(bench.peers, tiny("ernie"), bench.new_folder("many"), bench.threads) as pair:
        for what, clients, each, rounds in (
            ("100 pictures one after another", 1, 100, some(3, 1)),
            ("8 clients, 5 pictures each", 8, 5, some(5, 1)),
        ):
            seconds: dict[int, list[float]] = {id(rival): [] for rival in pair}
            waits: dict[int, list[float]] = {id(rival): [] for rival in pair}
            for _ in range(rounds):
                for rival in pair:
                    started_at = time.perf_counter()
                    found = await asyncio.gather(*(_series(rival, each, 1000 * client) for client in range(clients)))
                    seconds[id(rival)].append(time.perf_counter() - started_at)
                    waits[id(rival)] += [wait for series in found for wait in series]
            ours, theirs = (seconds[id(rival)] for rival in pair)
            quotient = ratio(ours, theirs)
            rows.append((what, f"{median(ours):.2f}", f"{median(theirs):.2f}", f"{quotient:.3f}",
                         *(f"{percentile(waits[id(rival)], 95):.0f}" for rival in pair)))  # fmt: skip
            bench.result.add(f"{what}: sdrest / sd-server", f"{quotient:.3f}", f"≤ {MOST}", met=quotient <= MOST)
    bench.result.add_table(
        "Many small pictures (64×64, 4 steps)",
        ("what", "sdrest s", "sd-server s", "ratio", "sdrest p95 ms", "sd-server p95 ms"),
        rows,
        chart=("sdrest s", "sd-server s"),
    )


async def _series(rival: Rival, number: int, first_seed: int) -> list[float]:
    return [(await timed(rival.draw(64, 4, first_seed + index)))[0] for index in range(number)]


async def cold(bench: Bench, rounds: int = 7) -> None:
    """From the start of the program to the first picture."""
    model = tiny("ernie")
    times: dict[str, list[float]] = {"sdrest": [], "sd-server": [], "sd-cli": []}
    answers: list[float] = []
    folder = bench.new_folder("cold")
    for _ in range(some(rounds)):
        started_at = time.perf_counter()
        ours = start_sdrest(folder, *sdrest_flags(bench.threads), models=MODELS)
        times["sdrest"].append(await _first_picture(ours, "/api/health", Sdrest, model, started_at, answers))
        started_at = time.perf_counter()
        theirs = bench.peers.start(model, folder, threads=bench.threads)
        times["sd-server"].append(await _first_picture(theirs, READY_PATH, SdServer, model, started_at, []))
        command = cli_command(bench.peers, model, bench.threads, 64, 4, 1, folder / "cli.png")
        times["sd-cli"].append(await run_cli(command))
    bench.result.add_table(
        "Start of the program to the first picture, 64×64, 4 steps (s)",
        ("program", "median", "fastest", "sdrest / it"),
        [(name, f"{median(s):.2f}", f"{min(s):.2f}", f"{ratio(times['sdrest'], s):.2f}") for name, s in times.items()],
        chart=("median",),
    )
    bench.result.add("sdrest's first answer after its start, median", f"{median(answers):.2f} s")
    found = ratio(times["sdrest"], times["sd-server"])
    bench.result.add("cold start to the first picture: sdrest / sd-server", f"{found:.3f}", "≤ 1", met=found <= 1)


async def _first_picture(
    server: ServerProcess,
    path: str,
    kind: Callable[[ServerProcess, aiohttp.ClientSession, Files], Rival],
    model: Files,
    started_at: float,
    answers: list[float],
) -> float:
    try:
        answers.append(await server.ready(path) - started_at)
        async with aiohttp.ClientSession() as session:
            await kind(server, session, model).draw(64, 4, 1)
        return time.perf_counter() - started_at
    finally:
        server.stop()


async def switching(bench: Bench, rounds: int = 6) -> None:
    """A picture from the other model: sdrest is told its name, the peers must be started again."""
    first = tiny("ernie")
    second = Files(first.main.with_name("other.gguf"), first.vae)
    if not second.main.exists():
        shutil.copy(first.main, second.main)
    folder = bench.new_folder("switching")
    ours: list[float] = []
    theirs: list[float] = []
    server = start_sdrest(folder, *sdrest_flags(bench.threads), models=MODELS)
    peer = bench.peers.start(first, folder, threads=bench.threads)
    try:
        await asyncio.gather(server.ready("/api/health"), peer.ready(READY_PATH))
        async with aiohttp.ClientSession() as session:
            left = Sdrest(server, session, first)
            await left.draw(64, 4, 1)
            for number in range(some(rounds)):
                model = first if number % 2 else second
                ours.append((await timed(left.draw(64, 4, 1, model)))[0])
                started_at = time.perf_counter()
                peer.stop()
                peer = bench.peers.start(model, folder, threads=bench.threads)
                await peer.ready(READY_PATH)
                await SdServer(peer, session, model).draw(64, 4, 1)
                theirs.append((time.perf_counter() - started_at) * 1000)
    finally:
        server.stop()
        peer.stop()
    found = ratio(ours, theirs)
    bench.result.add_table(
        "First picture of another model (ms)",
        ("program", "median", "fastest"),
        [
            ("sdrest, told its name", f"{median(ours):.0f}", f"{min(ours):.0f}"),
            ("sd-server, started again", f"{median(theirs):.0f}", f"{min(theirs):.0f}"),
        ],
        chart=("median",),
    )
    bench.result.add("switching: sdrest / sd-server", f"{found:.3f}", "≤ 1", met=found <= 1)


async def memory(bench: Bench) -> None:
    """Resident memory of all processes of a server."""
    rows = []
    model, folder = tiny("ernie"), bench.new_folder("memory")
    server = start_sdrest(folder, *sdrest_flags(bench.threads), models=MODELS)
    try:
        await server.ready("/api/health")
        await asyncio.sleep(3)
        rows.append(("sdrest, no model loaded", f"{server.memory_mib():.0f}"))
    finally:
        server.stop()
    async with both(bench.peers, model, folder, bench.threads) as pair:
        ours, theirs = (rival.server.memory_mib() for rival in pair)
        rows += [("sdrest, model loaded", f"{ours:.0f}"), ("sd-server, model loaded", f"{theirs:.0f}")]
        bench.result.add("memory at rest, model loaded: sdrest more than sd-server", f"{ours - theirs:+.0f} MiB")
        for name, rival in named(pair):
            peak = await _peak(rival, rival.draw(512, 4, 1))
            rows.append((f"{name}, making 512×512, peak", f"{peak:.0f}"))
    bench.result.add_table("Resident memory (MiB, all processes)", ("state", "MiB"), rows, chart=("MiB",))


async def repeats(bench: Bench) -> None:
    """The very same request again: sdrest gives the earlier result unless it is told not to; the peer makes it anew."""
    model, folder = tiny("ernie"), bench.new_folder("repeats")
    ours: list[float] = []
    theirs: list[float] = []
    async with both(bench.peers, model, folder, bench.threads, "--reuse-results") as pair:
        for rival in pair:
            await rival.draw(256, 4, 1)
        for _ in range(some(10)):
            ours.append((await timed(pair[0].draw(256, 4, 1)))[0])
            theirs.append((await timed(pair[1].draw(256, 4, 1)))[0])
    found = ratio(ours, theirs)
    bench.result.add_table(
        "The very same request again, 256×256, 4 steps (ms)",
        ("program", "median", "slowest"),
        [
            (name, f"{median(times):.1f}", f"{max(times):.1f}")
            for name, times in (("sdrest", ours), ("sd-server", theirs))
        ],
        chart=("median",),
    )
    bench.result.add("the same request again: sdrest / sd-server", f"{found:.3f}", "≤ 1", met=found <= 1)


async def _peak(rival: Rival, work: Awaitable[str]) -> float:
    task = asyncio.ensure_future(work)
    peak = 0.0
    while not task.done():
        peak = max(peak, rival.server.memory_mib())
        await asyncio.sleep(0.05)
    await task
    return peak


async def status(bench: Bench) -> None:
    """The status route while pictures are made."""
    rows = []
    model = tiny("ernie")
    async with (
        both(bench.peers, model, bench.new_folder("status"), bench.threads) as pair,
        aiohttp.ClientSession() as session,
    ):
        for name, rival in named(pair):
            latencies: list[float] = []
            work = asyncio.ensure_future(_series_of(rival, 256, 8))
            while not work.done():
                started_at = time.perf_counter()
                async with session.get(rival.server.url + rival.status_path) as reply:
                    await reply.read()
                latencies.append((time.perf_counter() - started_at) * 1000)
                await asyncio.sleep(0.02)
            await work
            rows.append((f"{name} {rival.status_path}", len(latencies), f"{median(latencies):.1f}",
                         f"{percentile(latencies, 99):.1f}", f"{max(latencies):.1f}"))  # fmt: skip
    bench.result.add_table(
        "The status route while 256×256 pictures are made (ms)", ("route", "requests", "median", "p99", "slowest"), rows,
        chart=("median", "p99"),
    )  # fmt: skip


async def _series_of(rival: Rival, size: int, number: int) -> None:
    for seed in range(number):
        await rival.draw(size, 4, seed)


PARTS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "pictures": pictures,
    "many": many,
    "cold": cold,
    "switching": switching,
    "memory": memory,
    "status": status,
    "repeats": repeats,
}


async def measure(parts: Sequence[str] = ()) -> Result:
    """Run the named parts, or all."""
    result = Result(
        "comparison",
        "Beside sd-cli and sd-server",
        "sd-cli and sd-server are built from the sources that stable-diffusion-cpp-python ships. Both servers run at the "
        "same time and get the same requests in turns, so that what else happens on the machine hits both; picture times "
        "include the reply with the PNG.",
    )
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(result, await asyncio.to_thread(peers), Path(name))
        result.method += f" Threads: {bench.threads} each."
        for part in parts or PARTS:
            try:
                await PARTS[part](bench)
            except (aiohttp.ClientError, OSError, RuntimeError) as error:
                result.add(f"part {part}", f"did not run: {str(error).strip().splitlines()[-1:]}", "runs", met=False)
    return result


if __name__ == "__main__":
    import sys

    asyncio.run(measure(sys.argv[1:]))
