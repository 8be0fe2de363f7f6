"""The API's page: examples that the routes take, and forms for all that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from sdrest.app import build_app
from sdrest.settings import Settings
from sdrest.web.http.openapi import document
from sdrest.web.ui.docs_examples import example_of
from sdrest.web.ui.docs_page import read_groups

JSON = "application/json"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("docs")
    return document(build_app(Settings(data_dir=folder / "data", models_dir=folder / "models")))


def test_every_example_is_what_its_schema_takes(spec: dict[str, Any]) -> None:
    tried = 0
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            schema = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
            if schema is not None:
                jsonschema.validate(example_of(spec, schema), {**schema, "components": spec["components"]})
                tried += 1
            for item in operation["parameters"]:
                if item["required"] and item["in"] == "query":
                    jsonschema.validate(example_of(spec, item["schema"], item["name"]), item["schema"])
            assert method in {"get", "post", "put", "patch", "delete"}, path
    assert tried > 50


def test_an_example_has_what_must_be_given_and_what_is_usual(spec: dict[str, Any]) -> None:
    schema = spec["paths"]["/api/generate/text2img"]["post"]["requestBody"]["content"][JSON]["schema"]
    assert example_of(spec, schema) == {"prompt": "a red apple", "width": 512, "height": 512, "steps": 8, "seed": 42}
    schema = spec["paths"]["/api/gallery/delete"]["post"]["requestBody"]["content"][JSON]["schema"]
    assert [*example_of(spec, schema)] == ["files"]


def test_all_that_a_route_asks_for_is_in_its_form(spec: dict[str, Any]) -> None:
    entries = {entry.id: entry for group in read_groups(spec).values() for entry in group}
    output = entries["get_jobs_job_id_output_filename"]
    assert [(field.name, field.where) for field in output.asked][:2] == [("job_id", "path"), ("filename", "path")]
    assert {field.where for field in output.asked[2:]} == {"query"}
    assert output.example == ""
    upload = entries["post_models_upload"]
    assert [(field.name, field.is_file) for field in upload.form] == [
        ("type", False),
        ("path", False),
        ("sha256", False),
        ("file", True),
    ]
    assert not entries["get_ws"].can_try
    assert sum(len(group) for group in read_groups(spec).values()) == sum(map(len, spec["paths"].values()))
