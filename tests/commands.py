"""Commands as users and scripts start them, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.tiny.embedded import NAME, place_embedded

ROOT: Final = Path(__file__).parents[1]
SDREST: Final = (sys.executable, "-m", "sdrest")
#: Goes before a command: it is started with SIGINT ignored, as a shell without job control starts what runs in the background.
WITHOUT_INTERRUPTS: Final = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


def environment(**more: str) -> dict[str, str]:
    """The variables of this process and ``more``; Python finds the package wherever the command is started."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def sdrest(*arguments: str, cwd: Path, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``sdrest`` to its end; ``said`` is what it reads from its standard input."""
    return subprocess.run(
        [*SDREST, *arguments], cwd=cwd, input=said, env=environment(), capture_output=True, text=True, check=False
    )


class Server:
    """``sdrest serve`` in ``folder``, where its data lies too; it listens when it is made, on a port that the system chose.

    It writes its log to a file, so that nobody has to read it for the server to go on. Use it as a context, or stop it.
    """

    def __init__(self, folder: Path, *options: str, variables: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the server ends
        self._read = 0
        self._last = ""
        self.process = subprocess.Popen(
            [*WITHOUT_INTERRUPTS, *SDREST, "serve", "--port", "0", *options],
            cwd=folder,
            env=environment(**(variables or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        try:
            self.url = self.wait_for("sdrest is listening on ").rpartition(" ")[2].rstrip("/")
        except BaseException:
            self.kill()
            raise

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        if self._log.closed:
            return self._last
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode()

    def wait_for(self, words: str) -> str:
        """The first line of the log, from the last one found on, that holds ``words``."""
        while True:
            running = self.process.poll() is None
            lines = self.log[self._read :].splitlines(keepends=True)
            for line in lines:
                if not line.endswith("\n"):
                    break
                self._read += len(line)
                if words in line:
                    return line.strip()
            assert running, f"the server ended:\n{self.log}"
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        return self._ended()

    def kill(self) -> None:
        """End it at once, as a crash would; harmless when it has ended."""
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        status = self.process.wait()
        self._last = self.log
        self._log.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is not None:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()


def serve_tiny(folder: Path, *options: str, variables: dict[str, str] | None = None) -> Server:
    """A server whose default model is the tiny one."""
    place_embedded(folder / "models")
    return Server(folder, "--default-model", NAME, "--log-level", "warning", *options, variables=variables)
