"""The tiny autoencoder (TAE, 16 latent channels), trained slim and exported at the fixed width the library expects.

The library's graph has 64 channels everywhere and three residual blocks in a row per resolution. Training uses fewer
of both: unused channels are zero and a block whose last convolution is zero passes its (non-negative) input on, so the
slim network and the padded one compute the same numbers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from data import COLORS, SHAPES, load_icons, render, shape_icon
from torch import nn

LATENT = 16
WIDTH = 64
"""Channels of the library's fixed graph."""


class Block(nn.Module):
    """Residual block: three 3×3 convolutions, ReLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.ModuleDict({str(i): nn.Conv2d(width, width, 3, padding=1) for i in (0, 2, 4)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.conv["0"](x))
        h = F.relu(self.conv["2"](h))
        return F.relu(self.conv["4"](h) + x)


ENCODER = {0: (3, 32, 1), 2: (32, 48, 2), 6: (48, 64, 2), 10: (64, 64, 2), 14: (64, LATENT, 1)}
"""Index in the library's graph → convolution (input, output, stride)."""
ENCODER_BLOCKS = {3: 48, 7: 64, 8: 64, 11: 64, 12: 64, 13: 64}
DECODER = {0: (LATENT, 64), 6: (64, 64), 11: (64, 48), 16: (48, 32), 18: (32, 3)}
DECODER_BLOCKS = {2: 64, 3: 64, 4: 64, 7: 64, 8: 64, 12: 48, 17: 32}
UPSAMPLE = (5, 10, 15)
PREVIEW = (
    (-0.0411, 0.0199, 0.0972),
    (0.0281, 0.0268, 0.1296),
    (0.0656, -0.0680, -0.0146),
    (-0.0130, -0.0147, 0.0812),
    (0.0785, 0.0593, -0.0247),
    (-0.0160, -0.0037, 0.0050),
    (0.0336, 0.1390, 0.0684),
    (-0.0244, -0.0635, -0.0301),
    (-0.0402, -0.0167, 0.1271),
    (0.1127, 0.0887, -0.0419),
    (-0.0235, 0.0937, 0.0256),
    (0.0829, 0.0483, 0.0075),
    (0.0757, 0.0741, 0.0818),
    (-0.1435, 0.0182, -0.1361),
    (-0.0258, -0.0820, -0.0400),
    (-0.1119, -0.0556, -0.0323),
)
"""What the library's quick previews make of a latent channel: its share in red, green and blue, for colours in −1 to 1.
Measured on noise whose previews the library drew; the latent space is trained so that they come out in right colours."""
PREVIEW_OFFSET = (0.0207, -0.0108, -0.0121)


class Encoder(nn.Module):
    """RGB in 0–1 [N, 3, H, W] → latent [N, 16, H/8, W/8]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        for i, (n_in, n_out, stride) in ENCODER.items():
            self.layers[str(i)] = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=stride == 1)
        for i, width in ENCODER_BLOCKS.items():
            self.layers[str(i)] = Block(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(15):
            x = self.layers[str(i)](x) if str(i) in self.layers else F.relu(x)
        return x


class Decoder(nn.Module):
    """Latent [N, 16, h, w] → RGB around 0–1 [N, 3, 8h, 8w]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        for i, (n_in, n_out) in DECODER.items():
            self.layers[str(i)] = nn.Conv2d(n_in, n_out, 3, 1, 1, bias=i in (0, 18))
        for i, width in DECODER_BLOCKS.items():
            self.layers[str(i)] = Block(width)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(z / 3) * 3
        for i in range(19):
            if i in UPSAMPLE:
                h = F.interpolate(h, scale_factor=2, mode="nearest")
            elif str(i) in self.layers:
                h = self.layers[str(i)](h)
            else:
                h = F.relu(h)
        return h


