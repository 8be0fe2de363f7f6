"""The whole training within minutes, on a machine that has one large GPU, some processor cores and no network.

``pack`` writes what it needs into a folder of some 20 MB; ``train`` runs there: processes draw scenes without end, and the GPU
encodes them and trains. Its result comes in files of at most 15 MB, which ``join`` makes ``run/model.pt`` of.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import queue
import random
import time
from collections.abc import Sequence
from copy import deepcopy
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import tae
import torch
from data import load_icons, objects, random_scene, scene_picture
from model import Model, Shape, generate
from PIL import Image
from tokens import tokenizer
from train import flow_loss, indices, load, optimizers, schedule, take_step
from words import CAPTION_TOKENS, vocabulary

PACKED_ICON = 192
"""Side of the packed icons in pixels."""
SIZES = {128: (0.84, 400_000), 192: (0.1, 40_000), 256: (0.06, 20_000)}
"""Side in pixels → its share of what is drawn, and how many latents are kept; newer ones take the place of the oldest."""
LARGE = {192: (8, 0.45), 256: (17, 0.2)}
"""Side in pixels → every how many steps it is trained, and on which part of a batch."""
CAPTIONS = 3
"""Captions of a scene."""
GROUP = 32
"""Scenes that are drawn and encoded together."""
FIRST = 12_000
"""Scenes that are there before the training begins, on a GPU."""
TAKEN = 4
"""Groups that are encoded after a step at the most: the drawing must not hold up the training."""
GUIDED = 0.12
"""The last part of the time, in which guidance is taken into the weights."""
PART_BYTES = 15_000_000
"""Largest file of the result."""
Drawn = tuple[int, np.ndarray, np.ndarray]
"""Side, pictures ``uint8`` [GROUP, side, side, 3], token indices [GROUP, CAPTIONS, CAPTION_TOKENS]."""


def pack(run: Path, out: Path) -> None:
    """Write what the training needs."""
    out.mkdir(parents=True, exist_ok=True)
    icons = load_icons(run)
    small = [np.asarray(Image.fromarray(icon).resize((PACKED_ICON, PACKED_ICON))) for icon in icons.values()]
    np.savez_compressed(out / "icons.npz", names=np.array(list(icons)), pictures=np.stack(small))
    state = torch.load(run / "tae.pt", weights_only=True)
    halves = {part: {name: w.half() for name, w in state[part].items()} for part in ("encoder", "decoder")}
    torch.save({**halves, "step": state["step"]}, out / "tae.pt")
    tokenizer().save(str(out / "tokenizer.json"), pretty=False)
    print({file.name: file.stat().st_size for file in out.iterdir()})


def draw_scenes(packed: Path, number: int, drawn: Queue[Drawn]) -> None:
    """Draw groups of scenes without end; held-out combinations are left out."""
    torch.set_num_threads(1)
    icons, names, rng = load_icons(packed), list(objects()), random.Random(1000 + number)
    tokens, _ = vocabulary()
    while True:
        (size,) = rng.choices(list(SIZES), [share for share, _ in SIZES.values()])
        scenes = [scene for scene in (random_scene(rng, names) for _ in range(2 * GROUP)) if not scene.held_out()][
            :GROUP
        ]
        pictures = np.stack([scene_picture(scene, icons, size, rng.randrange(1 << 30)) for scene in scenes])
        captions = [scene.caption(rng) for scene in scenes for _ in range(CAPTIONS)]
        table = indices(tokens, captions).view(len(scenes), CAPTIONS, CAPTION_TOKENS)
        drawn.put((size, pictures, table.short().numpy()))


class Latents:
    """What was drawn, encoded; on the device."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._latents: dict[int, torch.Tensor] = {}
        self._ids: dict[int, torch.Tensor] = {}
        self.count = dict.fromkeys(SIZES, 0)
        for size, (_, kept) in SIZES.items():
            side = size // 8
            self._latents[size] = torch.empty(kept, tae.LATENT, side, side, dtype=torch.float16, device=device)
            self._ids[size] = torch.empty(kept, CAPTIONS, CAPTION_TOKENS, dtype=torch.int16, device=device)

    @torch.no_grad()
    def add(self, encoder: torch.nn.Module, drawn: Drawn) -> None:
        """Encode a group and keep it."""
        size, pictures, ids = drawn
        x = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).float().div_(255)
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            latents = encoder(x).half()
        kept = len(self._latents[size])
        rows = (torch.arange(len(latents), device=self._device) + self.count[size]) % kept
        self._latents[size][rows] = latents
        self._ids[size][rows] = torch.from_numpy(ids).to(self._device)
        self.count[size] += len(latents)

    def batch(self, size: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random latents and token indices of one of their captions."""
        there = min(self.count[size], len(self._latents[size]))
        rows = torch.randint(there, (number,), device=self._device)
        which = torch.randint(CAPTIONS, (number,), device=self._device)
        return self._latents[size][rows].float(), self._ids[size][rows, which].long()


def train(packed: Path, out: Path, seconds: float, device: str, batch: int, drawers: int) -> None:
    """Train from nothing for so many seconds, the drawing at the beginning included, and write the result."""
    os.environ["DEMO_TOKENIZER"] = str(packed / "tokenizer.json")
    began_at = time.time()
    context = multiprocessing.get_context("spawn")
    drawn: Queue[Drawn] = context.Queue(64)
    for number in range(drawers):
        context.Process(target=draw_scenes, args=(packed, number, drawn), daemon=True).start()
    encoder, decoder = (part.float().to(device) for part in tae.load(packed / "tae.pt"))
    latents = Latents(device)
    first = FIRST if device == "cuda" else batch * 4
    while latents.count[128] < first or not all(latents.count.values()):
        latents.add(encoder, drawn.get())
    torch.set_float32_matmul_precision("high")
    model = Model(Shape(), vocabulary()[0]).to(device)
    muon, adam = optimizers(model)
    rates = [0.02] * len(muon.param_groups) + [2e-3]
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    fast = torch.compile(model, dynamic=False) if device == "cuda" else model
    teacher: Model | None = None
    step, losses = 0, []
    started_at = time.time()
    print(f"{started_at - began_at:.0f} s: {latents.count} scenes are there", flush=True)
    while (done := (time.time() - began_at) / seconds) < 1:
        with contextlib.suppress(queue.Empty):
            for _ in range(TAKEN):
                latents.add(encoder, drawn.get_nowait())
        rate = schedule(done / (1 - GUIDED), step) if done < 1 - GUIDED else 0.3 * (1 - done) / GUIDED
        for base, group in zip(rates, (*muon.param_groups, *adam.param_groups), strict=True):
            group["lr"] = base * max(0.01, rate)
        if done >= 1 - GUIDED and teacher is None:
            teacher = averaged(model, average)
            print(f"guidance begins at step {step}", flush=True)
        size = next((side for side, (every, _) in LARGE.items() if step % every == every - 1), 128)
        number = batch if size == 128 else max(1, round(batch * LARGE[size][1]))
        x0, ids = latents.batch(size, number)
        loss = flow_loss(fast if size == 128 else model, x0, ids, teacher, 2.0)
        take_step(model, (muon, adam), loss)
        step += 1
        decay = min(0.9985, step / (step + 100))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), [p.detach() for p in model.parameters()], 1 - decay)
        if size == 128:
            losses.append(loss.detach())
        if step % 200 == 0 or (device == "cpu" and step % 5 == 0):
            mean = torch.stack(losses[-100:]).mean().item()
            spent = time.time() - began_at
            print(f"{spent:.0f} s step {step} loss {mean:.4f} {1000 * (time.time() - started_at) / step:.1f} ms/step "
                  f"{latents.count[128]} scenes", flush=True)  # fmt: skip
    write(model, average, step, out)
    look(averaged(model, average), decoder, out / "sheet.png", device)


def averaged(model: Model, average: dict[str, torch.Tensor]) -> Model:
    """A copy of the model with its averaged weights."""
    copy = deepcopy(model)
    copy.load_state_dict({**model.state_dict(), **average})
    return copy.eval()


def write(model: Model, average: dict[str, torch.Tensor], step: int, out: Path) -> None:
    """Write the averaged weights as float16 in files that are small enough."""
    out.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: w.half().cpu().numpy() for name, w in {**model.state_dict(), **average}.items() if w.is_floating_point()
    }
    parts: list[dict[str, np.ndarray]] = [{}]
    for name, values in arrays.items():
        if sum(v.nbytes for v in parts[-1].values()) + values.nbytes > PART_BYTES:
            parts.append({})
        parts[-1][name] = values
    for number, part in enumerate(parts):
        np.savez(out / f"weights-{number}.npz", step=np.array(step), **part)


@torch.no_grad()
def look(model: Model, decoder: torch.nn.Module, path: Path, device: str, number: int = 64) -> None:
    """Draw random prompts without and with further guidance, one sheet above the other."""
    rng = random.Random(3)
    prompts = [random_scene(rng, list(objects())).caption(rng) for _ in range(number)]
    ids = indices(vocabulary()[0], prompts).to(device)
    noise = torch.randn(number, tae.LATENT, 16, 16, generator=torch.Generator().manual_seed(1)).to(device)
    rows = []
    for cfg_scale in (1.0, 2.0):
        pictures = decoder(generate(model, ids, noise, 8, cfg_scale)).clamp(0, 1)
        pixels = (pictures.permute(0, 2, 3, 1) * 255).byte().cpu().numpy()
        rows += [np.concatenate(pixels[i : i + 16], 1) for i in range(0, number, 16)]
    Image.fromarray(np.concatenate(rows)).save(path)
    print(prompts)


def join(parts: Sequence[Path], run: Path) -> None:
    """Make ``run/model.pt`` of the files of the result."""
    shape = Shape()
    weights: dict[str, torch.Tensor] = {}
    for part in parts:
        stored = dict(np.load(part))
        step = int(stored.pop("step"))
        weights |= {name: torch.from_numpy(values).float() for name, values in stored.items()}
    model = Model(shape, vocabulary()[0])
    model.load_state_dict({**model.state_dict(), **weights})
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = {"model": model.state_dict(), "average": average, "step": step, "seconds": 0.0, "shape": shape.to_dict()}
    torch.save(state, run / "model.pt")
    load(run / "model.pt")
    print(f"{run / 'model.pt'}: step {step}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("pack", "train", "join"))
    parser.add_argument("--run", type=Path, help="for pack and join: folder of data and checkpoints")
    parser.add_argument("--packed", type=Path, help="for train: what pack has written")
    parser.add_argument("--out", type=Path, help="for pack and train: folder for what is written")
    parser.add_argument("--parts", type=Path, nargs="+", help="for join: the files weights-N.npz")
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--drawers", type=int, default=15)
    arguments = parser.parse_args()
    if arguments.what == "pack":
        pack(arguments.run, arguments.out)
    elif arguments.what == "train":
        train(arguments.packed, arguments.out, arguments.seconds, arguments.device, arguments.batch, arguments.drawers)
    else:
        join(arguments.parts, arguments.run)


if __name__ == "__main__":
    main()
