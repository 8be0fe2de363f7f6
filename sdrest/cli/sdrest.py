"""``sdrest``: the server and what goes with it on the command line."""

from __future__ import annotations

import click

from sdrest import __version__
from sdrest.cli.doctor import doctor
from sdrest.cli.generate import generate
from sdrest.cli.openapi import openapi
from sdrest.cli.serve import serve
from sdrest.cli.token import token
from sdrest.cli.user import user


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-v", "--version")
def main() -> None:
    """A dependable server, web UI and command line for stable-diffusion.cpp."""


main.add_command(serve)
main.add_command(generate)
main.add_command(doctor)
main.add_command(openapi)
main.add_command(user)
main.add_command(token)
