"""What a style word does to a finished picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

STYLES: dict[str, tuple[str, ...]] = {
    "flat": ("{}, flat style", "flat style, {}"),
    "outline": ("{}, outline", "an outline of {}"),
    "pixel": ("{}, pixel art", "pixel art of {}"),
    "sketch": ("{}, sketch", "a sketch of {}"),
    "pastel": ("{}, pastel", "{}, pastel colors"),
    "black and white": ("{}, black and white", "black and white, {}"),
}
"""Style → the captions for it; ``{}`` stands for the picture's own."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def styled(picture: np.ndarray, style: str) -> np.ndarray:
    """``picture`` [H, W, 3] in a style of ``STYLES``; an empty style changes nothing."""
    if not style:
        return picture
    size = picture.shape[0]
    image = Image.fromarray(picture)
    if style == "flat":
        smooth = image.filter(ImageFilter.MedianFilter(5))
        return np.asarray(smooth.quantize(6, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB"))
    if style == "pixel":
        small = image.resize((32, 32), Image.Resampling.BOX)
        return np.asarray(small.resize((size, size), Image.Resampling.NEAREST))
    if style == "pastel":
        luma = (picture @ _LUMA)[..., None]
        soft = luma + (picture - luma) * 0.6
        return (soft * 0.5 + 127).clip(0, 255).astype(np.uint8)
    luma = picture @ _LUMA
    if style == "black and white":
        return np.repeat(luma[..., None].astype(np.uint8), 3, 2)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(size / 160)), np.float32)
    edge = sum(np.abs(np.gradient(soft, axis=axis)).max(2) for axis in (0, 1)) * (size / 128)
    outline, sketch = 255 - (edge - 8) * 9, 250 - edge * 4 - (255 - luma) * 0.25
    line = np.clip(outline if style == "outline" else sketch, 0, 255)
    return np.repeat(line[..., None].astype(np.uint8), 3, 2)
