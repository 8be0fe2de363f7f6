"""The wheel and the source archive, each installed into an empty environment: a page, a script and a picture from there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]


def native_wheels() -> Path:
    """The folder of the native library's wheel, as ``install.sh`` keeps it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sdrest" / "wheels" / (Path(sys.prefix) / ".native").read_text()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source archive of this checkout."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, packages: dict[str, Path], tmp_path: Path) -> Path:
    """The ``bin`` folder of an environment that holds nothing but one package and what it needs."""
    venv.create(tmp_path / "venv", with_pip=True)
    bin_folder = tmp_path / "venv" / "bin"
    options = ["--quiet", "--disable-pip-version-check", "--find-links", str(native_wheels())]
    command = [str(bin_folder / "pip"), "install", *options, "--constraint", str(ROOT / "requirements.lock")]
    subprocess.run([*command, str(packages[request.param])], check=True, cwd=tmp_path)
    return bin_folder


@pytest.fixture
def url(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server that the installed command started, with the built-in model only."""
    process = subprocess.Popen(
        [installed / "sdrest", "serve", "--port", "0", "--data-dir", "data", "--models-dir", "models"],
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SDREST_"))},
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if match := re.search(r"listening on (http\S+)/", line):
            break
    else:
        raise AssertionError("the server did not start:\n" + "".join(lines))
    yield match[1]
    process.send_signal(signal.SIGTERM)
    process.communicate()


def test_an_installed_package_gives_pages_scripts_and_pictures(url: str) -> None:
    page = httpx.get(f"{url}/ui/").raise_for_status().text
    linked = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', page)
    assert any(link.endswith(".js") for link in linked)
    assert any(link.endswith(".css") for link in linked)
    for link in linked:
        assert httpx.get(url + link).raise_for_status().content
    assert "text2img" in httpx.get(f"{url}/docs").raise_for_status().text
    assert "Warteschlange" in httpx.get(f"{url}/ui/", headers={"Accept-Language": "de"}).raise_for_status().text
    small = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}
    reply = httpx.post(f"{url}/api/v1/generate", json=small, timeout=60)
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["images"]) == 1
