"""``python -m benchmarks [NAME …]``: run benchmarks (all that are made for it when none is named) and write the documents anew."""

from __future__ import annotations

import argparse
import asyncio
import importlib

from benchmarks.report import write_documents
from benchmarks.results import say

#: Name → whether a plain ``make bench`` runs it; the others are ``make soak``'s.
BENCHMARKS = {
    "overhead": True,
    "dialects": True,
    "comparison": True,
    "scale": True,
    "http": True,
    "switching": True,
    "prediction": True,
    "cancel": False,
    "durability": False,
    "faults": False,
    "soak": False,
    "lifecycle": False,
}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--soak", action="store_true", help="run what takes long, and none of the others")
    arguments = parser.parse_args()
    for name in arguments.names or [name for name, quick in BENCHMARKS.items() if quick is not arguments.soak]:
        say(f"== {name}")
        asyncio.run(importlib.import_module(f"benchmarks.{name}").measure()).save()
    write_documents()


if __name__ == "__main__":
    main()
