"""The OpenAPI document: complete, valid, and made from the models that validate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner
from openapi_spec_validator import OpenAPIV31SpecValidator

from sdrest.app import build_app
from sdrest.cli.sdrest import main
from sdrest.core.names import Sampler
from sdrest.settings import Settings
from sdrest.web.http.openapi import document, documented_routes


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> web.Application:
    folder: Path = tmp_path_factory.mktemp("openapi")
    return build_app(Settings(data_dir=folder / "data", models_dir=folder / "models"))


@pytest.fixture(scope="module")
def spec(app: web.Application) -> dict[str, Any]:
    return document(app)


def test_every_route_is_described(app: web.Application) -> None:
    missing = [f"{route.method} {route.path}" for route in documented_routes(app) if route.operation is None]
    assert not missing, "decorate these handlers with sdrest.web.http.operations.operation"


def test_every_description_has_a_summary_that_ends(app: web.Application) -> None:
    for route in documented_routes(app):
        assert route.operation is not None
        assert route.operation.summary.endswith("."), f"{route.method} {route.path}: {route.operation.summary!r}"


def test_the_document_is_valid(spec: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(spec).validate()


def test_operation_ids_are_unique(spec: dict[str, Any]) -> None:
    ids = [operation["operationId"] for methods in spec["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_limits_come_from_the_parameter_table(spec: dict[str, Any]) -> None:
    fields = spec["components"]["schemas"]["Text2Img"]["properties"]
    assert (fields["steps"]["minimum"], fields["steps"]["maximum"]) == (1, 1000)
    assert spec["components"]["schemas"]["Sampler"]["enum"] == list(Sampler)


def test_public_routes_ask_for_no_credentials(spec: dict[str, Any]) -> None:
    assert spec["paths"]["/api/health"]["get"]["security"] == [{}]
    assert "security" not in spec["paths"]["/api/queue/status"]["get"]


def test_the_command_writes_the_document() -> None:
    result = CliRunner().invoke(main, ["openapi"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["openapi"] == "3.1.0"
