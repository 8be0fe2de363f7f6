"""How the pictures of img2img are brought to the size that is asked for, and what their mask means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image, ImageOps

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.names import InpaintFill
from sdrest.core.parameters import MAX_SIDE_PX, MIN_SIDE_PX
from sdrest.web.dialects.a1111.bodies import Image2Image
from sdrest.web.requests.pictures import Size

#: ``resize_mode``: a picture of another size is stretched, cut, bordered, or stretched as a latent picture.
_STRETCH, _CUT, _BORDER, _LATENT = range(4)
#: ``inpainting_fill``: under the mask are its surroundings, what was there, or, in the latent picture, noise or nothing.
_FILL, _ORIGINAL, _NOISE, _NOTHING = range(4)
#: A ControlNet unit's ``resize_mode``, in the words of its versions; whatever else is said means to crop.
_JUST_RESIZE: Final = frozenset({"0", "just resize", "resizemode.resize"})
_RESIZE_AND_FILL: Final = ("2", "fill", "outer")
#: As A1111 does where the body says nothing.
_MASK_BLUR_PX: Final = 4


class Fit:
    """What a body of img2img says of its pictures.

    Raises:
        InvalidInput: a number is out of its range.
    """

    def __init__(self, body: Image2Image) -> None:
        self._body = body
        self._given = {name for name in ("width", "height") if getattr(body, name) is not None}
        self.width, self.height = body.width or 0, body.height or 0
        blurs = [body.mask_blur_x, body.mask_blur_y] if body.mask_blur is None else [body.mask_blur]
        given = [blur for blur in blurs if blur is not None]
        self._blur = max(given) if given else _MASK_BLUR_PX
        problems = [
            FieldProblem(name, f"must be from 0 to {most}")
            for name, value, most in (
                ("resize_mode", body.resize_mode, _LATENT),
                ("inpainting_fill", body.inpainting_fill, _NOTHING),
                ("mask_blur", self._blur, bounds.MASK_BLUR_PX),
                ("inpaint_full_res_padding", body.inpaint_full_res_padding, MAX_SIDE_PX),
            )
            if not 0 <= value <= most
        ]
        if problems:
            raise InvalidInput(problems)
        #: What of the body could not be done as it says.
        self.warnings = self._told()

    def measure(self, own: Size) -> None:
        """Take the sides that the body does not give from the picture of size ``own``; both must be such as can be made."""
        self.width = self.width if "width" in self._given else own[0]
        self.height = self.height if "height" in self._given else own[1]
        problems = [
            FieldProblem(name, f"{side} pixels: must be from {MIN_SIDE_PX} to {MAX_SIDE_PX}")
            for name, side in (("width", self.width), ("height", self.height))
            if not MIN_SIDE_PX <= side <= MAX_SIDE_PX
        ]
        if problems:
            raise InvalidInput(problems)

    def parameters(self, *, masked: bool) -> dict[str, Any]:
        """The parameters that the body sets by these fields."""
        values: dict[str, Any] = {"width": self.width, "height": self.height}
        if masked:
            values["inpaint"] = {
                "only_masked": self._body.inpaint_full_res,
                "padding": self._body.inpaint_full_res_padding,
                "fill": InpaintFill.ORIGINAL if self._body.inpainting_fill == _ORIGINAL else InpaintFill.SURROUNDINGS,
                "blur": self._blur,
                "keep": True,
            }
        return values

    def arranged(self, pictures: Mapping[str, Sequence[Image.Image]]) -> dict[str, list[Image.Image]]:
        """The first picture, and the mask if there is one, by parameter; blocks."""
        found = {"init_image": [pictures["init_images"][0].convert("RGB")]}
        if pictures.get("mask"):
            mask = mask_of(pictures["mask"][0])
            found["mask_image"] = [ImageOps.invert(mask) if self._body.inpainting_mask_invert else mask]
            if self._body.inpaint_full_res:
                return found  # a part of the picture is fitted to the size, not the picture
        return {name: [self._fitted(picture) for picture in items] for name, items in found.items()}

    def _fitted(self, picture: Image.Image) -> Image.Image:
        """``picture`` in the size, unless it is to be stretched: that is done with every picture later."""
        size = (self.width, self.height)
        if self._body.resize_mode == _CUT:
            return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        if self._body.resize_mode == _BORDER:
            return ImageOps.pad(picture, size, Image.Resampling.LANCZOS)
        return picture

    def _told(self) -> list[str]:
        told = []
        if self._body.resize_mode == _LATENT:
            told.append("resize_mode 3 has no effect: the library takes no latent pictures; the picture is stretched")
        if self._body.mask and self._body.inpainting_fill in {_NOISE, _NOTHING}:
            told.append(
                f"inpainting_fill {self._body.inpainting_fill} has no effect: the library takes no latent pictures; "
                "the surroundings are drawn together under the mask"
            )
        if len(self._body.init_images) > 1:
            told.append("only the first of init_images is used")
        return told


def control_fitted(picture: Image.Image, size: Size, resize_mode: str) -> Image.Image:
    """A control picture in the shape of ``size``, as a ControlNet unit's ``resize_mode`` says; blocks.

    One that has that shape, or is to be stretched, is left as it is: that is done with every picture later.
    """
    mode = resize_mode.strip().lower()
    if picture.width * size[1] == picture.height * size[0] or mode in _JUST_RESIZE:
        return picture
    if any(word in mode for word in _RESIZE_AND_FILL):
        return ImageOps.pad(picture, size, Image.Resampling.LANCZOS)
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def mask_of(picture: Image.Image) -> Image.Image:
    """White where to repaint; A1111's own page sends an RGBA drawing, whose opaque parts are meant."""
    if "A" in picture.getbands() and picture.getchannel("A").getextrema()[0] == 0:
        return picture.getchannel("A")
    return picture.convert("L")
