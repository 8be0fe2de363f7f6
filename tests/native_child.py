"""Run a function that uses the native library in a process of its own: a crash there must not end the test run."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdrest.engine.child.environment import NATIVE_STACK_BYTES, native_environment

ROOT = Path(__file__).parents[1]


class ChildDied(AssertionError):
    """The process ended without a result; ``returncode`` is negative for a signal."""

    def __init__(self, name: str, returncode: int, stderr: str) -> None:
        super().__init__(f"{name} ended with {returncode}:\n{stderr[-4000:]}")
        self.returncode = returncode
        self.stderr = stderr


def in_child(function: Callable[..., dict[str, Any]], *arguments: object, timeout: float = 120) -> dict[str, Any]:
    """``function(*arguments)`` in a new process, on a thread with the stack that the library needs.

    ``function`` is a module-level function; arguments and result pass as JSON (paths arrive as text). What it raises fails
    the test, with its traceback.
    """
    module = Path(sys.modules[function.__module__].__file__ or "").resolve().relative_to(ROOT).with_suffix("")
    read, write = os.pipe()
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        "-m",
        "tests.native_child",
        ".".join(module.parts),
        function.__name__,
    ]
    with os.fdopen(read, "rb") as result:
        try:
            process = subprocess.run(
                [*command, str(write), json.dumps(arguments, default=str)],
                # Other tests compute beside these, and no runner is here that fits the waiting of threads to that.
                env=native_environment({"GOMP_SPINCOUNT": "100", **os.environ, "PYTHONPATH": str(ROOT)}),
                pass_fds=[write],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout,
                check=False,
            )
        finally:
            os.close(write)
        answer = result.read()
    if process.returncode != 0 or not answer:
        raise ChildDied(function.__name__, process.returncode, process.stderr.decode(errors="replace"))
    found: dict[str, Any] = json.loads(answer)
    return found


def main() -> None:
    """Be the child: module, function, result descriptor, JSON arguments."""
    module, name, descriptor, arguments = sys.argv[1:]
    answers: list[str] = []

    def run() -> None:
        function = getattr(importlib.import_module(module), name)
        answers.append(json.dumps(function(*json.loads(arguments))))

    threading.stack_size(NATIVE_STACK_BYTES)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if not answers:
        sys.exit(70)
    with os.fdopen(int(descriptor), "w") as result:
        result.write(answers[0])


if __name__ == "__main__":
    main()
