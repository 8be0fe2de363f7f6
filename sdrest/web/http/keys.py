"""Typed keys of what handlers find on the application and on the request."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.auth.service import Caller
from sdrest.auth.setup import Access
from sdrest.core.background import Backgrounds
from sdrest.core.principal import Principal
from sdrest.engine.client import Engine
from sdrest.jobs.allowance import Allowances
from sdrest.jobs.service import JobService
from sdrest.jobs.timings import TimingStore
from sdrest.jobs.worker import Worker
from sdrest.net.fetching import Fetcher, WebhookGuard
from sdrest.outputs.thumbnails import Thumbnails
from sdrest.planning.default_model import DefaultModel
from sdrest.registry.incoming import IncomingFiles
from sdrest.registry.refreshing import Refresher
from sdrest.registry.registry import Registry
from sdrest.settings import Settings
from sdrest.web.http.lifecycle import Lifecycle
from sdrest.web.http.metrics import Metrics
from sdrest.web.http.room import AtOnce, Held, Rooms
from sdrest.work.downloads.requests import Downloads
from sdrest.work.loaded_models import Residency
from sdrest.work.workshop import Workshop

SETTINGS: Final = web.AppKey("settings", Settings)
JOBS: Final = web.AppKey("jobs", JobService)
ENGINE: Final = web.AppKey("engine", Engine)
BACKGROUNDS: Final = web.AppKey("backgrounds", Backgrounds)
DEFAULT_MODEL: Final = web.AppKey("default_model", DefaultModel)
MODELS: Final = web.AppKey("models", Registry)
WORKSHOP: Final = web.AppKey("workshop", Workshop)
REFRESHER: Final = web.AppKey("refresher", Refresher)
THUMBNAILS: Final = web.AppKey("thumbnails", Thumbnails)
RESIDENCY: Final = web.AppKey("residency", Residency)
WORKERS: Final = web.AppKey("workers", list[Worker])
TIMINGS: Final = web.AppKey("timings", TimingStore)
WEBHOOK_GUARD: Final = web.AppKey("webhook_guard", WebhookGuard)
METRICS: Final = web.AppKey("metrics", Metrics)
FETCHER: Final = web.AppKey("fetcher", Fetcher)
INCOMING: Final = web.AppKey("incoming", IncomingFiles)
DOWNLOADS: Final = web.AppKey("downloads", Downloads)
LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
ACCESS: Final = web.AppKey("access", Access)
STARTED_AT: Final = web.AppKey("started_at", float)

ROOMS: Final = web.AppKey("rooms", Rooms)
STREAMS: Final = web.AppKey("streams", AtOnce)
UPLOADS: Final = web.AppKey("uploads", AtOnce)
ALLOWANCES: Final = web.AppKey("allowances", Allowances)

HELD: Final = web.RequestKey("held", Held)
PRINCIPAL: Final = web.RequestKey("principal", Principal)
CALLER: Final = web.RequestKey("caller", Caller)
REQUEST_ID: Final = web.RequestKey("request_id", str)
