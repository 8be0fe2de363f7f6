"""``python -m benchmarks [NAME …]``: run benchmarks (all that are made for it when none is named) and write the documents anew.

With ``--quick``, fewer rounds are taken, nothing is written, and each figure is shown beside the last one that was kept: to see whether
something is far off. ``quick`` does so with the benchmarks that tell the most for their time.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
import time
import traceback

from benchmarks.report import write_documents
from benchmarks.results import load, markdown_table, say
from benchmarks.rounds import FRACTION_VARIABLE, QUICK_FRACTION
from benchmarks.since import changes

#: Name → whether a plain ``make bench`` runs it; the others are ``make soak``'s.
BENCHMARKS = {
    "overhead": True,
    "dialects": True,
    "comparison": True,
    "contention": True,
    "scale": True,
    "http": True,
    "switching": True,
    "speeds": True,
    "prediction": True,
    "headers": True,
    "convert": False,
    "cancel": False,
    "durability": False,
    "faults": False,
    "random_faults": False,
    "soak": False,
    "mixed": False,
    "depth": True,
    "linearity": True,
    "detour": True,
    "cluster_faults": False,
    "crowd": False,
    "lifecycle": False,
}
QUICK = ("overhead", "comparison")
"""What ``quick`` runs; the peers of the second are built from source the first time."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHMARKS, "quick", []], metavar="NAME", help=", ".join((*BENCHMARKS, "quick"))
    )
    parser.add_argument("--soak", action="store_true", help="run what takes long, and none of the others")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; show the figures, keep none")
    arguments = parser.parse_args()
    if "quick" in arguments.names:
        arguments.names, arguments.quick = [*QUICK], True
    if arguments.quick:
        os.environ.setdefault(FRACTION_VARIABLE, str(QUICK_FRACTION))
    failed = []
    for name in arguments.names or [name for name, quick in BENCHMARKS.items() if quick is not arguments.soak]:
        say(f"== {name}")
        started_at = time.monotonic()
        try:
            result = asyncio.run(importlib.import_module(f"benchmarks.{name}").measure())
        except Exception:  # noqa: BLE001 - what one cannot do must not cost the figures of the others
            traceback.print_exc()
            failed.append(name)
            continue
        say(f"{name}: {time.monotonic() - started_at:.0f} s")
        if not arguments.quick:
            result.save()
        elif (last := load(name)) is not None and (rows := [*changes(result, last)]):
            say(markdown_table(("figure", f"last ({last.machine.taken_at[:10]})", "now", "now / last"), rows))
    if not arguments.quick:
        write_documents()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
