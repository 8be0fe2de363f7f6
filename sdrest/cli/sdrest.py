"""``sdrest``: the server and what goes with it on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from sdrest import __version__
from sdrest.cli.interrupts import heed_interrupts

#: What each command is for; it is the command of that name in the module of that name. The list of commands is printed from
#: here: to look the lines up would import every command.
_COMMANDS: Final = {
    "database": "The database: its schema, and moving to another one.",
    "doctor": "Check the installation: native library, devices, model folders, write access, logins.",
    "generate": "Make a picture from PROMPT.",
    "info": "Show what is written in picture files.",
    "models": "Model files on this machine.",
    "openapi": "Write the OpenAPI 3.1 document to standard output.",
    "pull": "Get a model set: a model and all the parts that it needs.",
    "run": "Make a picture from PROMPT, with a model that is fetched first where it is not here.",
    "serve": "Start the server.",
    "token": "API keys for programs.",
    "user": "Accounts for the modes jwt and optional.",
    "worker": "Make pictures for a server on another machine.",
    "workers": "Workers on other machines that are connected to a server.",
}


class _Commands(click.Group):
    """Loads the module of a command when it is asked for: no command waits for what only another one needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"sdrest.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-v", "--version")
def main() -> None:
    """A dependable server, web UI and command line for stable-diffusion.cpp."""
    heed_interrupts()
