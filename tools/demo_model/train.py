"""Train the diffusion model on a growing pool of latents: flow matching, Muon for the hidden matrices and AdamW for the rest.

``start`` makes the first checkpoint out of an older edition's; ``train`` resumes from ``run/model.pt``. Its last part
(``--guide``) teaches the model to draw in one evaluation what classifier-free guidance needs two for.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tae
import torch
from data import load_icons, objects, random_scene
from model import Model, Shape, generate
from PIL import Image
from tokens import prompt_ids
from torch import nn
from words import CAPTION_TOKENS, standing, vocabulary

LARGE = {192: (6, 24), 256: (13, 12)}
"""Side in pixels → every how many steps it is trained, and on how many pictures at once."""


def indices(tokens: Sequence[int], prompts: Sequence[str]) -> torch.Tensor:
    """Prompts → indices into the model's sorted tokens [N, CAPTION_TOKENS]; unknown tokens become −1."""
    index = {token: i for i, token in enumerate(tokens)}
    index |= {token: index[other] for token, other in standing().items() if other in index and token not in index}
    table = torch.full((len(prompts), CAPTION_TOKENS), -1)
    for row, prompt in enumerate(prompts):
        for column, token in enumerate(prompt_ids(prompt)[:CAPTION_TOKENS]):
            table[row, column] = index.get(token, -1)
    return table


