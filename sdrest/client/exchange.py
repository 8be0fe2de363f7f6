"""What both clients say and understand, without any input or output: requests as values, replies checked, events parsed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import msgspec

from sdrest.client.errors import ServerError
from sdrest.client.replies import Job, ModelSummary, Preview, Progress

DEFAULT_URL: Final = "http://127.0.0.1:8080"
TIMEOUT_SECONDS: Final = 30.0
#: Events may stay away for as long as a job waits.
LISTENING_TIMEOUT: Final = httpx.Timeout(TIMEOUT_SECONDS, read=None)
#: How long a dropped stream of events is taken up again, with pauses between: a server that restarts keeps its jobs.
RECONNECT_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.5

T = TypeVar("T")
#: Called with each new progress.
OnProgress = Callable[[Progress], object]
OnPreview = Callable[[Preview], object]


def headers_for(api_key: str) -> dict[str, str]:
    """The headers of every request; ``api_key`` may also be an access token."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def encoded(value: Any) -> Any:
    """A parameter as JSON: bytes and paths of pictures become base64, also within lists."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case PathLike():
            return base64.b64encode(Path(value).read_bytes()).decode()
        case list() | tuple():
            return [encoded(item) for item in value]
        case Mapping():
            return {name: encoded(item) for name, item in value.items()}
        case _:
            return value


def body_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a submission; parameters that are None are left out."""
    body = {name: encoded(value) for name, value in parameters.items() if value is not None}
    if "sampler" in body:  # the routes' name for it
        body["sampling_method"] = body.pop("sampler")
    return body


def checked(reply: httpx.Response, kind: type[T]) -> T:
    """The reply's value.

    Raises:
        ServerError: the server refused the request, or is not an sdrest server.
    """
    refuse(reply)
    try:
        return msgspec.json.decode(reply.content, type=kind)
    except msgspec.MsgspecError as error:
        raise ServerError(reply.status_code, {"error": f"not the answer of an sdrest server: {error}"}) from None


def refuse(reply: httpx.Response) -> None:
    """Raise :class:`ServerError` for an error reply whose body has been read."""
    if not reply.is_error:
        return
    try:
        body = reply.json()
    except ValueError:
        body = {"error": reply.text[:500] or None}
    raise ServerError(reply.status_code, body if isinstance(body, Mapping) else {})


def model_of(item: Mapping[str, Any]) -> ModelSummary:
    """One entry of the list of models."""
    return msgspec.convert(item, ModelSummary, strict=False)


def target_of(target: str | PathLike[str], index: int) -> Path:
    """The file for picture ``index`` of a job: ``target``, and ``target-1`` and so on for further ones."""
    path = Path(target)
    return path if index == 0 else path.with_stem(f"{path.stem}-{index}")


@dataclass(slots=True)
class JobEvents:
    """A job's stream of events, fed line by line: whether anything has been heard, and whether the job's last state has."""

    on_progress: OnProgress | None = None
    on_preview: OnPreview | None = None
    heard: bool = False
    ended: bool = False
    _event: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, line: str) -> None:
        """One line without its end."""
        self.heard = True
        if not line:
            if self._data:
                self._heard(self._event, "\n".join(self._data).encode())
            self._event, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)

    def _heard(self, event: str, data: bytes) -> None:
        match event:
            case "progress" if self.on_progress is not None:
                self.on_progress(msgspec.json.decode(data, type=Progress))
            case "preview" if self.on_preview is not None:
                self.on_preview(msgspec.json.decode(data, type=Preview))
            case "snapshot" | "state":
                job = msgspec.json.decode(data, type=Job)
                self.ended = job.is_finished
                if self.on_progress is not None:
                    self.on_progress(job.progress)
            case "removed":
                self.ended = True
            case _:
                pass
