"""What installs the server is at least well formed: the systemd unit, the image, the compose file, the scripts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import yaml

from sdrest.cli.sdrest import main
from sdrest.settings import Settings
from tests.needs import needs

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "packaging"


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh", "packaging/service.sh"])
def test_scripts_are_valid_shell(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)


def filled(tmp_path: Path) -> str:
    environment = {
        **os.environ, "HOME": str(tmp_path), "SDREST_PYTHON": sys.executable, "SDREST_STATE": str(tmp_path / "state"),
    }  # fmt: skip
    return subprocess.run(
        [PACKAGING / "service.sh", "print"], env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_unit_is_filled_completely(tmp_path: Path) -> None:
    text = filled(tmp_path)
    assert not re.search(r"@[A-Z_]+@", text)
    assert f"ExecStart={sys.executable} -m sdrest serve --config " in text


@needs("systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "sdrest.service"
    (tmp_path / "state").mkdir()
    unit.write_text(re.sub(r"(?m)^User=.*$", "User=root", filled(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert not [line for line in done.stderr.splitlines() if "sdrest.service" in line], done.stderr
    assert done.returncode == 0 or "sdrest.service" not in done.stderr


def test_the_image_sets_settings_that_exist() -> None:
    text = (PACKAGING / "Dockerfile").read_text()
    names = set(re.findall(r"SDREST_(\w+)=", text))
    compose = yaml.safe_load((PACKAGING / "compose.yaml").read_text())
    names |= {name.removeprefix("SDREST_") for name in compose["services"]["sdrest"]["environment"]}
    assert {name.lower() for name in names} <= Settings.model_fields.keys()
    for line in re.findall(r"(?m)^COPY ([^-].*)$", text):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line


def test_the_compose_file_builds_from_the_image_file() -> None:
    compose = yaml.safe_load((PACKAGING / "compose.yaml").read_text())
    build = compose["services"]["sdrest"]["build"]
    assert (PACKAGING / build["context"] / build["dockerfile"]).is_file()
    assert set(compose["volumes"]) == {"data"}


def test_the_cluster_of_the_compose_file_is_started_with_commands_that_exist() -> None:
    compose = yaml.safe_load((PACKAGING / "compose.cluster.yaml").read_text())
    services = compose["services"]
    assert {name.lower() for name in services["sdrest"]["environment"]} <= {
        f"sdrest_{name}" for name in Settings.model_fields
    }
    for name in ("sdrest", "worker-1", "worker-2"):
        command, *arguments = services[name]["command"]
        found = main.get_command(click.Context(main), command)
        assert found is not None
        found.make_parser(click.Context(found)).parse_args(arguments)
    # Without TLS and a key, workers must be on the server's own machine; nothing else is open to others.
    assert all(services[name]["network_mode"] == "service:sdrest" for name in ("worker-1", "worker-2"))
    assert services["sdrest"]["ports"] == ["127.0.0.1:8080:8080"]
    assert {mount.partition(":")[0] for item in services.values() for mount in item["volumes"]} == set(
        compose["volumes"]
    )


def test_the_package_is_nothing_but_its_folder() -> None:
    """An installation that takes the whole checkout for it would find every module twice, under two names."""
    assert find_spec("sdrest.sdrest") is None
    assert find_spec("sdrest.tests") is None