class Pool:
    """The latents and captions in ``run/pool``, by side in pixels; ``refresh`` takes in what has come."""

    def __init__(self, run: Path, model: Model) -> None:
        self._folder, self._tokens = run / "pool", model.token_ids.tolist()
        self._taken: set[str] = set()
        self.latents: dict[int, list[torch.Tensor]] = {}
        self.captions: dict[int, list[torch.Tensor]] = {}

    def refresh(self) -> None:
        """Read the files that are new."""
        for path in sorted(self._folder.glob("*.npz")):
            if path.name in self._taken:
                continue
            self._taken.add(path.name)
            stored = np.load(path)
            size = int(path.name.split("-")[0])
            texts = stored["captions"]
            table = indices(self._tokens, [str(text) for text in texts.ravel()]).view(*texts.shape, -1)
            self.latents.setdefault(size, []).append(torch.from_numpy(stored["latents"]))
            self.captions.setdefault(size, []).append(table)

    def batch(self, size: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random latents [count, 16, size/8, size/8] and token indices of one of their captions."""
        files = self.latents[size]
        found, ids = [], []
        for file, number in zip(torch.randint(0, len(files), (count,)), torch.rand(count), strict=True):
            row = int(number * len(files[file]))
            captions = self.captions[size][file][row]
            found.append(files[file][row])
            ids.append(captions[torch.randint(0, len(captions), ())])
        return torch.stack(found).float(), torch.stack(ids)


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
    """Learning-rate factor: a warm-up of 40 steps, a plateau of ``peak``, then a linear fall in the last 45 % of the time."""
    return min(1.0, (step + 1) / 40) * min(peak, max(0.02, (1 - done) / 0.45))


def flow_loss(
    flow_of: Callable[..., torch.Tensor],
    x0: torch.Tensor,
    ids: torch.Tensor,
    teacher: Callable[..., torch.Tensor] | None = None,
    guide: float = 1.0,
) -> torch.Tensor:
    """The loss of flow matching on latents ``x0`` and their captions, one in ten of which is left out.

    With a ``teacher`` the flow to learn is the guided one.
    """
    count, device = len(x0), x0.device
    ids = torch.where(torch.rand(count, 1, device=device) < 0.1, -1, ids)
    sigma = torch.sigmoid(torch.randn(count, device=device) * 1.2 + 0.5)
    anywhere = torch.rand(count, device=device)
    sigma = torch.where(torch.rand(count, device=device) < 0.15, anywhere, sigma).clamp(0.002, 1)
    noise = torch.randn_like(x0)
    x = x0 + (noise - x0) * sigma[:, None, None, None]
    wanted = noise - x0
    with torch.autocast(device.type, dtype=torch.bfloat16):
        if teacher is not None:
            with torch.no_grad():
                with_prompt = teacher(x, sigma, ids).float()
                without = teacher(x, sigma, torch.full_like(ids, -1)).float()
                wanted = wanted + (guide - 1) * (with_prompt - without)
        flow = flow_of(x, sigma, ids).float()
    return (flow - wanted).square().mean()


def take_step(model: Model, optimizers: Sequence[torch.optim.Optimizer], loss: torch.Tensor) -> None:
    """One step down the loss."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()


class Meeting:
    """Two training processes that meet half-way: each takes the mean of its weights and of the other's latest ones.

    Where two cores are free now and then, this is nearly twice the work of one, and neither waits for the other.
    """

    def __init__(self, run: Path, number: int, model: Model) -> None:
        self._mine, self._other = (run / f"meeting-{n}.pt" for n in (number, 3 - number))
        self._model = model
        self._seen = self._other.stat().st_mtime if self._other.exists() else 0.0

    @torch.no_grad()
    def meet(self) -> None:
        """Take in what is new of the other's, and leave the own weights for it."""
        weights = [p.detach() for p in self._model.parameters()]
        if self._other.exists() and self._other.stat().st_mtime > self._seen:
            self._seen = self._other.stat().st_mtime
            torch._foreach_lerp_(weights, torch.load(self._other, weights_only=True), 0.5)
        temporary = self._mine.with_suffix(".tmp")
        torch.save(weights, temporary)
        temporary.replace(self._mine)


def train(
    run: Path, minutes: float, batch: int, until: float, peak: float, guide: float, process: int, since: float = 0.0
) -> None:
    """Train for ``minutes``, or until the Unix time ``until``; saves weights, average and optimisers each 3 minutes.

    ``peak`` below 1 holds the learning rate down where a checkpoint that had come to its end is trained on. ``guide``
    above 1 begins the last part: the flow to learn is moved away from what the averaged weights at its beginning say
    without a prompt, by ``guide`` − 1 times the difference that the prompt makes. ``process`` is 1 or 2 where two
    processes train together; the first one keeps the checkpoint. ``since`` is the Unix time at which the schedule began.
    """
    torch.set_num_threads(1)
    torch.manual_seed(int(time.time()))
    path = run / "model.pt"
    state = torch.load(path, weights_only=True)
    model = Model(Shape(**state["shape"]), state["model"]["token_ids"].tolist())
    model.load_state_dict(state["model"])
    muon, adam = optimizers(model)
    if "muon" in state:
        muon.load_state_dict(state["muon"])
        adam.load_state_dict(state["adam"])
    average, step, spent = state["average"], state["step"], state["seconds"]
    teacher = load(path) if guide > 1 else None
    pool = Pool(run, model)
    pool.refresh()
    meeting = Meeting(run, process, model) if process else None
    start = saved = time.time()
    end = until or start + minutes * 60
    first = step
    rates = [0.02] * 3 + [2e-3]
    losses: list[float] = []
    fast = torch.compile(model, dynamic=False)
    while True:
        now = time.time()
        done = (now - (since or start)) / (end - (since or start))
        for rate, group in zip(rates, (*muon.param_groups, *adam.param_groups), strict=True):
            group["lr"] = rate * schedule(done, step, peak)
        size, count = 128, batch
        for side, (every, pictures) in LARGE.items():
            if step % every == 0 and side in pool.latents:
                size, count = side, pictures
        x0, ids = pool.batch(size, count)
        # only the usual size is worth the minutes that compiling takes
        loss = flow_loss(fast if size == 128 else model, x0, ids, teacher, guide)
        take_step(model, (muon, adam), loss)
        step += 1
        if meeting is not None and step % 20 == 0:
            meeting.meet()
        if size == 128:
            losses.append(loss.item())
        decay = min(0.998, (step - first) / (step - first + 50))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), [p.detach() for p in model.parameters()], 1 - decay)
        if step % 50 == 0:
            pool.refresh()
            print(
                f"{time.strftime('%H:%M:%S')} step {step} loss {np.mean(losses[-50:]):.4f} "
                f"{(time.time() - start) / (step - first):.3f} s/step, {time.process_time() / 60:.1f} processor minutes, "
                f"{sum(map(len, pool.latents[128]))} pictures",
                flush=True,
            )
        finished = time.time() >= end
        if process < 2 and (finished or time.time() - saved > 180):
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


