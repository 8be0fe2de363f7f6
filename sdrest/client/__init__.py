"""A typed client of an sdrest server, with the same calls for ``async`` programs and for others.

    from sdrest.client import Client

    with Client("http://127.0.0.1:8080") as client:
        job = client.submit("text2img", prompt="a red apple", seed=7)
        job = client.wait(job, on_progress=lambda progress: print(f"{progress.percent:.0f} %"))
        client.save(job, "apple.png")

It imports nothing of the server.
"""

from sdrest.client.asynchronous import AsyncClient
from sdrest.client.errors import ClientError, JobFailed, ServerError
from sdrest.client.replies import (
    Failure,
    HubFile,
    HubListing,
    HubModel,
    Image,
    Job,
    ModelName,
    ModelSet,
    ModelSummary,
    Preview,
    Progress,
    Pulled,
    PulledFile,
    SetChoice,
)
from sdrest.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Failure",
    "HubFile",
    "HubListing",
    "HubModel",
    "Image",
    "Job",
    "JobFailed",
    "ModelName",
    "ModelSet",
    "ModelSummary",
    "Preview",
    "Progress",
    "Pulled",
    "PulledFile",
    "ServerError",
    "SetChoice",
]
