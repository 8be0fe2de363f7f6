"""Workers on other machines: their connection, the files of their jobs, and a list of them for people.

What is below ``/workers/files`` is bound to a lease: whoever shows it works on that job, until the job is somebody else's.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from typing_extensions import TypedDict

from sdrest.core.errors import Conflict, Forbidden, Gone, InvalidInput, NotFound, SdrestError
from sdrest.core.files import existing
from sdrest.core.job import Job, JobState
from sdrest.core.principal import Permission
from sdrest.settings import AuthMode
from sdrest.web.http.access import requires
from sdrest.web.http.keys import FLEET, JOBS, MODELS, PRINCIPAL, ROSTER, SETTINGS
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.worker_views import WorkerView, worker_view
from sdrest.work import worker_frames as frames

log = structlog.get_logger(__name__)

_HEARTBEAT_SECONDS: Final = 15.0
_HELLO_SECONDS: Final = 10.0
#: A preview is the largest thing that comes.
_MESSAGE_BYTES: Final = 16 << 20
_RECEIVED: Final = "X-Received-Bytes"


class WorkersReply(TypedDict):
    """The workers that are connected to this server, or to another one on the same database."""

    workers: list[WorkerView]


@operation("workers", reply=WorkersReply)
@requires(Permission.MANAGE_QUEUE)
async def workers(request: web.Request) -> web.Response:
    """The workers on other machines, of all servers on the database, and what they do."""
    roster = request.app[ROSTER]
    await roster.look()
    return json_reply({"workers": [worker_view(item) for item in roster.workers]})


@operation("workers", reply=WorkerView)
@requires(Permission.MANAGE_QUEUE)
async def drain(request: web.Request) -> web.Response:
    """Have a worker finish what it does, and leave: by its name, or its session where several have that name."""
    return json_reply(worker_view(await request.app[ROSTER].drain(request.match_info["worker"])))


# ---------------------------------------------------------------------- the connection


@operation("workers", status=101, reply=Reply(None, description="A WebSocket"), errors=(400, 403))
@requires(Permission.WORK)
async def connect(request: web.Request) -> web.WebSocketResponse:
    """The connection of a worker; for `sdrest worker`, whose version must be that of the server."""
    _refuse_exposure(request)
    socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_MESSAGE_BYTES)
    await socket.prepare(request)
    outgoing: asyncio.Queue[frames.FromServer] = asyncio.Queue()

    async def send_all() -> None:
        while True:
            await socket.send_bytes(frames.encode(await outgoing.get()))

    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            hello = frames.from_worker(await socket.receive_bytes())
        if not isinstance(hello, frames.Hello):
            raise TypeError
    except (TimeoutError, TypeError, msgspec.DecodeError):
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"a worker says hello first")
        return socket
    fleet, send = request.app[FLEET], outgoing.put_nowait
    try:
        worker = await fleet.join(hello, request[PRINCIPAL].name, send)
    except SdrestError as error:
        log.warning("a worker cannot be taken in at the moment", worker=hello.worker, problem=error.message)
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        return socket
    sender = asyncio.create_task(send_all(), name=f"worker-{worker.name}-sender")
    try:
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                break
            await fleet.heard(worker, frames.from_worker(message.data))
    except msgspec.DecodeError:
        log.warning("a worker says what is not understood", worker=worker.name)
    finally:
        fleet.left(worker, send)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
    return socket


def _refuse_exposure(request: web.Request) -> None:
    """Raise unless nobody on the way can read along, or pass for a worker."""
    if _is_local(request.remote or "127.0.0.1"):
        return
    if not request.secure:
        raise Forbidden("a worker on another machine must come by https")
    if request.app[SETTINGS].auth is AuthMode.NONE:
        raise Forbidden("a worker on another machine needs an API key, and a server with --auth other than none")


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


# ---------------------------------------------------------------------- files


async def _job(request: web.Request) -> Job:
    """The job whose lease the address shows."""
    job = await request.app[JOBS].store.get(request.match_info["job_id"])
    if job is None or job.state is not JobState.RUNNING or job.lease_id != request.match_info["lease"]:
        raise Gone("this attempt is over: the job is somebody else's, or has ended")
    return job


@operation("workers", reply=Reply(None, "application/octet-stream"), errors=(404, 410))
@requires(Permission.WORK)
async def job_input(request: web.Request) -> web.StreamResponse:
    """An input picture of a job that the worker carries out; takes ranges."""
    job = await _job(request)
    folder = request.app[JOBS].files.input_folder(job.id)
    return web.FileResponse(await asyncio.to_thread(existing, folder, request.match_info["file"]))


@operation("workers", reply=Reply(None, "application/octet-stream"), errors=(404,))
@requires(Permission.WORK)
async def model_file(request: web.Request) -> web.StreamResponse:
    """A model file that a worker has not got; takes ranges."""
    model = request.app[MODELS].catalogue.get(request.match_info["model_id"])
    if model is None or not await asyncio.to_thread(model.path.is_file):
        raise NotFound("there is no such model file here")
    return web.FileResponse(model.path)


@operation("workers", reply=Reply(None, description="How many bytes have come, in X-Received-Bytes"), errors=(410,))
@requires(Permission.WORK)
async def received(request: web.Request) -> web.Response:
    """How much of an output has come already, so that its upload goes on from there."""
    target = await _target(request)
    return web.Response(headers={_RECEIVED: str(await asyncio.to_thread(_size, target))})


@operation("workers", status=204, reply=Reply(None, description="The output is whole"), errors=(400, 409, 410))
@requires(Permission.WORK)
async def output(request: web.Request) -> web.Response:
    """A part of an output, or all of it, from `offset`; with its last byte its SHA-256 is compared."""
    target = await _target(request)
    try:
        offset, size = int(request.query["offset"]), int(request.query["size"])
        digest = request.query["sha256"]
    except (KeyError, ValueError):
        raise InvalidInput("offset, size and sha256 are needed", field="offset") from None
    if size > request.app[SETTINGS].max_model_bytes or offset < 0:
        raise InvalidInput("is not a size that an output has", field="size")
    if await asyncio.to_thread(_size, target) != offset:
        raise Conflict("that is not where the upload goes on", received=await asyncio.to_thread(_size, target))
    await _append(target, request.content.iter_chunked(1 << 18), size - offset)
    if await asyncio.to_thread(_size, target) < size:
        raise InvalidInput("the upload has ended early", field="size")
    await _job(request)  # who has lost the job meanwhile writes nothing
    if not await asyncio.to_thread(_settle, target, digest):
        raise InvalidInput("the file that has come is another one", field="sha256")
    return web.Response(status=204)


async def _target(request: web.Request) -> Path:
    """Where the bytes of an output are collected: in the folder of the attempt."""
    job, name = await _job(request), request.match_info["file"]
    if "/" in name or name.startswith(".") or len(name) > 200:
        raise InvalidInput("is no name of an output", field="file")
    return request.app[JOBS].files.staging_folder(job) / f".{name}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


async def _append(target: Path, chunks: AsyncIterator[bytes], most: int) -> None:
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    with await asyncio.to_thread(target.open, "ab") as stream:
        async for chunk in chunks:
            most -= len(chunk)
            if most < 0:
                raise InvalidInput("more has come than the output has", field="size")
            await asyncio.to_thread(stream.write, chunk)


def _settle(target: Path, digest: str) -> bool:
    """Give a whole output its name; False, and nothing is left, when it is another one."""
    with target.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != digest:
        target.unlink()
        return False
    target.replace(target.with_name(target.name[1 : -len(".part")]))
    return True


_OF_JOB: Final = "/workers/files/{job_id}/{lease}"
ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/workers", workers),
    ("GET", "/workers/connect", connect),
    ("POST", "/workers/{worker}/drain", drain),
    ("GET", "/workers/models/{model_id}", model_file),
    ("GET", _OF_JOB + "/inputs/{file}", job_input),
    ("GET", _OF_JOB + "/outputs/{file}", received),
    ("PUT", _OF_JOB + "/outputs/{file}", output),
)
