"""The settings: their page, their sources, their command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sdrest.cli.configuration import load_settings
from sdrest.cli.sdrest import main
from sdrest.cli.settings_table import bound_meanings, settings_page
from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.registry.folders import BY_KEY
from sdrest.settings import MODEL_FOLDERS, Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "python -m sdrest.cli.settings_table > docs/settings.md"


def test_every_setting_is_a_flag_and_says_what_it_means() -> None:
    shown = CliRunner().invoke(main, ["serve", "--help"]).output
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert field.description
        assert field.description.endswith("."), name


def test_every_bound_is_a_number_with_a_sentence_and_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = [name for name in vars(bounds) if name.isupper()]
    assert set(bound_meanings()) == set(names)
    for name, meaning in bound_meanings().items():
        assert getattr(bounds, name) > 0
        assert meaning.endswith("."), name
        assert f"| {name} | {getattr(bounds, name)} |" in page


def test_every_kind_of_model_folder_can_be_moved(tmp_path: Path) -> None:
    assert set(MODEL_FOLDERS) == set(BY_KEY)
    assert load_settings({}).model_folders == {}
    moved = load_settings({"checkpoints": tmp_path, "lora": Path("loras")})
    assert moved.model_folders == {"checkpoints": tmp_path, "lora": Path("loras")}


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('port = 1\nthreads = 1\nallowed-hosts = ["a.example", "b.example"]\nmax_attempts = 3\n')
    monkeypatch.setenv("SDREST_PORT", "2")
    monkeypatch.setenv("SDREST_THREADS", "2")
    monkeypatch.setenv("SDREST_CORS_ORIGINS", "https://a.example, https://b.example")
    found = load_settings({"port": 3}, file)
    assert (found.port, found.threads, found.max_attempts) == (3, 2, 3)
    assert found.allowed_hosts == ("a.example", "b.example")
    assert found.cors_origins == ("https://a.example", "https://b.example")


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("prot: 8081\n")
    with pytest.raises(InvalidInput, match="did you mean 'port'"):
        load_settings({}, file)


@pytest.mark.parametrize("path", ["sd", "/sd/", "/", "//", "/sd//x", "/../sd", "/s d", "/{sd}", "/sd?x", "/%73d"])
def test_a_base_path_that_is_none_is_refused_with_what_would_be_right(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"base_path: must begin with a slash, end without one .* /sd"):
        load_settings({"base_path": path})


@pytest.mark.parametrize("path", ["", "/sd", "/tools/sd-2", "/~ann/sd.x"])
def test_a_base_path_is_plain_names_or_nothing(path: str) -> None:
    assert load_settings({"base_path": path}).base_path == path


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SDREST_PROT", "SDREST_PROT: unknown setting; did you mean SDREST_PORT?"),
        ("sdrest_prot", "sdrest_prot: unknown setting; did you mean SDREST_PORT?"),
        ("SDREST_XYZZY", "SDREST_XYZZY: unknown setting"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "8081")
    with pytest.raises(InvalidInput) as caught:
        load_settings({})
    assert [f"{problem.field}: {problem.message}" for problem in caught.value.problems] == [told]


def test_every_variable_that_anything_here_reads_is_a_setting_or_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [*ROOT.glob("*.sh"), *ROOT.glob("packaging/*"), *ROOT.glob(".ci/*")]
    for folder in ("sdrest", "tests", "benchmarks", "tools", "examples"):
        files += [*ROOT.glob(f"{folder}/**/*.py"), *ROOT.glob(f"{folder}/**/*.sh")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    read = set(
        re.findall(r"""(?:environ(?:\.get\(|\[)|getenv\(|envvar=|_VARIABLE: Final = |\$\{?)"?(SDREST_[A-Z_]+)""", text)
    )
    assert {"SDREST_API_KEY", "SDREST_SHIM", "SDREST_STATE", "SDREST_BENCH_FRACTION", "SDREST_TEST_BROWSER"} <= read
    for name in read - {f"SDREST_{setting.upper()}" for setting in Settings.model_fields}:
        monkeypatch.setenv(name, "")
    load_settings({})