@torch.no_grad()
def begin(run: Path, older: Path) -> None:
    """Write ``run/model.pt`` with the weights of ``older``, a folder with ``start.pt`` and ``tae.pt`` (``restore.py``).

    Both ends are carried over to the new latent basis, by least squares on the latents of pictures.
    """
    first = load(older / "start.pt")
    encoders = [tae.load(folder / "tae.pt")[0] for folder in (older, run)]
    icons = list(load_icons(run).values())
    pictures = tae.sample_pictures(icons, np.random.default_rng(1), 96, 128)
    before, after = (encoder(pictures).permute(0, 2, 3, 1).reshape(-1, tae.LATENT) for encoder in encoders)
    change = torch.linalg.lstsq(after, before).solution.T
    print(
        f"old latents from new ones: rest {(after @ change.T - before).square().mean():.3f} of {before.square().mean():.3f}"
    )
    into = torch.kron(change, torch.eye(4))
    first.img_in.weight.copy_(first.img_in.weight @ into)
    outof = torch.linalg.pinv(change)
    first.final.weight.copy_(torch.kron(outof, torch.eye(4)) @ first.final.weight)
    first.final.bias.copy_(torch.kron(outof, torch.eye(4)) @ first.final.bias)
    tokens, _ = vocabulary()
    model = Model(first.shape, tokens)
    weights = dict(first.named_parameters())
    for name, parameter in model.named_parameters():
        if name != "embedding":
            parameter.copy_(weights[name])
    rows = dict(zip(first.token_ids.tolist(), first.embedding, strict=True))
    for i, token in enumerate(tokens):
        if token in rows:
            model.embedding[i] = rows[token]
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = {"model": model.state_dict(), "average": average, "step": 0, "seconds": 0.0, "shape": model.shape.to_dict()}
    torch.save(state, run / "model.pt")


def sheet(
    run: Path, prompts: list[str], path: Path, steps: int, cfg_scale: float, columns: int = 8, size: int = 128
) -> None:
    """Draw ``prompts`` with the port and save them as one picture."""
    torch.set_num_threads(1)
    model = load(run / "model.pt")
    _, decoder = tae.load(run / "tae.pt")
    noise = torch.randn(len(prompts), 16, size // 8, size // 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        pictures = decoder(generate(model, indices(model.token_ids.tolist(), prompts), noise, steps, cfg_scale)).clamp(
            0, 1
        )
    pixels = (pictures.permute(0, 2, 3, 1) * 255).byte().numpy()
    rows = [np.concatenate(pixels[i : i + columns], 1) for i in range(0, len(prompts), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("start", "train", "sheet"))
    parser.add_argument("--run", type=Path, required=True, help="folder of data and checkpoints")
    parser.add_argument("--older", type=Path, help="for start: the folder of the older edition")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--until", type=float, default=0, help="Unix time at which to end, instead of --minutes")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--process", type=int, default=0, help="1 and 2 for two processes that train together")
    parser.add_argument("--since", type=float, default=0, help="Unix time at which the schedule began, to go on in it")
    parser.add_argument("--peak", type=float, default=1.0, help="largest learning-rate factor; 0.5 to train on")
    parser.add_argument("--guide", type=float, default=1.0, help="guidance to take into the weights; 1 is none")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cfg-scale", type=float, default=2.0)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    arguments = parser.parse_args()
    if arguments.what == "start":
        begin(arguments.run, arguments.older)
    elif arguments.what == "train":
        train(
            arguments.run,
            arguments.minutes,
            arguments.batch,
            arguments.until,
            arguments.peak,
            arguments.guide,
            arguments.process,
            arguments.since,
        )
    else:
        rng = random.Random(3)
        prompts = [random_scene(rng, list(objects())).caption(rng) for _ in range(48)]
        print(prompts)
        sheet(arguments.run, prompts, arguments.out, arguments.steps, arguments.cfg_scale, size=arguments.size)


if __name__ == "__main__":
    main()
