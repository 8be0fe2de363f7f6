"""The routes of the pages."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sdrest.web.http.errors import Problems
from sdrest.web.http.routing import Route
from sdrest.web.ui import (
    accounts,
    family,
    first_steps,
    gallery,
    gallery_actions,
    generate,
    groups,
    hubs,
    live,
    login,
    model_about,
    model_compare,
    model_tools,
    model_transfers,
    models,
    own_account,
    picture_info,
    provider_login,
    queue,
    system,
    use,
    wildcards,
    workers,
)
from sdrest.web.ui import (
    preset_saving as saving,
)
from sdrest.web.ui import (
    shell as app_shell,
)
from sdrest.web.ui.logbook import LOGBOOK, Logbook
from sdrest.web.ui.rendering import error_page, set_up_templates
from sdrest.web.ui.samples import SAMPLES, Samples
from sdrest.web.ui.static_files import STATIC_PREFIX, static_files

ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/ui/", generate.show),
    ("GET", "/ui/generate/{mode}", generate.show),
    ("POST", "/ui/generate/{mode}", generate.submit),
    ("POST", "/ui/generate/{mode}/save", saving.save),
    ("GET", "/ui/film", generate.film),
    ("POST", "/ui/stage/{job_id}/delete", generate.delete),
    ("POST", "/ui/stage/restore", generate.restore),
    ("GET", "/ui/demo-words", first_steps.show_words),
    ("GET", "/ui/generate/{mode}/model", generate.model_note),
    ("POST", "/ui/parameters", generate.read_picture_parameters),
    ("GET", picture_info.HERE, picture_info.show),
    ("POST", picture_info.HERE, picture_info.read),
    ("GET", wildcards.HERE, wildcards.show),
    ("POST", wildcards.HERE, wildcards.change),
    ("GET", "/ui/events", live.events),
    ("GET", "/ui/gallery", gallery.show),
    ("GET", "/ui/compare", gallery.compare),
    ("POST", "/ui/gallery/selection", gallery_actions.change),
    ("POST", "/ui/gallery/zip", gallery_actions.download),
    ("GET", "/ui/gallery/bin", gallery_actions.show_bin),
    ("GET", "/ui/gallery/bin/{job_id}/{file}", gallery_actions.binned_picture),
    ("GET", "/ui/gallery/{job_id}/{file}", gallery.show_picture),
    ("POST", "/ui/gallery/{job_id}/{file}/delete", gallery.delete),
    ("GET", "/ui/gallery/{job_id}/{file}/family", family.show),
    ("GET", "/ui/models", models.show),
    ("GET", hubs.HERE, hubs.show),
    ("GET", f"{hubs.HERE}/updates", hubs.updates),
    ("GET", "/ui/models/{model_id}", models.show_model),
    ("POST", "/ui/models/refresh", models.refresh),
    ("POST", "/ui/models/upload", model_transfers.upload),
    ("POST", "/ui/models/download", model_transfers.download),
    ("POST", "/ui/models/pull", model_transfers.pull),
    ("GET", "/ui/system", system.show),
    ("POST", "/ui/models/{model_id}/rename", saving.rename_saved),
    ("POST", "/ui/models/{model_id}/remove", saving.remove_saved),
    ("POST", "/ui/models/{model_id}/load", models.load),
    ("POST", "/ui/models/{model_id}/unload", models.unload),
    ("POST", "/ui/models/{model_id}/default", models.make_default),
    ("POST", "/ui/models/{model_id}/validate", model_tools.validate_model),
    ("POST", "/ui/models/{model_id}/hash", model_tools.hash_model),
    ("GET", "/ui/models/{model_id}/plan", model_tools.preview),
    ("POST", "/ui/models/{model_id}/convert", model_tools.convert),
    ("POST", "/ui/models/{model_id}/notes", model_about.write_notes),
    ("POST", "/ui/models/{model_id}/preview", model_about.choose_preview),
    ("POST", "/ui/models/{model_id}/sample", model_about.make_sample),
    ("POST", "/ui/models/{model_id}/measure", model_about.measure),
    ("GET", "/ui/models/{model_id}/compare", model_compare.show),
    ("POST", "/ui/models/{model_id}/compare", model_compare.paint),
    ("POST", "/ui/models/{model_id}/compare/convert", model_compare.convert),
    ("POST", "/ui/system/restart", system.restart),
    ("POST", "/ui/system/borrowed", system.borrow_folders),
    ("GET", workers.HERE, workers.show),
    ("POST", workers.HERE + "/{session}/drain", workers.drain),
    ("GET", "/ui/system/accounts", accounts.show),
    ("POST", "/ui/system/accounts", accounts.change),
    ("GET", use.HERE, use.show),
    ("POST", use.HERE, use.change),
    ("GET", own_account.HERE, own_account.show),
    ("POST", own_account.HERE, own_account.change),
    ("POST", "/ui/theme", app_shell.set_theme),
    ("POST", "/ui/language", app_shell.set_language),
    ("GET", "/ui/offline", app_shell.offline),
    ("GET", "/ui/service_worker.js", app_shell.service_worker),
    ("GET", "/ui/login", login.show),
    ("POST", "/ui/login", login.log_in),
    ("POST", "/ui/logout", login.log_out),
    ("GET", provider_login.HERE, provider_login.begin),
    ("GET", provider_login.BACK, provider_login.finish),
    ("GET", "/ui/groups", groups.show),
    ("POST", "/ui/groups", groups.submit),
    ("GET", "/ui/groups/new", groups.ask),
    ("GET", "/ui/groups/{group_id}", groups.show_group),
    ("POST", "/ui/groups/{group_id}/cancel", groups.cancel),
    ("POST", "/ui/groups/{group_id}/retry", groups.retry),
    ("POST", "/ui/groups/{group_id}/delete", groups.delete),
    ("GET", "/ui/queue", queue.show),
    ("POST", "/ui/queue/pause", queue.pause),
    ("POST", "/ui/queue/clear", queue.clear),
    ("GET", "/ui/jobs/{job_id}", queue.show_job),
    ("POST", "/ui/jobs/{job_id}/cancel", queue.cancel),
    ("POST", "/ui/jobs/{job_id}/retry", queue.retry),
    ("POST", "/ui/jobs/{job_id}/move", queue.move),
    ("POST", "/ui/jobs/{job_id}/delete", queue.delete),
    ("GET", "/ui/jobs/{job_id}/input/{file}", queue.input_picture),
)


def add_ui(app: web.Application, problems: Problems) -> None:
    """Add the pages to the application."""
    set_up_templates(app)
    problems.render_under("/ui", error_page)
    problems.render_under("/docs", error_page)
    for method, path, handler in ROUTES:
        app.router.add_route(method, path, handler)
    samples, logbook = app[SAMPLES], app[LOGBOOK] = Samples(), Logbook()
    app.cleanup_ctx.extend((samples.run, logbook.run))
    app.on_shutdown.append(logbook.end)
    app.router.add_get("/ui/system/log", logbook.events)
    for path in ("/{version}/{name}", "/{name}"):
        app.router.add_get(STATIC_PREFIX + path, static_files().handle)
    app.router.add_get("/ui", _home)
    app.router.add_get("/", _home)


async def _home(_request: web.Request) -> web.Response:
    """Go to the first page."""
    return web.Response(status=303, headers={"Location": "/ui/"})
