"""``sdrest workers``: the workers on other machines that are connected to a server."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import httpx

from sdrest.cli.accounts import table

_MIB = 1 << 20


@click.group()
def workers() -> None:
    """Workers on other machines that are connected to a server."""


def _server(command: Any) -> Any:
    command = click.option("--api-key", envvar="SDREST_API_KEY", help="Key with the permission manage_queue.")(command)
    return click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The server.")(command)


@workers.command("list")
@_server
def list_workers(url: str, api_key: str | None) -> None:
    """List the workers of all servers on the database, and what they do."""
    found = _ask("GET", url, "/api/workers", api_key)["workers"]
    rows = [("name", "server", "state", "engine", "device", "loaded", "job", "jobs", "pictures")]
    for item in found:
        for engine in item["engines"]:
            devices = ", ".join(
                f"{device['name']} {device['memory_bytes'] // _MIB} MiB" for device in engine["devices"]
            )
            rows.append(
                (
                    item["name"],
                    item["server"],
                    item["state"],
                    engine["name"],
                    devices or "-",
                    str(len(engine["loaded_models"])),
                    engine["job_id"] or "-",
                    str(item["jobs_done"]),
                    str(item["pictures_made"]),
                )
            )
    if len(rows) == 1:
        click.echo("no worker is connected")
    else:
        table(rows)


@workers.command()
@click.argument("name")
@_server
def drain(name: str, url: str, api_key: str | None) -> None:
    """Let a worker finish what it makes, and leave; NAME is its name or its session."""
    done = _ask("POST", url, f"/api/workers/{quote(name, safe='')}/drain", api_key)
    busy = any(engine["job_id"] for engine in done["engines"])
    click.echo(f"{done['name']} leaves{' when its job is done' if busy else ''}")


def _ask(method: str, url: str, path: str, api_key: str | None) -> Any:
    headers = {"X-API-Key": api_key} if api_key else {}
    try:
        reply = httpx.request(method, url.rstrip("/") + path, headers=headers, timeout=30)
        answer = reply.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise click.ClickException(f"{url} does not answer as a server does: {error}") from None
    if reply.is_error:
        raise click.ClickException(str(answer.get("error", reply.status_code)))
    return answer
