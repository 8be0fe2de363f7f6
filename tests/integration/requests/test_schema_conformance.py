"""Every route answers generated input as the OpenAPI document says: no 5xx, no undocumented status, no body of another shape.

The server runs in a thread of its own; the queue is paused, so that nothing but the HTTP side is exercised.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx
import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.web.http.openapi import document

EXAMPLES = 3
MANY_EXAMPLES = 60


def no_server_error(_ctx: Any, response: Any, _case: Any) -> bool | None:
    """No 5xx but those that say that the queue is paused or that the job is not finished yet."""
    text = response.content.decode(errors="replace")
    unavailable = response.status_code == 503 and ("not finished yet" in text or "the queue is paused" in text)
    assert response.status_code < 500 or unavailable, text
    return None


CHECKS: list[CheckFunction] = [
    no_server_error,
    status_code_conformance,
    response_schema_conformance,
    content_type_conformance,
]
#: These never end by themselves, wait for a job, or end the server.
LEFT_OUT = {
    ("GET", "/api/jobs/{job_id}/events"),
    ("GET", "/api/ws"),
    ("POST", "/api/system/restart"),
    ("POST", "/api/queue/resume"),
}
#: Synchronous routes wait so long for a job, which here never ends; then 503 is the right answer.
SYNCHRONOUS_SECONDS = 0.1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server whose queue is paused."""
    folder: Path = tmp_path_factory.mktemp("schema")
    started, loop = threading.Event(), asyncio.new_event_loop()
    address: list[str] = []
    configured = load_settings(
        {
            "data_dir": folder / "data",
            "models_dir": folder / "models",
            "log_level": "error",
            "sync_timeout_seconds": SYNCHRONOUS_SECONDS,
            "fetch_timeout_seconds": 0.5,
            # The hubs are not asked: these addresses are refused.
            "civitai_url": "http://127.0.0.1:9",
            "hf_endpoint": "http://127.0.0.1:9",
        }
    )

    async def run() -> web.AppRunner:
        runner = web.AppRunner(build_app(configured), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        address.append(f"http://{host}:{port}")
        started.set()
        return runner

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(run())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(60)
    httpx.post(f"{address[0]}/api/queue/pause").raise_for_status()
    yield address[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)


def _operations() -> list[Any]:
    app = build_app(load_settings({"log_level": "error"}))
    schema = schemathesis.openapi.from_dict(document(app))
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    found: list[Any] = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return [operation for operation in found if (operation.method.upper(), operation.path) not in LEFT_OUT]


OPERATIONS = _operations()


every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])


@every_operation
def test_answers_are_as_documented(server: str, operation: Any) -> None:
    call(server, operation, EXAMPLES)


@pytest.mark.nightly
@every_operation
def test_answers_to_much_more_input_are_as_documented(server: str, operation: Any) -> None:
    call(server, operation, MANY_EXAMPLES)


def call(server: str, operation: Any, examples: int) -> None:
    """Call an operation with as many generated inputs, good and bad, and check the answers."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except (Unsatisfiable, SkipTest):  # nothing of this operation can be wrong
            return
        case.call_and_validate(base_url=server, checks=CHECKS)

    check()
