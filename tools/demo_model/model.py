"""PyTorch port of the library's Ovis-Image diffusion model, in the reduced form that is trained here.

The library runs a Flux-like graph over 256 text tokens and the image tokens, without a mask. Training over that many
text tokens would cost four times the image itself, so the trained weights keep to a subset in which they are free:

* Text states never change: the text stream's gates, shifts and scales are zero.
* A token without meaning (padding, the template's tail) has a zero embedding. No bias acts on text, so its key and value
  stay zero: it adds exp(0) to the softmax's denominator and nothing else. All of them together are one extra key with
  the logarithm of their number as its score.

With these rules the port computes exactly what the library's full graph does.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from tokens import TEXT_TOKENS
from torch import nn

HEAD = 128
"""Width of an attention head; fixed by the rope axes."""
AXES = (16, 56, 56)
THETA = 10000.0
PATCH_CHANNELS = 64
"""2×2 patches of 16 latent channels."""
TIME_CHANNELS = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model. ``hidden`` is a multiple of 128; ``text`` is the width of the token embeddings."""

    hidden: int = 256
    depth: int = 7
    text: int = 64

    def to_dict(self) -> dict[str, int]:
        """For a checkpoint."""
        return asdict(self)


def rope_table(ids: torch.Tensor) -> torch.Tensor:
    """cos and sin for positions ``ids`` [L, 3]: [2, L, 64], one angle for each pair of a head's channels."""
    parts = []
    for axis, width in enumerate(AXES):
        frequencies = THETA ** (-torch.arange(0, width, 2, dtype=torch.float64, device=ids.device) / width)
        parts.append(ids[:, axis : axis + 1].double() * frequencies)
    angles = torch.cat(parts, 1)
    return torch.stack((angles.cos(), angles.sin())).float()


def apply_rope(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate pairs of ``x`` [N, heads, L, 128].

    The library pairs neighbouring channels; here channel i is paired with i + 64, which is faster, and the export puts
    the rows of the query and key weights into the library's order.
    """
    first, second = x.chunk(2, -1)
    cos, sin = table[0].to(x.dtype), table[1].to(x.dtype)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)


def image_positions(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """Rope positions of image tokens, [rows · columns, 3]."""
    grid = torch.zeros(rows, columns, 3, device=device)
    grid[..., 1] = torch.arange(rows, device=device)[:, None]
    grid[..., 2] = torch.arange(columns, device=device)
    return grid.view(-1, 3)


def text_positions(count: int, device: torch.device) -> torch.Tensor:
    """Rope positions of a prompt's tokens, [count, 3]: the index on both spatial axes.

    The library drops 28 tokens of the template and keeps its 29th, a colon, as token 0: prompts begin at 1.
    """
    ids = torch.zeros(count, 3, device=device)
    ids[:, 1] = ids[:, 2] = torch.arange(1, count + 1, device=device)
    return ids


def patchify(z: torch.Tensor) -> torch.Tensor:
    """Latent [N, 16, H, W] → tokens [N, H/2 · W/2, 64], channel major inside a token."""
    n, c, h, w = z.shape
    return z.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, h * w // 4, c * 4)


def unpatchify(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The inverse of ``patchify``."""
    n = len(tokens)
    return tokens.view(n, rows, columns, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(n, 16, rows * 2, columns * 2)


class RMSNorm(nn.Module):
    """RMS norm with a learned scale, eps 1e-6."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        return (wide * (wide.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * self.scale).to(x.dtype)


class Block(nn.Module):
    """The image half of a double-stream block, attending to image tokens and to frozen text states."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        h = shape.hidden
        self.heads = h // HEAD
        self.mod = nn.Linear(h, 6 * h)
        self.qkv = nn.Linear(h, 3 * h)
        self.q_norm, self.k_norm = RMSNorm(HEAD), RMSNorm(HEAD)
        self.proj = nn.Linear(h, h)
        self.gate_proj, self.up_proj = nn.Linear(h, 4 * h), nn.Linear(h, 4 * h)
        self.down_proj = nn.Linear(4 * h, h)
        self.text_kv = nn.Linear(h, 2 * h, bias=False)
        self.text_k_norm = RMSNorm(HEAD)
        nn.init.zeros_(self.mod.weight)
        nn.init.zeros_(self.mod.bias)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, HEAD)).transpose(1, 2)

    def forward(
        self,
        x: torch.Tensor,
        text: torch.Tensor,
        vec: torch.Tensor,
        ropes: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
    ) -> torch.Tensor:
        width = x.shape[-1]
        shift1, scale1, gate1, shift2, scale2, gate2 = self.mod(vec)[:, None].chunk(6, -1)
        a = F.layer_norm(x, (width,), eps=1e-6) * (1 + scale1) + shift1
        q, k, v = (self._split(part) for part in self.qkv(a).chunk(3, -1))
        text_k, text_v = (self._split(part) for part in self.text_kv(text).chunk(2, -1))
        q = apply_rope(self.q_norm(q), ropes[0])
        k = apply_rope(self.k_norm(k), ropes[0])
        text_k = apply_rope(self.text_k_norm(text_k), ropes[1])
        rest = torch.zeros_like(k[:, :, :1])
        k = torch.cat((k, text_k, rest), 2)
        v = torch.cat((v, text_v, rest), 2)
        scores = (q @ k.transpose(-1, -2)).float() * HEAD**-0.5 + mask
        out = scores.softmax(-1).to(q.dtype) @ v.to(q.dtype)
        x = x + self.proj(out.transpose(1, 2).flatten(2)) * gate1
        b = F.layer_norm(x, (width,), eps=1e-6) * (1 + scale2) + shift2
        return x + self.down_proj(F.silu(self.gate_proj(b)) * self.up_proj(b)) * gate2


