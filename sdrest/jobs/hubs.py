"""From what a request calls a source to the file that it stands for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sdrest.jobs.civitai import find_on_civitai
from sdrest.jobs.hub import check_installed, default_endpoint, find_on_hub, is_installed
from sdrest.jobs.sources import AddressSource, CivitaiSource, Found, HubSource, Source, parse_source
from sdrest.jobs.transport import Open


@dataclass(frozen=True, slots=True, kw_only=True)
class Hubs:
    """The addresses of the hubs and what the server shows them to be let in."""

    civitai_url: str
    civitai_api_key: str = field(default="", repr=False)
    #: Empty: what Hugging Face's own library finds (``HF_TOKEN``, or a stored login).
    hf_token: str = field(default="", repr=False)
    hf_endpoint: str = field(default_factory=default_endpoint)

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
                return await asyncio.to_thread(find_on_hub, source, endpoint=self.hf_endpoint, token=self.hf_token)
            case CivitaiSource():
                return await find_on_civitai(source, open_url, base_url=self.civitai_url, api_key=self.civitai_api_key)
            case AddressSource(url):
                return Found(url=url)


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
