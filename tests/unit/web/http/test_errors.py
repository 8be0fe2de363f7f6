"""Every error class has a slug of its own, a status, and a reply in the shape of each dialect."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

import sdrest
from sdrest.app import build_app
from sdrest.core import errors
from sdrest.settings import Settings
from sdrest.web.http.errors import STATUS_OF, HttpError, Problems, status_of
from sdrest.web.http.keys import REQUEST_ID

#: Paths in the reach of each shape.
PATHS = ("/api/x", "/api/v1/x", "/v1/images/generations", "/sdapi/v1/txt2img", "/sdcpp/v1/img_gen", "/text-to-image")


def every_class() -> list[type[errors.SdrestError]]:
    """All error classes of the program, whichever module has them."""
    # Of an installation in place, the package's path holds the folder around it as well.
    for module in pkgutil.walk_packages([str(Path(sdrest.__file__).parent)], "sdrest."):
        # The native libraries lie in the package of an installed tree; they are no modules of Python.
        if not any(part in module.name for part in (".binding", ".__main__", ".libsdrest_")):
            import_module(module.name)
    found: list[type[errors.SdrestError]] = [errors.SdrestError]
    for known in found:
        found.extend(sub for sub in known.__subclasses__() if sub not in found)
    return [known for known in found if known.__module__.startswith("sdrest.")]


CLASSES = every_class()


def raised(kind: type[errors.SdrestError]) -> errors.SdrestError:
    """An error of the class."""
    if kind is HttpError:
        return HttpError(web.HTTPNotFound())
    error = kind.__new__(kind)
    errors.SdrestError.__init__(error, "what is wrong")
    if isinstance(error, errors.InvalidInput):
        error.problems = (errors.FieldProblem("steps", "what is wrong"),)
    if isinstance(error, errors.QueueFull):
        error.retry_after_seconds = 7
    return error


def test_slugs_are_stable_words_and_differ() -> None:
    slugs = [kind.slug for kind in CLASSES if "slug" in vars(kind)]
    assert len(slugs) == len(set(slugs))
    assert all(slug == slug.lower() and slug.replace("_", "").isalpha() for slug in slugs)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_a_documented_status(kind: type[errors.SdrestError]) -> None:
    assert status_of(raised(kind)) in {*STATUS_OF.values(), 404}


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if "slug" in vars(kind)], ids=lambda kind: kind.__name__)
def test_an_error_that_was_stored_is_told_like_the_one_that_was_raised(kind: type[errors.SdrestError]) -> None:
    stored = errors.error_of(kind.slug, "what is wrong")
    assert (stored.slug, status_of(stored)) == (kind.slug, status_of(raised(kind)))
    assert "what is wrong" in stored.message


def test_a_stored_error_names_its_field_and_one_of_a_slug_that_is_gone_is_a_plain_one() -> None:
    stored = errors.error_of("invalid_input", "loras.0.name: no LoRA is named 'x'")
    assert isinstance(stored, errors.InvalidInput)
    assert (stored.problems[0].field, stored.message) == ("loras.0.name", "loras.0.name: no LoRA is named 'x'")
    old = errors.error_of("of_old", "what was wrong")
    assert (type(old), old.slug, old.message) == (errors.SdrestError, "of_old", "what was wrong")


@pytest.mark.parametrize("path", PATHS)
def test_every_class_is_rendered_in_every_shape(path: str) -> None:
    app = build_app(Settings())
    problems = next(
        cell.cell_contents
        for middleware in app.middlewares
        for cell in getattr(middleware, "__closure__", None) or ()
        if isinstance(cell.cell_contents, Problems)
    )
    for kind in CLASSES:
        request = make_mocked_request("POST", path, app=app)
        request[REQUEST_ID] = "0" * 32
        error = raised(kind)
        reply = problems.reply(request, error)
        assert reply.status >= 400
        assert reply.content_type == "application/json"
        assert isinstance(reply.body, bytes)
        body = json.loads(reply.body)
        assert error.message in json.dumps(body, ensure_ascii=False)
        if path.startswith("/api"):
            assert body["code"] == error.slug
            assert reply.status == status_of(error)
        if path.startswith("/v1/"):
            assert {"message", "type", "param", "code"} <= body["error"].keys()
        if path.startswith("/sdapi"):
            assert {"error", "detail", "body", "errors"} <= body.keys()
        if isinstance(error, errors.QueueFull):
            assert int(reply.headers["Retry-After"]) > 0
