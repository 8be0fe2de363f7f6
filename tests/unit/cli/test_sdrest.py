"""The list of commands: it says what the commands say, and costs none of what they import."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from sdrest.cli.sdrest import main

#: Takes long to import, and is of no use to somebody who asks what commands there are.
HEAVY = {"aiohttp", "huggingface_hub", "jinja2", "numpy", "PIL", "pydantic", "stable_diffusion_cpp", "structlog"}
#: Modules that may be imported when the engine's process is started, the interpreter's included; the server has twice as many.
_MOST_MODULES = 560
_ASK = """
import sys
from sdrest.cli.sdrest import main
main(["--help"], standalone_mode=False)
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_the_list_says_of_each_command_what_the_command_says(name: str) -> None:
    context = click.Context(main)
    formatter = click.HelpFormatter(width=200)
    main.format_commands(context, formatter)
    lines = dict(line.split(maxsplit=1) for line in formatter.getvalue().splitlines()[1:])
    command = main.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert lines[name] == command.get_short_help_str(200)


def test_who_asks_what_commands_there_are_waits_for_none_of_them() -> None:
    asked = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=True)
    assert "serve" in asked.stdout
    loaded = asked.stderr.split()
    assert not HEAVY & set(loaded)
    assert {name for name in loaded if name.startswith("sdrest.cli.")} == {"sdrest.cli.interrupts", "sdrest.cli.sdrest"}


def test_the_engine_is_started_before_most_of_the_server_is_imported() -> None:
    ask = "import sys, sdrest.cli.serve; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split())
    assert not {"aiohttp", "huggingface_hub", "jinja2", "numpy", "PIL", "sqlite3", "stable_diffusion_cpp"} & loaded
    assert len(loaded) <= _MOST_MODULES
