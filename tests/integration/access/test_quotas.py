"""How much users and keys may have made in a day, over HTTP, on the pages and by commands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from click.testing import CliRunner

from sdrest.cli.sdrest import main
from sdrest.core.principal import Role
from tests.integration.access.test_authentication import PASSWORD, add_user, bearer, key_of, log_in
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
TWO_A_DAY = {"auth": "jwt", "max_images_per_day": 2}


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture(autouse=True)
def hashes(cheap_hashes: None) -> None:
    """As for the other logins."""


@pytest.fixture
async def client(client_factory: ClientFactory) -> Client:
    """A server where users may have two pictures a day, with a paused queue."""
    client = await client_factory(**TWO_A_DAY)
    await add_user(client, "root", Role.ADMIN)
    await add_user(client, "ann")
    root = await credentials(client, "root")
    assert (await client.post("/api/queue/pause", headers=root)).status == 200
    return client


async def credentials(client: Client, name: str) -> dict[str, str]:
    return bearer((await log_in(client, name))["token"])


async def submit(client: Client, headers: dict[str, str], **changes: Any) -> tuple[int, dict[str, Any]]:
    reply = await client.post("/api/generate/text2img", json={**SMALL, **changes}, headers=headers)
    return reply.status, await reply.json()


async def test_a_user_is_told_what_is_used_and_refused_beyond(client: Client) -> None:
    ann, root = await credentials(client, "ann"), await credentials(client, "root")
    key = bearer(await key_of(client, "script", owner="ann"))
    assert (await submit(client, ann))[0] == 202
    status, job = await submit(client, key)
    assert status == 202
    status, body = await submit(client, ann)
    assert (status, body["code"], body["details"]["quota"]) == (429, "quota_reached", "images_per_day")
    assert (body["details"]["used"], body["details"]["limit"], body["details"]["needed"]) == (2, 2, 1)
    assert body["error"].startswith("you have used 2 of 2 pictures a day, and this needs 1; all are free again at ")

    own = await (await client.get("/api/use", headers=ann)).json()
    assert own["free_at"] == body["details"]["free_at"]
    assert own["user"]["images_per_day"] == {"used": 2, "limit": 2}
    assert own["user"]["bytes_per_day"]["limit"] is own["key"] is None
    steps = math.prod(int(str(SMALL[name])) for name in ("width", "height", "steps")) * 2 / 1e6
    assert own["user"]["megapixel_steps_per_day"] == {"used": steps, "limit": None}
    of_key = await (await client.get("/api/use", headers=key)).json()
    assert of_key["user"] == own["user"]
    assert of_key["key"]["images_per_day"] == {"used": 1, "limit": None}

    reply = await client.post("/api/queue/cancel", json={"job_id": job["job_id"]}, headers=ann)
    assert reply.status == 200
    assert (await submit(client, ann))[0] == 202
    group = {"mode": "text2img", "parameters": SMALL, "axes": [{"field": "seed", "values": [1, 2]}]}
    reply = await client.post("/api/groups", json=group, headers=ann)
    assert (reply.status, (await reply.json())["details"]["needed"]) == (429, 2)
    for _ in range(3):  # who manages the queue may any amount
        assert (await submit(client, root))[0] == 202


async def test_every_way_in_refuses_in_its_own_form(client: Client) -> None:
    ann = await credentials(client, "ann")
    assert (await submit(client, ann, batch_count=2))[0] == 202
    for path, fields in (
        ("/api/generate", {}),
        ("/v1/images/generations", {}),
        ("/sdapi/v1/txt2img", {}),
        ("/sdcpp/v1/img_gen", {}),
        ("/ollama/api/generate", {"stream": False}),
    ):
        reply = await client.post(path, json={**SMALL, **fields}, headers=ann)
        body = await reply.json()
        assert reply.status == 429, (path, body)
        assert 0 < int(reply.headers["Retry-After"]) <= 86_401
        assert "you have used 2 of 2 pictures a day" in str(body)
        if path.startswith("/v1/"):
            assert body["error"]["code"] == "insufficient_quota"
            assert reply.headers["x-should-retry"] == "false"


async def test_admins_set_limits_of_users_and_keys(client: Client) -> None:
    ann, root = await credentials(client, "ann"), await credentials(client, "root")
    key = bearer(await key_of(client, "script", owner="ann"))
    reply = await client.put("/api/quotas/ann", json={"images_per_day": 0, "bytes_per_day": 10**9}, headers=root)
    assert await reply.json() == {
        "subject": "ann",
        "own_limits": {"images_per_day": 0, "megapixel_steps_per_day": None, "bytes_per_day": 10**9},
    }
    assert (await client.put("/api/quotas/key:script", json={"images_per_day": 1}, headers=root)).status == 200
    assert (await submit(client, ann, batch_count=3))[0] == 202
    assert (await submit(client, key))[0] == 202
    status, body = await submit(client, key)
    assert (status, body["details"]["subject"]) == (429, "key:script")

    listed = await (await client.get("/api/quotas", headers=root)).json()
    assert listed["usual"] == {"images_per_day": 2, "megapixel_steps_per_day": 0, "bytes_per_day": 0}
    rows = {row["subject"]: row for row in listed["quotas"]}
    assert list(rows) == ["ann", "key:script", "root"]
    assert rows["ann"]["amounts"]["images_per_day"] == {"used": 4, "limit": None}
    assert rows["key:script"]["owner"] == "ann"
    assert rows["key:script"]["amounts"]["images_per_day"] == {"used": 1, "limit": 1}
    assert rows["root"]["amounts"]["images_per_day"] == {"used": 0, "limit": None}

    for method, path in (("GET", "/api/quotas"), ("PUT", "/api/quotas/ann")):
        assert (await client.request(method, path, json={}, headers=ann)).status == 403
    for subject in ("nobody", "key:other", "guest:1"):
        reply = await client.put(f"/api/quotas/{subject}", json={}, headers=root)
        assert (reply.status, subject in (await reply.json())["error"]) == (404, True)
    reply = await client.put("/api/quotas/ann", json={"images_per_day": -1}, headers=root)
    assert (reply.status, (await reply.json())["details"]["errors"][0]["field"]) == (400, "images_per_day")
    text = await (await client.get("/metrics", headers=root)).text()
    assert 'sdrest_use_today{quota="images"} 4.0' in text
    assert 'sdrest_quota_refusals{quota="images"} 1.0' in text

    assert (await client.delete("/api/tokens/script", headers=root)).status == 200
    assert (await client.delete("/api/users/ann", headers=root)).status == 200
    listed = await (await client.get("/api/quotas", headers=root)).json()
    assert all(row["own_limits"]["images_per_day"] is None for row in listed["quotas"])


async def test_the_pages_show_use_and_set_limits(client: Client) -> None:
    ann = await credentials(client, "ann")
    assert (await submit(client, ann))[0] == 202
    sign_in = {"username": "root", "password": PASSWORD}
    assert (await client.post("/ui/login", data=sign_in, allow_redirects=False)).status == 303
    text = await (await client.get("/ui/system/use")).text()
    assert "1 of 2" in text
    form = {"subject": "ann", "images_per_day": "7", "megapixel_steps_per_day": "", "bytes_per_day": "0"}
    text = await (await client.post("/ui/system/use", data=form)).text()
    assert "1 of 7" in text
    reply = await client.post("/ui/system/use", data={**form, "images_per_day": "many"})
    assert (reply.status, "must be a whole number" in await reply.text()) == (400, True)
    reply = await client.post("/ui/system/use", data={**form, "subject": "nobody"})
    assert (reply.status, "no user and no key" in await reply.text()) == (404, True)
    sign_in = {"username": "ann", "password": PASSWORD}
    assert (await client.post("/ui/login", data=sign_in, allow_redirects=False)).status == 303
    text = await (await client.get("/ui/account")).text()
    assert "1 of 7" in text
    assert (await client.get("/ui/system/use")).status == 403


async def test_nothing_is_counted_without_authentication(client_factory: ClientFactory) -> None:
    client = await client_factory(max_images_per_day=1)
    assert (await client.post("/api/queue/pause")).status == 200
    for _ in range(2):
        assert (await submit(client, {}))[0] == 202
    own = await (await client.get("/api/use")).json()
    assert own["user"] is own["key"] is None
    assert (await (await client.get("/api/quotas")).json())["quotas"] == []


def test_commands_set_limits_and_tell_the_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sdrest.cli.accounts.configure_logging", lambda *_, **__: None)

    def typed(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, arguments)
        return result.exit_code, result.output

    assert typed("token", "create", "ci")[0] == 0
    code, text = typed("token", "limit", "ci", "--images-per-day", "5", "--megapixel-steps-per-day", "0")
    assert code == 0
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["images_per_day", "0", "5"],
        ["megapixel_steps_per_day", "0", "any"],
        ["bytes_per_day", "0", "default"],
    ]
    assert "5" in typed("token", "limit", "ci")[1]
    assert "default" in typed("token", "limit", "ci", "--images-per-day", "default")[1].splitlines()[1]
    code, text = typed("token", "limit", "other")
    assert (code, "no API key 'other'" in text) == (1, True)
    code, text = typed("user", "limit", "ann", "--bytes-per-day", "1e9")
    assert (code, "must be a whole number" in text) == (2, True)
    code, text = typed("user", "limit", "ann", "--bytes-per-day", "1000000")
    assert (code, "keeps no account 'ann'" in text, "1000000" in text) == (0, True, True)
