"""What commands that work through a server have in common: a running one, or one of this process for the command only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from sdrest.cli.options import settings_from
from sdrest.cli.serve import serving
from sdrest.client import AsyncClient, ClientError
from sdrest.core.errors import SdrestError
from sdrest.registry.opening import BORROWED_FOLDER

F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    """Decorate a command with ``--url`` and ``--api-key``."""
    command = click.option("--api-key", envvar="SDREST_API_KEY", help="Key for the server.")(command)
    return click.option("--url", help="Use the server at this address instead of working here.")(command)


@asynccontextmanager
async def connected(
    url: str | None,
    api_key: str | None,
    config: Path | None,
    flags: dict[str, Any],
    *,
    needs_engine: bool = False,
    keep: str = "",
) -> AsyncIterator[AsyncClient]:
    """A client of the server at ``url``; without one, of a server of this process: the same path through the queue.

    ``keep`` names a folder in the data folder for what the server of this process knows, so that the next command goes on with
    jobs that this one leaves; without it nothing is kept.

    Raises:
        EngineUnavailable: ``needs_engine``, and that of this process cannot start.
    """
    if url:
        async with AsyncClient(url, api_key=api_key or "") as client:
            yield client
        return
    with tempfile.TemporaryDirectory(prefix="sdrest-") as passing:
        real = settings_from(config, flags).data_dir.absolute()
        data_dir = real / keep if keep else Path(passing)
        _share_borrowed(real, data_dir)
        own = {"data_dir": str(data_dir), "host": "127.0.0.1", "port": 0, "auth": "none", "log_level": "error"}
        async with (
            serving(settings_from(config, {**flags, **own}), needs_engine=needs_engine) as server,
            AsyncClient(server.url) as client,
        ):
            yield client


def _share_borrowed(real: Path, data_dir: Path) -> None:
    """Let a server of another data folder know which programs lend models, and what was written here of those."""
    known, shared = real / BORROWED_FOLDER, data_dir / BORROWED_FOLDER
    if known.is_dir() and not os.path.lexists(shared):
        data_dir.mkdir(parents=True, exist_ok=True)
        shared.symlink_to(known)


@contextmanager
def problems_told(url: str | None) -> Iterator[None]:
    """Turn what goes wrong in the block into the command's message."""
    try:
        yield
    except httpx.HTTPError as error:
        raise click.ClickException(f"cannot reach {url}: {error}") from None
    except ClientError as error:
        raise click.ClickException(_said(error)) from None
    except SdrestError as error:
        raise click.ClickException(error.message) from None


def _said(error: ClientError) -> str:
    lines = "\n".join(f"  {field}: {message}" for field, message in getattr(error, "problems", ()))
    return f"the request is not right:\n{lines}" if lines else str(error)