def padded_tensors(encoder: Encoder, decoder: Decoder) -> dict[str, np.ndarray]:
    """Every tensor of the library's graph, zero-padded to its width; names as the library has them, without prefix."""
    out: dict[str, np.ndarray] = {}

    def put(name: str, n_in: int, n_out: int, bias: bool, conv: nn.Conv2d | None) -> None:
        weight = np.zeros((n_out, n_in, 3, 3), np.float32)
        offset = np.zeros(n_out, np.float32)
        if conv is not None:
            w = conv.weight.detach().float().numpy()
            weight[: w.shape[0], : w.shape[1]] = w
            if conv.bias is not None:
                offset[: w.shape[0]] = conv.bias.detach().float().numpy()
        out[f"{name}.weight"] = weight
        if bias:
            out[f"{name}.bias"] = offset

    def put_block(name: str, block: Block | None) -> None:
        for i in (0, 2, 4):
            put(f"{name}.conv.{i}", WIDTH, WIDTH, True, block.conv[str(i)] if block is not None else None)

    layers = dict(encoder.layers.items())
    for i in range(15):
        layer = layers.get(str(i))
        if i in ENCODER:
            stride = ENCODER[i][2]
            put(f"encoder.layers.{i}", 3 if i == 0 else WIDTH, LATENT if i == 14 else WIDTH, stride == 1, layer)
        else:
            put_block(f"encoder.layers.{i}", layer)
    layers = dict(decoder.layers.items())
    for i in range(19):
        layer = layers.get(str(i))
        if i in DECODER:
            put(f"decoder.layers.{i}", LATENT if i == 0 else WIDTH, 3 if i == 18 else WIDTH, i in (0, 18), layer)
        elif i != 1 and i not in UPSAMPLE:
            put_block(f"decoder.layers.{i}", layer)
    return out


def load(path: Path) -> tuple[Encoder, Decoder]:
    """Encoder and decoder of a checkpoint (the averaged weights)."""
    state = torch.load(path, weights_only=True)
    encoder, decoder = Encoder(), Decoder()
    encoder.load_state_dict(state["encoder"])
    decoder.load_state_dict(state["decoder"])
    return encoder.eval(), decoder.eval()


def sample_pictures(icons: list[np.ndarray], rng: np.random.Generator, count: int, size: int) -> torch.Tensor:
    """Random objects in random places on random grounds (plain, named, gradient): [count, 3, size, size] in 0–1."""
    named = list(COLORS)
    batch = []
    for _ in range(count):
        ground = COLORS[named[rng.integers(len(named))]] if rng.random() < 0.8 else tuple(rng.integers(0, 256, 3))
        if rng.random() < 0.1:
            icon = shape_icon(SHAPES[rng.integers(len(SHAPES))], named[rng.integers(len(named))])
        else:
            icon = icons[rng.integers(len(icons))]
        if rng.random() < 0.3:
            icon = icon[:, ::-1]
        dx, dy = rng.normal(0, 0.08, 2) if rng.random() < 0.5 else (0.0, 0.0)
        scale = 0.84 if rng.random() < 0.4 else rng.uniform(0.3, 1.4)
        picture = render(icon, tuple(int(c) for c in ground), size, scale, dx, dy)
        if rng.random() < 0.15:
            shade = np.linspace(rng.uniform(0.3, 1), rng.uniform(0.6, 1.2), size)[:, None, None]
            picture = (picture * shade).clip(0, 255).astype(np.uint8)
        if rng.random() < 0.1:
            picture = np.repeat(picture.mean(2, keepdims=True), 3, 2).astype(np.uint8)
        batch.append(picture)
    return torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float().div_(255)


def crops(pictures: torch.Tensor, rng: np.random.Generator, size: int, each: int) -> torch.Tensor:
    """``each`` random squares of side ``size`` out of every picture."""
    room = pictures.shape[-1] - size + 1
    found = []
    for picture in pictures:
        for y, x in rng.integers(0, room, (each, 2)):
            found.append(picture[:, y : y + size, x : x + size])
    return torch.stack(found)


def initialise(network: nn.Module) -> None:
    """He initialisation that keeps the signal's size through ReLUs; residual branches start near zero."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if name.endswith("conv.4"):
                layer.weight.data.mul_(0.1)


def previewed(z: torch.Tensor) -> torch.Tensor:
    """The library's quick preview of latents [N, 16, h, w]: colours [N, 3, h, w], −1 to 1 where they are right."""
    factors = torch.tensor(PREVIEW)
    return torch.einsum("nchw,cr->nrhw", z, factors) + torch.tensor(PREVIEW_OFFSET)[:, None, None]


