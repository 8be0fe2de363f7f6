"""Files on Hugging Face, by way of its own library (extra ``download``), which is asked for addresses and hashes only."""

from __future__ import annotations

import importlib.util
import os
import re

from sdrest.core.errors import InvalidInput, NotFound, Unavailable, Unsupported
from sdrest.work.downloads.sources import Found, HubSource

_SECONDS = 20.0
_LOGIN_HINT = "set hf_token (or HF_TOKEN), and accept the model's terms on its page"


def is_installed() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("huggingface_hub") is not None


def check_installed() -> None:
    """Do nothing when the library is there.

    Raises:
        Unsupported: with what to do.
    """
    if not is_installed():
        raise Unsupported(
            "downloads from Hugging Face need the package huggingface_hub; install it with: pip install 'sdrest[download]'"
        )


def default_endpoint() -> str:
    """The hub's address as its library takes it: from ``HF_ENDPOINT``, else its own. The library takes long to load."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def find_on_hub(source: HubSource, *, endpoint: str, token: str) -> Found:
    """Where a file of the hub is, with its hash when it is stored by it. Blocks; ``token`` empty: what the library finds.

    Raises:
        NotFound, InvalidInput: there is no such file, or it may not be read with this token.
        Unavailable: the hub does not answer.
    """
    check_installed()
    import httpx  # noqa: PLC0415
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415

    where = f"{source.repo_id}/{source.filename} at {source.revision}"
    try:
        url = hf_hub_url(source.repo_id, source.filename, revision=source.revision, endpoint=endpoint)
        found = get_hf_file_metadata(url, token=token or None, timeout=_SECONDS, endpoint=endpoint)
    except errors.GatedRepoError:
        raise InvalidInput(
            f"{source.repo_id} is only for those who have signed in: {_LOGIN_HINT}", field="source"
        ) from None
    except (errors.RemoteEntryNotFoundError, errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        kind = type(error).__name__.removesuffix("NotFoundError").removeprefix("Remote").lower()
        raise NotFound(f"Hugging Face has no such {kind}: {where} (or it needs a token: {_LOGIN_HINT})") from None
    except errors.HFValidationError as error:
        raise InvalidInput(str(error), field="source") from None
    except (errors.HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise Unavailable(f"Hugging Face does not tell where {where} is: {str(error).splitlines()[0]}") from None
    etag = (found.etag or "").strip('"')
    return Found(
        url=url,
        headers=build_hf_headers(token=token or None),
        name=source.filename.rpartition("/")[2],
        # Large files are stored under the SHA-256 of what they hold, and tagged by it.
        sha256=etag if re.fullmatch(r"[0-9a-f]{64}", etag) else "",
        login_hint=_LOGIN_HINT,
    )
