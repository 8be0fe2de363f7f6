"""Train a tiny style LoRA on the finished model: everything in shades of grey.

Low-rank pairs beside the image stream's output matrices learn to paint the grey renderings of the training scenes; the
base stays as it is. The file has the names that the library reads (``diffusion_model.<layer>.lora_A.weight`` …).
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import tae
import torch
import torch.nn.functional as F
from data import all_scenes, load_icons, scene_picture
from model import Model
from safetensors.numpy import save_file
from torch import nn
from train import indices, load

RANK = 8


class Adapted(nn.Module):
    """A frozen linear layer with a low-rank addition that starts at zero."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(RANK, base.in_features) / base.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + F.linear(F.linear(x, self.a), self.b)


def adapt(model: Model) -> dict[str, Adapted]:
    """Put pairs beside the projections of every block and the final layer; library name → pair."""
    model.requires_grad_(False)
    found: dict[str, Adapted] = {}
    for i, block in enumerate(model.blocks):
        for attribute, name in (("proj", "img_attn.proj"), ("down_proj", "img_mlp.down_proj")):
            pair = Adapted(getattr(block, attribute))
            setattr(block, attribute, pair)
            found[f"double_blocks.{i}.{name}"] = pair
    model.final = Adapted(model.final)
    found["final_layer.linear"] = model.final
    return found


def grey(picture: np.ndarray) -> np.ndarray:
    """Luma in all three channels, ``uint8`` [H, W, 3]."""
    luma = picture @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma[..., None].round().astype(np.uint8), 3, 2)


def train(run: Path, out: Path, minutes: float, count: int = 800, batch: int = 32) -> None:
    """Train for ``minutes`` on ``count`` random scenes and write ``out``."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = load(run / "model.pt")
    pairs = adapt(model)
    scenes = random.Random(9).sample(all_scenes(), count)
    icons = load_icons(run)
    encoder, _ = tae.load(run / "tae.pt")
    encoder.to(memory_format=torch.channels_last)
    latents = []
    for start in range(0, count, 30):
        pictures = np.stack([grey(scene_picture(scene, icons)) for scene in scenes[start : start + 30]])
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255).to(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            latents.append(encoder(x).float())
    table = indices(model, [scene.caption() for scene in scenes])
    known = torch.cat(latents)
    parameters = [p for pair in pairs.values() for p in (pair.a, pair.b)]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3, weight_decay=0.0)
    begin = time.time()
    step = 0
    while (done := (time.time() - begin) / (minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * max(0.05, 1 - done)
        pick = torch.randint(0, count, (batch,))
        x0, ids = known[pick], table[pick].clone()
        ids[torch.rand(batch) < 0.1] = -1
        sigma = torch.sigmoid(torch.randn(batch) * 1.2 + 0.5)
        noise = torch.randn_like(x0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            flow = model(x0 + (noise - x0) * sigma[:, None, None, None], sigma, ids).float()
        loss = (flow - (noise - x0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 25 == 0:
            print(f"lora step {step} loss {loss.item():.4f}", flush=True)
    tensors = {}
    for name, pair in pairs.items():
        tensors[f"diffusion_model.{name}.lora_A.weight"] = pair.a.detach().numpy().astype(np.float16)
        tensors[f"diffusion_model.{name}.lora_B.weight"] = pair.b.detach().numpy().astype(np.float16)
    save_file(tensors, out, metadata={"title": "Grey", "description": "Paints everything in shades of grey"})
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB after {step} steps")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5)
    arguments = parser.parse_args()
    train(arguments.run, arguments.out, arguments.minutes)
