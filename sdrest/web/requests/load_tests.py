"""Having a model loaded for trial: who may, and the job that does it."""

from __future__ import annotations

from aiohttp import web

from sdrest.core.errors import Forbidden, InvalidInput
from sdrest.core.job import Job, JobType
from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.principal import Permission
from sdrest.web.http.keys import INTAKE, PRINCIPAL


def may_test_loading(request: web.Request, model: Model) -> None:
    """Check that the caller may have this model loaded for trial.

    Raises:
        Forbidden: it takes memory, so it needs the permission to manage models.
        InvalidInput: it is no main model.
    """
    if not request[PRINCIPAL].may(Permission.MANAGE_MODELS):
        raise Forbidden("loading a model for trial needs the permission 'manage_models'")
    if not model.type & MAIN_TYPES:
        raise InvalidInput(f"{model.name} is of type {model.type.slug}; only main models are loaded", field="load_test")


async def queue_load_test(request: web.Request, model: Model) -> Job:
    """The job that loads a main model for trial."""
    return await request.app[INTAKE].submit_task(
        JobType.LOAD_TEST, {}, request[PRINCIPAL], model_id=model.id, model_name=model.name
    )
