"""What can go wrong between a client and its server. Transport errors stay ``httpx.TransportError``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdrest.client.replies import Job


class ClientError(Exception):
    """Base of the errors here."""


class ServerError(ClientError):
    """The server refused a request; ``problems`` holds (field, message) pairs for faulty input."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        details = body.get("details") or {}
        errors: Sequence[Mapping[str, str]] = details.get("errors") or ()
        super().__init__(str(body.get("error") or f"the server answered {status}"))
        self.status = status
        self.slug = str(body.get("code") or "")
        self.problems = tuple((item["field"], item["message"]) for item in errors)
        #: Seconds to wait before trying again, where the server says so.
        self.retry_after_seconds: int | None = details.get("retry_after_seconds")


class JobFailed(ClientError):
    """A job that was waited for failed or was cancelled."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error or f"the job is {job.status}")
        self.job = job
