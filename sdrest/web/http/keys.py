"""Typed keys of what handlers of several rooms find on the application and on the request; what one alone needs is beside it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.auth.service import Caller
from sdrest.auth.setup import Access
from sdrest.core.background import Backgrounds
from sdrest.core.principal import Principal
from sdrest.engine.engines import Engines
from sdrest.jobs.groups import Groups
from sdrest.jobs.intake import Intake
from sdrest.jobs.quota_store import QuotaStore
from sdrest.jobs.quotas import Quotas
from sdrest.jobs.service import JobService
from sdrest.jobs.timings import TimingStore
from sdrest.jobs.worker import Worker
from sdrest.outputs.thumbnails import Thumbnails
from sdrest.planning.clip_tokens import ClipTokens
from sdrest.planning.default_model import DefaultModel
from sdrest.planning.size_memory import SizePlanner
from sdrest.registry.refreshing import Refresher
from sdrest.registry.registry import Registry
from sdrest.registry.wildcards import Wildcards
from sdrest.settings import Settings
from sdrest.web.http.lifecycle import Lifecycle
from sdrest.web.http.room import AtOnce, Held, Rooms
from sdrest.work.downloads.model_sets import ModelSets
from sdrest.work.downloads.requests import Downloads
from sdrest.work.fleet import Fleet
from sdrest.work.hubs.browsing import HubBrowser
from sdrest.work.loaded_models import Residency
from sdrest.work.prompt_expansion import PromptExpander
from sdrest.work.roster import Roster

SETTINGS: Final = web.AppKey("settings", Settings)
JOBS: Final = web.AppKey("jobs", JobService)
GROUPS: Final = web.AppKey("groups", Groups)
INTAKE: Final = web.AppKey("intake", Intake)
QUOTAS: Final = web.AppKey("quotas", Quotas)
QUOTA_STORE: Final = web.AppKey[QuotaStore]("quota_store")
ENGINES: Final = web.AppKey("engines", Engines)
BACKGROUNDS: Final = web.AppKey("backgrounds", Backgrounds)
DEFAULT_MODEL: Final = web.AppKey("default_model", DefaultModel)
MODELS: Final = web.AppKey("models", Registry)
REFRESHER: Final = web.AppKey("refresher", Refresher)
RESIDENCY: Final = web.AppKey("residency", Residency)
WORKERS: Final = web.AppKey("workers", list[Worker])
TIMINGS: Final = web.AppKey("timings", TimingStore)
SIZE_PLANNER: Final = web.AppKey("size_planner", SizePlanner)
FLEET: Final = web.AppKey("fleet", Fleet)
ROSTER: Final = web.AppKey("roster", Roster)
THUMBNAILS: Final = web.AppKey("thumbnails", Thumbnails)
DOWNLOADS: Final = web.AppKey("downloads", Downloads)
HUBS: Final = web.AppKey("hubs", HubBrowser)
MODEL_SETS: Final = web.AppKey("model_sets", ModelSets)
LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
ACCESS: Final = web.AppKey("access", Access)

ROOMS: Final = web.AppKey("rooms", Rooms)
STREAMS: Final = web.AppKey("streams", AtOnce)

HELD: Final = web.RequestKey("held", Held)
PRINCIPAL: Final = web.RequestKey("principal", Principal)
CALLER: Final = web.RequestKey("caller", Caller)
REQUEST_ID: Final = web.RequestKey("request_id", str)
CLIP_TOKENS: Final = web.AppKey("clip_tokens", ClipTokens)
WILDCARDS: Final = web.AppKey("wildcards", Wildcards)
EXPANDER: Final = web.AppKey[PromptExpander | None]("expander")
EXPANSIONS: Final = web.AppKey("expansions", AtOnce)