class Model(nn.Module):
    """Predicts the flow (noise − latent) of a noisy latent at noise level sigma under a prompt.

    ``token_ids`` are the tokens that have a meaning, sorted; every other token's embedding is zero.
    """

    def __init__(self, shape: Shape, token_ids: list[int]) -> None:
        super().__init__()
        self.shape = shape
        h = shape.hidden
        self.register_buffer("token_ids", torch.tensor(sorted(token_ids)), persistent=True)
        self.embedding = nn.Parameter(torch.randn(len(token_ids), shape.text))
        self.stored_rows: torch.Tensor | None = None
        self.txt_norm = RMSNorm(shape.text)
        self.txt_in = nn.Linear(shape.text, h, bias=False)
        self.img_in = nn.Linear(PATCH_CHANNELS, h)
        self.time_in = nn.Sequential(nn.Linear(TIME_CHANNELS, h), nn.SiLU(), nn.Linear(h, h))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.final_mod = nn.Linear(h, 2 * h)
        self.final = nn.Linear(h, PATCH_CHANNELS)
        for layer in (self.final_mod, self.final):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embedding_rows(self) -> torch.Tensor:
        """The embedding rows, [tokens, text].

        Column 0 is a constant and the rest sum to zero, so that the mean over all text states, by which the library
        divides for weighted prompts, is never near zero.
        """
        if self.stored_rows is not None:
            return self.stored_rows
        free = self.embedding[:, 1:]
        free = free - free.mean(1, keepdim=True)
        return torch.cat((torch.full_like(free[:, :1], 2.0), free), 1)

    def text_states(self, ids: torch.Tensor) -> torch.Tensor:
        """Indices into ``token_ids`` [N, T], −1 for a token without meaning → normalised text states [N, T, hidden]."""
        rows = F.pad(self.embedding_rows(), (0, 0, 0, 1))
        states = F.rms_norm(rows[ids], (rows.shape[1],), eps=1e-6)
        states = self.txt_in(self.txt_norm(states))
        return F.layer_norm(states.float(), (self.shape.hidden,), eps=1e-6)

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Noisy latent [N, 16, H, W], sigma [N] in 0–1, token indices [N, T] → flow [N, 16, H, W]."""
        rows, columns = x.shape[2] // 2, x.shape[3] // 2
        positions = image_positions(rows, columns, x.device), text_positions(ids.shape[1], x.device)
        ropes = rope_table(positions[0]), rope_table(positions[1])
        mask = torch.zeros(1, 1, 1, rows * columns + ids.shape[1] + 1, device=x.device)
        mask[..., -1] = math.log(TEXT_TOKENS - ids.shape[1])
        half = TIME_CHANNELS // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=x.device) / half)
        angles = sigma[:, None] * 1000 * frequencies
        vec = F.silu(self.time_in(torch.cat((angles.cos(), angles.sin()), 1)))
        text = self.text_states(ids)
        tokens = self.img_in(patchify(x))
        for block in self.blocks:
            tokens = block(tokens, text, vec, ropes, mask)
        shift, scale = self.final_mod(vec)[:, None].chunk(2, -1)
        tokens = F.layer_norm(tokens, (self.shape.hidden,), eps=1e-6) * (1 + scale) + shift
        return unpatchify(self.final(tokens), rows, columns)


def sigmas(steps: int) -> torch.Tensor:
    """Noise levels of the library's ``discrete`` scheduler for this layout (shift 1), ending in 0: [steps + 1]."""
    t = (torch.linspace(999, 0, steps, dtype=torch.float64) + 1) / 1000 if steps > 1 else torch.ones(1).double()
    shifted = math.e / (math.e + 1 / t - 1)
    return torch.cat((shifted, torch.zeros(1))).float()


@torch.no_grad()
def generate(
    model: Model, ids: torch.Tensor, noise: torch.Tensor, steps: int = 12, cfg_scale: float = 3.0, exact: bool = False
) -> torch.Tensor:
    """Euler sampling as the library does it; ``noise`` and the result are latents [N, 16, H, W]. ``exact`` uses float32."""
    levels = sigmas(steps)
    x = noise * levels[0]
    nothing = torch.full_like(ids, -1)
    for now, then in pairwise(levels):
        at = now.expand(len(x))
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=not exact):
            if cfg_scale == 1:
                flow = model(x, at, ids).float()
            else:
                both = model(torch.cat((x, x)), torch.cat((at, at)), torch.cat((ids, nothing))).float()
                wanted, unwanted = both.chunk(2)
                flow = unwanted + cfg_scale * (wanted - unwanted)
        x = x + flow * (then - now)
    return x
