"""The commands as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.commands import sdrest, serve_tiny
from tests.tiny.embedded import NAME, place_embedded


def test_generate_in_process(tmp_path: Path) -> None:
    result = sdrest(
        "generate", "a red apple", "-o", "pic ture.png", "-W", "64", "-H", "64", "--steps", "2", "-b", "2", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:2] == ["pic ture.png", "pic ture-1.png"]
    with Image.open(tmp_path / "pic ture.png") as picture:
        assert picture.size == (64, 64)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_generate_by_a_server_gives_the_same_picture(tmp_path: Path) -> None:
    arguments = ("generate", "a red apple", "-m", NAME, "-W", "64", "-H", "64", "--steps", "2", "-s", "5")
    place_embedded(tmp_path / "models")
    assert sdrest(*arguments, "-o", "here.png", cwd=tmp_path).returncode == 0
    with serve_tiny(tmp_path) as server:
        assert sdrest(*arguments, "-o", "there.png", "--url", server.url, cwd=tmp_path).returncode == 0
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()


def test_generate_says_what_is_wrong(tmp_path: Path) -> None:
    result = sdrest("generate", "x", "-W", "63", "--sampler", "eulr", cwd=tmp_path)
    assert result.returncode == 1
    assert "sampling_method: unknown sampler 'eulr'; did you mean 'euler'?" in result.stderr
    unreachable = sdrest("generate", "x", "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert unreachable.returncode == 1
    assert "cannot reach http://127.0.0.1:9" in unreachable.stderr


def test_doctor_tells_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "models/lora").mkdir(parents=True)
    (tmp_path / "models/lora/ink.safetensors").symlink_to("/elsewhere/ink.safetensors")
    good = sdrest("doctor", "--no-follow-links", cwd=tmp_path)
    assert good.returncode == 0, good.stdout
    assert "ink.safetensors: links to /elsewhere/ink.safetensors, outside the model folders" in good.stdout
    assert "stable-diffusion.cpp  0.4.7 (commit stable-diffusion-cpp-python@0a30c4d5a968)" in good.stdout
    assert "all is well" in good.stdout
    bad = sdrest("doctor", "--backend", "metal", cwd=tmp_path)
    assert bad.returncode == 1
    assert "./install.sh --backend metal" in bad.stdout


def test_a_library_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLE_DIFFUSION_CPP_LIB", str(tmp_path / "nowhere.so"))
    doctor = sdrest("doctor", cwd=tmp_path)
    assert doctor.returncode == 1
    assert "problem: the engine cannot start: the native library cannot be loaded" in doctor.stdout
    generate = sdrest("generate", "a red apple", cwd=tmp_path)
    assert generate.returncode == 1
    assert "the engine cannot start: the native library cannot be loaded" in generate.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port", "99999"], "port"),
        (["--auth", "magic"], "'magic' is not one of"),
        (["--host", "0.0.0.0", "--auth", "none"], "--allow-anonymous"),
        (["--data-dir", "/proc/nothing"], "cannot write"),
        (["--config", "missing.json"], "cannot read missing.json"),
        (["--backend", "opencl"], "the backend opencl is not in this build (it has: CPU)"),
    ],
)
def test_serve_refuses_settings_that_cannot_work(tmp_path: Path, flags: list[str], message: str) -> None:
    result = sdrest("serve", *flags, cwd=tmp_path)
    assert result.returncode in {1, 2}
    assert message in result.stderr


def test_settings_come_from_flag_environment_file_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('port = 1\nlog-level = "error"\nprot = 3\n')
    result = sdrest("serve", "--config", "c.toml", cwd=tmp_path)
    assert "prot: unknown setting; did you mean 'port'?" in result.stderr
    from sdrest.cli.configuration import load_settings

    (tmp_path / "c.toml").write_text('port = 1\nthreads = 3\nlog-level = "error"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDREST_PORT", "2")
        patch.setenv("SDREST_THREADS", "4")
        settings = load_settings({"port": 5}, tmp_path / "c.toml")
    assert (settings.port, settings.threads, settings.log_level) == (5, 4, "error")
