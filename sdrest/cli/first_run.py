"""``make run``: start the server, make the first picture through HTTP, say where it is."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import click
import httpx

from sdrest.cli.configuration import load_settings
from sdrest.cli.interrupts import heed_interrupts
from sdrest.cli.logging import configure_logging
from sdrest.cli.serve import serving
from sdrest.core.errors import SdrestError

_PROMPT = "a red apple on a white background"


@click.command()
@click.option("--once", is_flag=True, help="Stop after the picture.")
@click.option("--port", type=int, default=None, help="TCP port.")
def main(once: bool, port: int | None) -> None:
    """Start the server and make a picture."""
    heed_interrupts()
    settings = load_settings({"port": port} if port is not None else {})
    configure_logging(settings.log_level, as_json=settings.log_json)

    async def run() -> None:
        async with serving(settings, needs_engine=True) as server:
            file = await _first_picture(server.url, settings.output_dir.parent)
            click.echo(f"\nthe first picture is {file.resolve()}")
            if not once:
                click.echo(f"the server is at {server.url} (Ctrl-C stops it)")
                await server.stopped()

    try:
        asyncio.run(run())
    except SdrestError as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None


async def _first_picture(url: str, folder: Path) -> Path:
    async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(30, read=600)) as client:
        reply = await client.post("/api/v1/generate", json={"prompt": _PROMPT, "seed": 42})
        body = reply.json()
        if reply.is_error:
            raise click.ClickException(str(body.get("error")))
        file = folder / "first-picture.png"
        file.write_bytes(base64.b64decode(body["images"][0]["data"]))
        return file


if __name__ == "__main__":
    main()
