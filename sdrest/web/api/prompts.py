"""Prompts before they are jobs: wildcards, and what a prompt would be drawn to."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.errors import Unsupported
from sdrest.core.parameters import MAX_PROMPT_CHARACTERS, MAX_SEED
from sdrest.core.principal import Permission
from sdrest.planning.clip_tokens import PIECE
from sdrest.planning.dynamic_prompts import drawn
from sdrest.planning.prompt_tokens import CLIP, readers_of
from sdrest.registry.wildcards import MOST_BYTES
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body
from sdrest.web.http.keys import CLIP_TOKENS, EXPANDER, EXPANSIONS, PRINCIPAL, WILDCARDS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.submission import chosen_model


class WildcardBody(Body):
    """The text of a wildcard."""

    text: str = Field(max_length=MOST_BYTES, description="One option a line; lines that begin with # are none.")


class DrawBody(Body):
    """A prompt to draw."""

    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS, description="A text with `{a|b}` and `__wildcards__`.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the first text; each further one has the next.")
    count: int = Field(1, ge=1, le=100, description="How many texts.")


class CountBody(Body):
    """A prompt to count."""

    prompt: str = Field(
        max_length=MAX_PROMPT_CHARACTERS, description="The prompt, with LoRA tags and weights as it is."
    )
    model: str = Field("", max_length=500, description="Any name of a model; empty: the default one.")


class ExpandBody(Body):
    """A prompt to make more of."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS, description="The prompt as it is.")


class ExpandedText(TypedDict):
    """A proposal: the prompt with more words."""

    prompt: str


class Counted(TypedDict):
    """How long a prompt is for a model."""

    #: Tokens of CLIP; null where no CLIP reads the whole prompt, or the native library's vocabulary is not found.
    tokens: int | None
    #: Tokens of a piece: what goes beyond the first is read in another one.
    piece: int


class WildcardNames(TypedDict):
    """The wildcards that are there."""

    wildcards: list[str]


class WildcardText(TypedDict):
    """A wildcard."""

    name: str
    text: str


class DrawnText(TypedDict):
    """What a seed draws."""

    seed: int
    prompt: str


class DrawnTexts(TypedDict):
    """What seeds draw."""

    prompts: list[DrawnText]


@operation("prompts", reply=WildcardNames)
async def names(request: web.Request) -> web.Response:
    """The names of the wildcards that prompts can draw from."""
    reply: WildcardNames = {"wildcards": await asyncio.to_thread(request.app[WILDCARDS].names)}
    return json_reply(reply)


@operation("prompts", reply=WildcardText)
async def read(request: web.Request) -> web.Response:
    """The lines of a wildcard."""
    name = request.match_info["name"]
    reply: WildcardText = {"name": name, "text": await asyncio.to_thread(request.app[WILDCARDS].read, name)}
    return json_reply(reply)


@requires(Permission.MANAGE_MODELS)
@operation("prompts", body=WildcardBody, reply=WildcardText, errors=(507,))
async def save(request: web.Request) -> web.Response:
    """Write a wildcard, in the place of one of that name."""
    name, body = request.match_info["name"], await read_body(WildcardBody, request)
    await asyncio.to_thread(request.app[WILDCARDS].save, name, body.text)
    reply: WildcardText = {"name": name, "text": body.text}
    return json_reply(reply)


@requires(Permission.MANAGE_MODELS)
@operation("prompts", reply=WildcardNames)
async def remove(request: web.Request) -> web.Response:
    """Delete a wildcard; the answer names those that are left."""
    await asyncio.to_thread(request.app[WILDCARDS].remove, request.match_info["name"])
    return await names(request)


@operation("prompts", body=DrawBody, reply=DrawnTexts)
async def draw(request: web.Request) -> web.Response:
    """Draw a prompt without making a picture: the texts that jobs with these seeds would have."""
    body, options = await read_body(DrawBody, request), request.app[WILDCARDS].options

    def work() -> DrawnTexts:
        seeds = range(body.seed, min(body.seed + body.count, MAX_SEED + 1))
        return {"prompts": [{"seed": seed, "prompt": drawn(body.prompt, seed, options)} for seed in seeds]}

    return json_reply(await asyncio.to_thread(work))


@operation("prompts", body=CountBody, reply=Counted, errors=(404,))
async def count(request: web.Request) -> web.Response:
    """Count the tokens that CLIP makes of a prompt. Language models and T5 have no pieces, and other vocabularies."""
    body = await read_body(CountBody, request)
    reads_clip = bool(readers_of(chosen_model(request, body.model)) & CLIP)
    tokens = await asyncio.to_thread(request.app[CLIP_TOKENS].count, body.prompt) if reads_clip else None
    reply: Counted = {"tokens": tokens, "piece": PIECE}
    return json_reply(reply)


@operation("prompts", body=ExpandBody, reply=ExpandedText, errors=(502,))
async def expand(request: web.Request) -> web.Response:
    """Have a language model make more of a prompt; nothing is queued.

    The model is one that the owner of the server has named (`prompt_expansion_url`); without one the answer is 400. LoRA tags are
    kept, and not shown to the model. 502 where the other server does not answer, with what it said.
    """
    expander = request.app[EXPANDER]
    if expander is None:
        raise Unsupported("no language model is set up here for prompts; see the setting prompt_expansion_url")
    body = await read_body(ExpandBody, request)
    with request.app[EXPANSIONS].one(request[PRINCIPAL].name):
        reply: ExpandedText = {"prompt": await expander.expand(body.prompt)}
    return json_reply(reply)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/wildcards", names),
    ("GET", "/wildcards/{name:.+}", read),
    ("PUT", "/wildcards/{name:.+}", save),
    ("DELETE", "/wildcards/{name:.+}", remove),
    ("POST", "/prompts/draw", draw),
    ("POST", "/prompts/tokens", count),
    ("POST", "/prompts/expand", expand),
)
