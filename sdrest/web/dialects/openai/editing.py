"""What becomes of the pictures of an edit: painted over, repainted behind either kind of mask, or followed as references."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from PIL import Image, ImageChops

from sdrest.core.architecture import Architecture
from sdrest.core.errors import InvalidInput
from sdrest.core.model import Model

#: Architectures that take a picture with an instruction as a reference, instead of painting over it.
_EDITING: Final = frozenset({Architecture.FLUX2, Architecture.FLUX2_KLEIN, Architecture.QWEN_IMAGE})
_EDITING_NAMES: Final = re.compile(r"kontext|edit|pix2pix", re.IGNORECASE)


def edits_by_reference(model: Model) -> bool:
    """Whether the model changes a picture by instruction."""
    return model.architecture in _EDITING or _EDITING_NAMES.search(model.name) is not None


def edited(sent: Mapping[str, list[Image.Image]], *, by_reference: bool) -> dict[str, list[Image.Image]]:
    """The pictures of an edit by parameter; blocks.

    Raises:
        InvalidInput: there are several masks.
    """
    images, masks = sent["image"], sent.get("mask", [])
    if len(masks) > 1:
        raise InvalidInput("there is one mask, for the first picture", field="mask")
    mask = repaint_mask(masks[0]) if masks else _transparency(images[0]) if len(images) == 1 else None
    if mask is not None:
        return {"init_image": [images[0].convert("RGB")], "mask_image": [mask], "ref_images": images[1:]}
    if len(images) > 1 or by_reference:
        return {"ref_images": images}
    return {"init_image": [images[0].convert("RGB")]}


def repaint_mask(mask: Image.Image) -> Image.Image:
    """A mask as one channel, white where the picture is to be repainted.

    OpenAI's masks are transparent there; other servers' are white. A mask with any transparent pixel is taken for the former.
    """
    inverse = _transparency(mask)
    return mask.convert("L") if inverse is None else inverse


def _transparency(picture: Image.Image) -> Image.Image | None:
    """How transparent each pixel is (255: fully); None when the picture is opaque all over."""
    if "A" not in picture.getbands():
        return None
    alpha = picture.getchannel("A")
    lowest, _ = alpha.getextrema()
    return ImageChops.invert(alpha) if lowest < 255 else None  # type: ignore[operator]  # one band gives two numbers
