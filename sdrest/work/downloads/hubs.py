"""From what a request calls a source to the file that it stands for."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from sdrest.core.errors import SdrestError
from sdrest.net.streaming import Open
from sdrest.settings import Settings
from sdrest.work.downloads.civitai import find_on_civitai
from sdrest.work.downloads.hugging_face import check_installed, default_endpoint, find_on_hub, is_installed
from sdrest.work.downloads.sources import AddressSource, CivitaiSource, Found, HubSource, Source, parse_source
from sdrest.work.hubs.civitai import Civitai
from sdrest.work.hubs.hugging_face import HuggingFace


@dataclass(frozen=True, slots=True, kw_only=True)
class Hubs:
    """The addresses of the hubs and what the server shows them to be let in."""

    civitai_url: str
    civitai_api_key: str = field(default="", repr=False)
    #: Empty: what Hugging Face's own library finds (``HF_TOKEN``, or a stored login).
    hf_token: str = field(default="", repr=False)
    hf_endpoint: str = field(default_factory=default_endpoint)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The hubs that the settings name."""
        return cls(
            civitai_url=settings.civitai_url,
            civitai_api_key=settings.civitai_api_key.get_secret_value(),
            hf_token=settings.hf_token.get_secret_value(),
            hf_endpoint=settings.hf_endpoint or default_endpoint(),
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """``host:port`` of both: whoever sets a hub's address wants it reached, unless it lies in a private network."""
        return tuple(_authority(address) for address in (self.hf_endpoint, self.civitai_url))

    def parse(self, text: str) -> Source:
        """The source that a text means.

        Raises:
            InvalidInput: none.
            Unsupported: it needs a library that is not installed.
        """
        source = parse_source(text, hub_url=self.hf_endpoint, civitai_url=self.civitai_url)
        if isinstance(source, HubSource) and not is_installed():
            if text.strip().startswith("hf:"):
                check_installed()
            return AddressSource(text.strip().replace("/blob/", "/resolve/", 1))
        return source

    def address(self, source: Source) -> str:
        """The first address that is going to be opened for a source."""
        match source:
            case HubSource():
                return self.hf_endpoint
            case CivitaiSource():
                return self.civitai_url
            case AddressSource(url):
                return url

    async def find(self, source: Source, open_url: Open) -> Found:
        """Where the source's file is.

        Raises:
            NotFound, InvalidInput, Unsupported: it cannot be had.
            Unavailable: its host does not answer.
        """
        match source:
            case HubSource():
                found = await asyncio.to_thread(find_on_hub, source, endpoint=self.hf_endpoint, token=self.hf_token)
                origin = {"hub": "huggingface", "repository": source.repo_id, "file": source.filename}
                return dataclasses.replace(found, origin=origin, metadata=await self._metadata(source, open_url))
            case CivitaiSource():
                return await find_on_civitai(source, open_url, base_url=self.civitai_url, api_key=self.civitai_api_key)
            case AddressSource(url):
                return Found(url=url)

    def civitai(self, open_url: Open) -> Civitai:
        """CivitAI, to be searched."""
        return Civitai(open_url, base_url=self.civitai_url, api_key=self.civitai_api_key)

    def hugging_face(self, open_url: Open) -> HuggingFace:
        """Hugging Face, to be searched; with the token of the settings or of ``HF_TOKEN``."""
        token = self.hf_token or os.environ.get("HF_TOKEN", "")
        return HuggingFace(open_url, endpoint=self.hf_endpoint, token=token)

    async def _metadata(self, source: HubSource, open_url: Open) -> dict[str, Any]:
        """What a repository on Hugging Face tells of its model; nothing where it cannot be asked."""
        try:
            about = await self.hugging_face(open_url).about(source.repo_id)
        except SdrestError:  # the file is to be had all the same
            about = None
        if about is None:
            return {}
        told = {"licence": about.licence, "trigger_words": list(about.trigger_words), "base_model": about.base_model}
        return {name: value for name, value in told.items() if value}


def _authority(address: str) -> str:
    """``host:port`` of an address, or ``host`` where it names no port."""
    return urlsplit(address).netloc.rpartition("@")[2]


def name_of(source: Source) -> str:
    """What to call a source in lists before its file is known; nothing that a URL's query may hold."""
    match source:
        case HubSource(_, filename):
            return filename.rpartition("/")[2]
        case CivitaiSource(version_id, model_id):
            return f"civitai:{version_id or 'model ' + model_id}"
        case AddressSource(url):
            plain = url.partition("?")[0].partition("#")[0].rstrip("/")
            return plain.rpartition("/")[2] or plain
