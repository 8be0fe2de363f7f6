"""Jobs that work on model files beside the engine: hashing and converting. They run on a thread and report bytes as progress."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as ThreadPool
from pathlib import Path
from typing import Any

from sdrest.conversion.plan import Conversion, Plan, make_plan
from sdrest.conversion.process import convert_in_process
from sdrest.conversion.progress import Progress as ConversionProgress
from sdrest.conversion.rules import parse_rules, parse_type
from sdrest.core.errors import InvalidInput, ModelNotFound
from sdrest.core.job import Job
from sdrest.core.model import Model, ModelType
from sdrest.jobs.running import Attempt
from sdrest.jobs.worker import Result
from sdrest.registry.registry import Registry
from sdrest.work.progress import ByteMeter

#: Does the work of a job on a thread: told to report (done, total) bytes and to ask whether it is cancelled.
Work = Callable[[Job, Callable[[int, int], None], Callable[[], bool]], None]


class FileExecutor:
    """Runs one kind of work on files, on ``threads``; see :class:`sdrest.jobs.worker.Executor`."""

    def __init__(self, work: Work, threads: ThreadPool) -> None:
        self._work = work
        self._threads = threads

    async def execute(self, attempt: Attempt) -> Result:
        """See :class:`sdrest.jobs.worker.Executor`."""
        cancelled = threading.Event()
        attempt.on_cancel(cancelled.set)
        loop = asyncio.get_running_loop()
        started_at = time.monotonic()
        meter = ByteMeter()

        def report(done: int, total: int) -> None:
            progress = meter.at(done, total)
            if progress is not None:
                loop.call_soon_threadsafe(attempt.reached, progress)

        try:
            await loop.run_in_executor(self._threads, self._work, attempt.job, report, cancelled.is_set)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Result(seconds=time.monotonic() - started_at)


def hashing(registry: Registry) -> Work:
    """Hashes the models of a job (``models``: their ids)."""

    def work(job: Job, report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        models = [registry.catalogue.resolve(name) for name in job.parameters["models"]]
        total = sum(model.size for model in models)
        before = 0
        for model in models:
            registry.hash(model, lambda done, _size, before=before: report(before + done, total), cancelled)  # type: ignore[misc]
            before += model.size
        report(total, total)

    return work


def converting(registry: Registry) -> Work:
    """Converts a model (see :func:`conversion_of`); the result is registered when it is whole."""

    def work(job: Job, report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        def progress(step: ConversionProgress) -> None:
            report(step.done_bytes, step.total_bytes)

        conversion = conversion_of(registry, job.parameters)
        if _was_made_before(job, conversion.target):
            conversion = dataclasses.replace(conversion, overwrite=True)
        convert_in_process(conversion, progress=progress, cancelled=cancelled)
        registry.refresh()

    return work


def _was_made_before(job: Job, target: Path) -> bool:
    """Whether ``target`` is of an earlier attempt at the job, whose end the server did not live to store."""
    return job.attempt > 1 and target.exists() and target.stat().st_mtime >= job.created_at.timestamp()


def conversion_of(registry: Registry, parameters: Mapping[str, Any]) -> Conversion:
    """The conversion that a job's parameters, those of :func:`plan_conversion`, ask for.

    Raises:
        ModelNotFound, InvalidInput: the model has gone, or the type or a rule is not known.
    """
    return Conversion(
        source=registry.catalogue.resolve(parameters["model"]).path,
        target=Path(parameters["target"]),
        type=parse_type(parameters["type"], "quantization_type"),
        vae=registry.catalogue.resolve(parameters["vae"], ModelType.VAE).path if parameters.get("vae") else None,
        rules=parse_rules(parameters.get("rules", "")),
        convert_names=True,
        search=parameters.get("best", False),
        overwrite=parameters.get("overwrite", False),
    )


def plan_conversion(
    registry: Registry,
    model: Model,
    quantization: str,
    output: Path | None,
    rules: str,
    *,
    vae: str = "",
    best: bool = False,
    overwrite: bool = False,
) -> tuple[dict[str, Any], Plan]:
    """A conversion job's parameters and what it will write, once all that can be told beforehand is checked. Reads headers.

    Args:
        registry: Where the result is to be found later.
        model: What is converted.
        quantization: Type of the result, case ignored.
        output: File to write, within the model folders; relative ones are taken from the models directory, None is a name
            made of the model's and the type's, beside the model (for a built-in model: in the folder of its type).
        rules: Types by tensor name, see :func:`sdrest.conversion.rules.parse_rules`.
        vae: Name of an autoencoder to put in, instead of the one that the model may hold.
        best: Search for the scales of least error: the library's own bytes, much slower.
        overwrite: Replace a file that is there already.

    Raises:
        InvalidInput, NotFound, Forbidden, ModelUnusable: the conversion cannot be done like this.
    """
    wanted = parse_type(quantization, "quantization_type").value
    try:
        target = registry.folders.confine(output or folder_of(registry, model) / f"{model.name}-{wanted}.gguf")
        target.exists()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"no file can have this name: {reason}", field="output") from None
    parameters: dict[str, Any] = {"model": model.id, "type": wanted, "target": str(target), "rules": rules}
    try:
        parameters["vae"] = registry.catalogue.resolve(vae, ModelType.VAE).id if vae else ""
    except ModelNotFound as error:
        raise InvalidInput(error.message, field="vae") from None
    parameters |= {"best": best, "overwrite": overwrite}
    return parameters, make_plan(conversion_of(registry, parameters))


def folder_of(registry: Registry, model: Model) -> Path:
    """Where files made from a model belong: its own folder, for a model from elsewhere the folder of its type."""
    folders = registry.folders.all()
    own = model.path.parent.resolve()
    if not model.lender and any(own.is_relative_to(folder.path.resolve()) for folder in folders):
        return model.path.parent
    return registry.folders.primary(registry.folders.for_type(model.type))
