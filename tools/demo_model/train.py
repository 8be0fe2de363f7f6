"""Train the diffusion model on cached latents: flow matching, Muon for the hidden matrices and AdamW for the rest.

``latents`` encodes every training scene once with the finished autoencoder; ``train`` resumes from ``run/model.pt``.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import tae
import torch
from data import Scene, all_scenes, load_icons, objects, scene_picture
from model import Model, Shape, generate
from PIL import Image
from tokens import prompt_ids
from torch import nn

_TRAINED = frozenset(objects(trained=True))
VARIANTS = 12
"""Captions drawn per scene for the table of token indices."""
CAPTION_TOKENS = 16
LARGE_EVERY = 3
"""One scene in so many is also trained at 256 pixels, in the last part of the training."""


def cache_latents(run: Path, size: int = 128, every: int = 1) -> None:
    """Write ``run/latents-SIZE.npy``: float16 [scenes, 16, size/8, size/8], of each ``every``-th of ``all_scenes``."""
    icons = load_icons(run)
    encoder, _ = tae.load(run / "tae.pt")
    encoder.to(memory_format=torch.channels_last)
    scenes = all_scenes()[::every]
    out = np.zeros((len(scenes), tae.LATENT, size // 8, size // 8), np.float16)
    for start in range(0, len(scenes), 32):
        pictures = np.stack([scene_picture(scene, icons, size) for scene in scenes[start : start + 32]])
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
        with torch.no_grad():
            out[start : start + 32] = encoder(x.to(memory_format=torch.channels_last)).numpy()
    np.save(run / f"latents-{size}.npy", out)
    print(f"{len(scenes)} latents of {size}: mean {out.mean():.3f} std {out.astype(np.float32).std():.3f}", flush=True)


def caption_table(scenes: list[Scene]) -> tuple[torch.Tensor, list[int]]:
    """Token indices [scenes, VARIANTS, CAPTION_TOKENS] (−1 pads) into the sorted list of tokens used, and that list."""
    rng = random.Random(7)
    captions = [[scene.caption()] + [scene.caption(rng) for _ in range(VARIANTS - 1)] for scene in scenes]
    known: dict[str, list[int]] = {}
    for group in captions:
        for text in group:
            if text not in known:
                known[text] = prompt_ids(text)
    used = sorted({token for ids in known.values() for token in ids})
    index = {token: i for i, token in enumerate(used)}
    table = torch.full((len(scenes), VARIANTS, CAPTION_TOKENS), -1)
    for i, group in enumerate(captions):
        for j, text in enumerate(group):
            ids = known[text]
            table[i, j, : len(ids)] = torch.tensor([index[token] for token in ids])
    return table, used


def indices(model: Model, prompts: list[str]) -> torch.Tensor:
    """Prompts → indices into the model's token list [N, CAPTION_TOKENS]; unknown tokens become −1."""
    index = {token: i for i, token in enumerate(model.token_ids.tolist())}
    table = torch.full((len(prompts), CAPTION_TOKENS), -1)
    for row, prompt in enumerate(prompts):
        for column, token in enumerate(prompt_ids(prompt)[:CAPTION_TOKENS]):
            table[row, column] = index.get(token, -1)
    return table


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised by Newton–Schulz iterations (Jordan et al. 2024), for 2-D weights.

    A weight fused from several square ones (``parts``) is orthogonalised part by part.
    """

    def __init__(self, groups: list[dict[str, object]], lr: float, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "parts": 1})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every weight from its gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"])
                parts = update.chunk(group["parts"])
                scale = max(1.0, parts[0].shape[0] / parts[0].shape[1]) ** 0.5
                update = torch.cat([_orthogonal(part) for part in parts])
                p.mul_(1 - group["lr"] * 0.01).add_(update, alpha=-group["lr"] * scale)


def _orthogonal(g: torch.Tensor) -> torch.Tensor:
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * (a @ a)) @ x
    return (x.T if tall else x).float()


def optimizers(model: Model) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices inside the blocks, AdamW for embeddings, norms, biases, modulation and the ends."""
    fused: list[nn.Parameter] = []
    pairs: list[nn.Parameter] = []
    single: list[nn.Parameter] = []
    for block in model.blocks:
        fused.append(block.qkv.weight)
        pairs.append(block.text_kv.weight)
        single += [block.proj.weight, block.gate_proj.weight, block.up_proj.weight, block.down_proj.weight]
    taken = {id(p) for p in (*fused, *pairs, *single)}
    rest = [p for p in model.parameters() if id(p) not in taken]
    muon = Muon([{"params": fused, "parts": 3}, {"params": pairs, "parts": 2}, {"params": single}], lr=0.02)
    return muon, torch.optim.AdamW(rest, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)


def schedule(done: float, step: int, peak: float = 1.0) -> float:
    """Learning-rate factor: a short warm-up, a plateau of ``peak``, then a linear fall in the last 45 % of the time."""
    return min(1.0, (step + 1) / 100) * min(peak, max(0.02, (1 - done) / 0.45))


def weight(scene: Scene) -> float:
    """How often a scene is drawn for training, relative to a trained object at its usual size."""
    if scene.color:
        return 0.2
    if scene.subject not in _TRAINED:
        return 0.0
    return 0.15 if scene.size else 1.0


