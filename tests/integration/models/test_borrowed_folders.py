"""Folders of other programs, told to a running server: by the API and on the System page, kept over a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdrest.core.architecture import Architecture
from sdrest.web.http.keys import MODELS
from sdrest.work.model_files import folder_of
from tests.architectures import EVIDENCE, PARTS
from tests.integration.conftest import ClientFactory
from tests.model_files import write_gguf, write_safetensors


async def test_folders_are_added_shown_and_kept(client_factory: ClientFactory, tmp_path: Path) -> None:
    fixed, added = tmp_path / "webui", tmp_path / "ComfyUI"
    write_gguf(added / "models/unet/flux.gguf", EVIDENCE[Architecture.FLUX])
    write_safetensors(fixed / "models/VAE/kl.safetensors", PARTS["vae"][1])
    settings: dict[str, Any] = {"models_from": [f"a1111:{fixed}"]}
    client = await client_factory(**settings)
    bad = await client.put("/api/models/borrowed", json={"folders": ["comfyui:/nowhere", "relative", "/", "comfi:/x"]})
    messages = [item["message"] for item in (await bad.json())["details"]["errors"]]
    assert bad.status == 400
    assert [message.partition(":")[0] for message in messages] == ["/nowhere", "relative", "/", "'comfi"]
    good = await client.put("/api/models/borrowed", json={"folders": [f"comfyui:{added}"]})
    told = {item["label"]: (item["path"], item["fixed"], item["models"]) for item in (await good.json())["lenders"]}
    assert told == {"a1111": (str(fixed), True, 1), "comfyui": (str(added), False, 1)}
    (model,) = (await (await client.get("/api/models?search=flux")).json())["models"]
    assert (model["path"], model["lender"]) == ("comfyui:diffusion_models/flux.gguf", "comfyui")
    registry = client.app[MODELS]
    assert folder_of(registry, registry.catalogue.resolve("flux")) == registry.folders.models_dir / "diffusion_models"
    folders = (await (await client.get("/api/models/directories")).json())["directories"]
    assert [item["writable"] for item in folders if item["lender"]] == [False, False]

    page = await (await client.get("/ui/system")).text()
    assert (str(fixed) in page, f">comfyui:{added}</textarea>" in page) == (True, True)
    reply = await client.post("/ui/system/borrowed", data={"folders": "/nowhere\n"})
    text = await reply.text()
    assert (reply.status, "/nowhere: there is no such folder on the server" in text) == (400, True)
    assert ">/nowhere</textarea>" in text
    await client.close()
    again = await client_factory(**settings)
    assert {model.lender for model in again.app[MODELS].catalogue.models if model.lender} == {"a1111", "comfyui"}
    reply = await again.post("/ui/system/borrowed", data={"folders": ""}, allow_redirects=False)
    assert reply.status == 303
    assert {model.lender for model in again.app[MODELS].catalogue.models if model.lender} == {"a1111"}
