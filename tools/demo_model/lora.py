"""Train a small style LoRA on the finished model: every picture gets the style, without a word for it.

The base weights stay as they are. Every matrix of the image stream gets a low-rank addition, trained by flow matching on
renderings in the style; the file has the names and the order of channels that the library reads.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tae
import torch
from data import load_icons, objects, random_scene, scene_picture
from export import interleave
from model import Model
from safetensors.numpy import save_file
from styles import STYLES
from torch import nn
from train import indices, load, schedule

RANK = 4
FINAL_RANK = 16
"""The last layer, which mixes a patch's 64 values, needs more."""


class Adapted(nn.Module):
    """A frozen linear layer and its low-rank addition, zero at first."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.a = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + (x @ self.a.T) @ self.b.T


def adapt(model: Model) -> dict[str, Adapted]:
    """Freeze ``model`` and put additions into its image stream: the library's name of each layer → the addition."""
    model.requires_grad_(False)
    found: dict[str, Adapted] = {}
    for i, block in enumerate(model.blocks):
        for part, name in (
            ("qkv", "img_attn.qkv"),
            ("proj", "img_attn.proj"),
            ("gate_proj", "img_mlp.gate_proj"),
            ("up_proj", "img_mlp.up_proj"),
            ("down_proj", "img_mlp.down_proj"),
        ):
            adapted = Adapted(getattr(block, part), RANK)
            setattr(block, part, adapted)
            found[f"diffusion_model.double_blocks.{i}.{name}"] = adapted
    model.final = Adapted(model.final, FINAL_RANK)
    found["diffusion_model.final_layer.linear"] = model.final
    return found


def style_latents(run: Path, style: str, model: Model, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of ``count`` random scenes in a style, and the token indices of captions that do not name it; kept in ``run``."""
    cache = run / f"lora-{style}.npz"
    if not cache.exists():
        encoder, _ = tae.load(run / "tae.pt")
        icons, rng = load_icons(run), random.Random(9)
        names = list(objects())
        scenes = [replace(random_scene(rng, names), style="") for _ in range(count)]
        parts = []
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            for start in range(0, count, 32):
                group = [replace(scene, style=style) for scene in scenes[start : start + 32]]
                pictures = np.stack([scene_picture(scene, icons, 128, start + i) for i, scene in enumerate(group)])
                parts.append(encoder(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255).float())
        captions = np.array([scene.caption(rng) for scene in scenes])
        np.savez(cache, latents=torch.cat(parts).numpy(), captions=captions)
    kept = np.load(cache)
    return torch.from_numpy(kept["latents"]), indices(
        model.token_ids.tolist(), [str(text) for text in kept["captions"]]
    )


def train(run: Path, out: Path, style: str, until: float, count: int = 768, batch: int = 32) -> None:
    """Train until the Unix time ``until`` and write ``out``; goes on from ``run/lora-STYLE.pt`` where it exists."""
    torch.set_num_threads(1)
    torch.manual_seed(int(time.time()))
    model = load(run / "model.pt")
    latents, table = style_latents(run, style, model, count)
    layers = adapt(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    path = run / f"lora-{style}.pt"
    if path.exists():
        for p, kept in zip(parameters, torch.load(path, weights_only=True), strict=True):
            p.data.copy_(kept)
    optimizer = torch.optim.AdamW(parameters, lr=4e-3, betas=(0.9, 0.98), weight_decay=0.0)
    start, step, losses = time.time(), 0, []
    while (done := (time.time() - start) / (until - start)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * schedule(done, step + 20)
        pick = torch.randint(0, len(latents), (batch,))
        x0, ids = latents[pick], table[pick]
        ids[torch.rand(batch) < 0.1] = -1
        sigma = torch.sigmoid(torch.randn(batch) * 1.2 + 0.8).clamp(0.002, 1)
        noise = torch.randn_like(x0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            flow = model(x0 + (noise - x0) * sigma[:, None, None, None], sigma, ids).float()
        loss = (flow - (noise - x0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        if step % 20 == 0:
            print(f"step {step} loss {np.mean(losses[-20:]):.4f} {(time.time() - start) / step:.2f} s/step", flush=True)
    torch.save([p.detach() for p in parameters], path)
    write(layers, out, style)


def write(layers: dict[str, Adapted], out: Path, style: str) -> None:
    """Write the additions as float16; queries and keys get the library's order of channels."""
    arrays: dict[str, np.ndarray] = {}
    for name, layer in layers.items():
        a, b = layer.a.detach().numpy(), layer.b.detach().numpy()
        if name.endswith("qkv"):
            q, k, v = np.split(b, 3)
            b = np.concatenate((interleave(q), interleave(k), v))
        arrays[f"{name}.lora_A.weight"] = a.astype(np.float16)
        arrays[f"{name}.lora_B.weight"] = b.astype(np.float16)
    save_file(
        arrays, out, metadata={"title": style.capitalize(), "description": f"Every picture in the style: {style}"}
    )
    out.chmod(0o644)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--style", choices=list(STYLES), default="black and white")
    parser.add_argument("--minutes", type=float, default=8)
    arguments = parser.parse_args()
    train(arguments.run, arguments.out, arguments.style, time.time() + arguments.minutes * 60)