def train(
    run: Path, minutes: float, batch: int = 64, shape: Shape | None = None, until: float = 0.0, peak: float = 1.0
) -> None:
    """Train for ``minutes``, or until the Unix time ``until``; saves weights, average and optimisers each 5 minutes.

    ``peak`` below 1 holds the learning rate down where a checkpoint that had come to its end is trained on.
    """
    torch.set_num_threads(1)
    torch.manual_seed(int(time.time()))
    scenes = all_scenes()
    table, used = caption_table(scenes)
    latents = torch.from_numpy(np.load(run / "latents-128.npy"))
    large = torch.from_numpy(np.load(run / "latents-256.npy")) if (run / "latents-256.npy").exists() else None
    weights = torch.tensor([weight(scene) for scene in scenes])
    model = Model(shape or Shape(), used)
    path = run / "model.pt"
    step, spent = 0, 0.0
    muon, adam = optimizers(model)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        muon.load_state_dict(state["muon"])
        adam.load_state_dict(state["adam"])
        average, step, spent = state["average"], state["step"], state["seconds"]
    start = saved = time.time()
    end = until or start + minutes * 60
    total = spent + end - start
    rates = [group["lr"] for group in (*muon.param_groups, *adam.param_groups)] if step == 0 else [0.02] * 3 + [2e-3]
    losses: list[float] = []
    fast = torch.compile(model, dynamic=False)
    while True:
        now = time.time()
        done = (spent + now - start) / total
        for rate, group in zip(rates, (*muon.param_groups, *adam.param_groups), strict=True):
            group["lr"] = rate * schedule(done, step, peak)
        if large is not None and done > 0.7 and step % 5 == 0:
            count = batch // 4
            chosen = torch.multinomial(weights[::LARGE_EVERY], count, replacement=True)
            x0, pick = large[chosen].float(), chosen * LARGE_EVERY
        else:
            count = batch
            pick = torch.multinomial(weights, count, replacement=True)
            x0 = latents[pick].float()
        ids = table[pick, torch.randint(0, VARIANTS, (count,))]
        ids[torch.rand(count) < 0.1] = -1
        sigma = torch.sigmoid(torch.randn(count) * 1.2 + 0.5)
        sigma = torch.where(torch.rand(count) < 0.15, torch.rand(count), sigma).clamp(0.002, 1)
        noise = torch.randn_like(x0)
        level = sigma[:, None, None, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            flow = fast(x0 + (noise - x0) * level, sigma, ids).float()
        loss = (flow - (noise - x0)).square().mean()
        muon.zero_grad()
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        step += 1
        losses.append(loss.item())
        decay = min(0.998, step / (step + 50))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), [p.detach() for p in model.parameters()], 1 - decay)
        if step % 50 == 0:
            print(
                f"step {step} loss {np.mean(losses[-50:]):.4f} {(spent + now - start) / 60:.1f} min "
                f"{(time.time() - start) / len(losses):.3f} s/step",
                flush=True,
            )
        finished = time.time() >= end
        if finished or time.time() - saved > 300:
            saved = time.time()
            state = {
                "model": model.state_dict(),
                "average": average,
                "muon": muon.state_dict(),
                "adam": adam.state_dict(),
                "step": step,
                "seconds": spent + saved - start,
                "shape": model.shape.to_dict(),
            }
            temporary = path.with_suffix(".tmp")
            torch.save(state, temporary)
            temporary.replace(path)
        if finished:
            return


def load(path: Path) -> Model:
    """The model of a checkpoint with its averaged weights."""
    state = torch.load(path, weights_only=True)
    model = Model(Shape(**state["shape"]), state["model"]["token_ids"].tolist())
    model.load_state_dict({**state["model"], **state["average"]})
    return model.eval()


def sheet(run: Path, prompts: list[str], path: Path, steps: int = 12, cfg_scale: float = 3.0, columns: int = 8) -> None:
    """Draw ``prompts`` with the port and save them as one picture."""
    model = load(run / "model.pt")
    _, decoder = tae.load(run / "tae.pt")
    noise = torch.randn(len(prompts), 16, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        pictures = decoder(generate(model, indices(model, prompts), noise, steps, cfg_scale)).clamp(0, 1)
    pixels = (pictures.permute(0, 2, 3, 1) * 255).byte().numpy()
    rows = [np.concatenate(pixels[i : i + columns], 1) for i in range(0, len(prompts), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("latents", "train", "sheet"))
    parser.add_argument("--run", type=Path, required=True, help="folder of data and checkpoints")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--until", type=float, default=0, help="Unix time at which to end, instead of --minutes")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--peak", type=float, default=1.0, help="largest learning-rate factor; 0.5 to train on")
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    arguments = parser.parse_args()
    if arguments.what == "latents":
        cache_latents(arguments.run)
        cache_latents(arguments.run, 256, LARGE_EVERY)
    elif arguments.what == "train":
        train(arguments.run, arguments.minutes, arguments.batch, until=arguments.until, peak=arguments.peak)
    else:
        rng = random.Random(3)
        scenes = [scene for scene in all_scenes() if not scene.size and weight(scene) == 1]
        chosen = rng.sample(scenes, 40)
        print([scene.caption() for scene in chosen])
        sheet(arguments.run, [scene.caption() for scene in chosen], arguments.out)


if __name__ == "__main__":
    main()