@torch.no_grad()
def turn(encoder: Encoder, decoder: Decoder, pictures: torch.Tensor) -> None:
    """Rotate the latent basis, inside the first and last layers, to where previews are nearest to ``pictures``.

    A rotation keeps noise what it is, and the decoder undoes it, except for its saturation of large values: train on.
    """
    z = encoder(pictures)
    colours = F.avg_pool2d(pictures, 8) * 2 - 1
    flat = z.permute(0, 2, 3, 1).reshape(-1, LATENT)
    wanted = colours.permute(0, 2, 3, 1).reshape(-1, 3)
    old = torch.linalg.lstsq(torch.cat((flat, torch.ones(len(flat), 1)), 1), wanted).solution[:LATENT]
    u, _, v = torch.linalg.svd(torch.tensor(PREVIEW) @ old.T)
    turned = u @ v
    last, first = encoder.layers["14"], decoder.layers["0"]
    last.weight.copy_(torch.einsum("ij,jabc->iabc", turned, last.weight))
    last.bias.copy_(turned @ last.bias)
    first.weight.copy_(torch.einsum("ojab,ij->oiab", first.weight, turned))


def train(run: Path, minutes: float, batch: int = 8, size: int = 128, crop: int = 64, turning: bool = False) -> None:
    """Train for ``minutes`` (resuming ``run/tae.pt`` where it exists) and keep an exponential average of the weights."""
    torch.set_num_threads(1)
    icons = list(load_icons(run).values())
    rng = np.random.default_rng(int(time.time()))
    encoder, decoder = Encoder(), Decoder()
    path = run / "tae.pt"
    step = 0
    initialise(encoder)
    initialise(decoder)
    encoder.layers["14"].weight.data.mul_(3)
    decoder.layers["18"].weight.data.mul_(0.1)
    decoder.layers["18"].bias.data.fill_(0.5)
    if path.exists():
        state = torch.load(path, weights_only=True)
        encoder.load_state_dict(state["encoder"])
        decoder.load_state_dict(state["decoder"])
        step = state["step"]
    if turning:
        turn(encoder, decoder, sample_pictures(icons, rng, 64, size))
    encoder.to(memory_format=torch.channels_last)
    decoder.to(memory_format=torch.channels_last)
    params = [*encoder.parameters(), *decoder.parameters()]
    average = [p.detach().clone() for p in params]
    peak = 1e-3
    optimizer = torch.optim.AdamW(params, lr=peak, weight_decay=0.0, betas=(0.9, 0.99))
    start = time.time()
    first = step
    while True:
        done = (time.time() - start) / (minutes * 60)
        rate = peak * min(1.0, (step - first + 1) / 50) * max(0.02, np.cos(min(done, 1) * np.pi / 2))
        for group in optimizer.param_groups:
            group["lr"] = rate
        x = crops(sample_pictures(icons, rng, batch, size), rng, crop, 2).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = encoder(x).float()
            noisy = z + torch.randn_like(z) * (0.1 * torch.rand(len(z), 1, 1, 1))
            y = decoder(noisy).float()
        mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
        error = y - x
        edges = (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()) * 0.5
        loss = (
            error.abs().mean() + 4 * error.square().mean() + edges + 0.02 * (mean.square() + (std - 1).square()).mean()
        )
        loss = loss + 0.01 * F.relu(z.abs() - 3).mean()
        loss = loss + 0.3 * (previewed(z) - (F.avg_pool2d(x, 8) * 2 - 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        step += 1
        decay = min(0.995, (step - first) / (step - first + 20))
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in params], 1 - decay)
        if step % 100 == 0 or done >= 1:
            psnr = -10 * np.log10(error.square().mean().item())
            seen = (previewed(z) - (F.avg_pool2d(x, 8) * 2 - 1)).abs().mean().item()
            print(
                f"tae step {step} preview off by {seen:.3f} "
                f"loss {loss.item():.4f} psnr {psnr:.2f} z std {std.mean():.2f} max {z.abs().max():.1f} "
                f"{(time.time() - start) / (step - first):.3f} s/step",
                flush=True,
            )
            live = [p.detach().clone() for p in params]
            with torch.no_grad():
                torch._foreach_copy_([p.data for p in params], average)
            temporary = path.with_suffix(".tmp")
            torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict(), "step": step}, temporary)
            temporary.replace(path)
            with torch.no_grad():
                torch._foreach_copy_([p.data for p in params], live)
        if done >= 1:
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of data and checkpoints")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--turn", action="store_true", help="rotate the latent basis first, for right previews")
    arguments = parser.parse_args()
    train(arguments.run, arguments.minutes, turning=arguments.turn)
