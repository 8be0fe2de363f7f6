"""Clients of all kinds at once: each gets the picture that it asked for, and nobody a 5xx. `make soak` has the long form."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.faults.jobs import Client
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import place
from tests.mixed_clients import WAYS, Way, answer, one_picture, openai_edit, wishes

ROUNDS = 2
NIGHT_ROUNDS = 4


async def one_client(client: Client, way: Way, rounds: int) -> None:
    for wish in itertools.islice(wishes(way.__name__), rounds):
        await one_picture(client, way, wish)


async def mixed(client: Client, ways: tuple[Way, ...], rounds: int) -> None:
    """Let one client for each way ask for one picture after another."""
    async with asyncio.TaskGroup() as clients:
        for way in ways:
            clients.create_task(one_client(client, way, rounds))
    status = await answer(await client.get("/api/queue/status"))
    asked = rounds * len(ways)
    assert (status["completed_count"], status["total_count"]) == (asked, asked)


@pytest.mark.slow
async def test_each_client_gets_its_own_pictures(client: Client) -> None:
    await mixed(client, WAYS, ROUNDS)


@pytest.mark.nightly
async def test_each_client_gets_its_own_pictures_of_two_models(client_factory: ClientFactory, models_dir: Path) -> None:
    place(models_dir, "ovis", "tae16")
    await mixed(await client_factory(), (*WAYS, openai_edit), NIGHT_ROUNDS)
