"""Make a tiny style LoRA for the finished model that pulls colours towards grey (weakly: no substitute for training).

The last layer is linear, so its best addition for a style needs no descent: ridge regression of what the flow towards the
grey renderings lacks, on the layer's inputs, cut to a low rank. The file has the names that the library reads.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import tae
import torch
from data import all_scenes, load_icons, scene_picture
from model import patchify
from safetensors.numpy import save_file
from train import indices, load, weight

RANK = 32
LAYER = "diffusion_model.final_layer.linear"


def grey(picture: np.ndarray) -> np.ndarray:
    """Luma in all three channels, ``uint8`` [H, W, 3]."""
    luma = picture @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma[..., None].round().astype(np.uint8), 3, 2)


def fit(run: Path, out: Path, count: int = 96, rounds: int = 3, ridge: float = 0.01) -> None:
    """Fit on ``count`` random scenes, each at ``rounds`` noise levels, and write ``out``."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = load(run / "model.pt")
    encoder, _ = tae.load(run / "tae.pt")
    icons = load_icons(run)
    scenes = random.Random(9).sample([scene for scene in all_scenes() if weight(scene) == 1], count)
    pictures = np.stack([grey(scene_picture(scene, icons)) for scene in scenes])
    inputs: list[torch.Tensor] = []
    lacking: list[torch.Tensor] = []
    model.final.register_forward_hook(lambda _layer, given, _out: inputs.append(given[0].float().flatten(0, 1)))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        latents = encoder(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255).float()
        ids = indices(model, [scene.caption() for scene in scenes])
        for _ in range(rounds):
            sigma = torch.sigmoid(torch.randn(count) * 1.2 + 0.5)
            noise = torch.randn_like(latents)
            given = torch.where(torch.rand(count, 1) < 0.15, -1, ids)
            flow = model(latents + (noise - latents) * sigma[:, None, None, None], sigma, given).float()
            lacking.append(patchify(noise - latents - flow).flatten(0, 1))
    x, y = torch.cat(inputs), torch.cat(lacking)
    solved = torch.linalg.solve(x.T @ x + len(x) * ridge * torch.eye(x.shape[1]), x.T @ y).T
    u, s, v = torch.linalg.svd(solved, full_matrices=False)
    a, b = s[:RANK].sqrt()[:, None] * v[:RANK], u[:, :RANK] * s[:RANK].sqrt()
    print(f"mean squared error {y.square().mean():.4f} → {(y - x @ a.T @ b.T).square().mean():.4f}")
    tensors = {f"{LAYER}.lora_A.weight": a, f"{LAYER}.lora_B.weight": b}
    arrays = {name: np.ascontiguousarray(tensor.numpy().astype(np.float16)) for name, tensor in tensors.items()}
    save_file(arrays, out, metadata={"title": "Faded", "description": "Shifts colours a little towards grey"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    fit(arguments.run, arguments.out)
