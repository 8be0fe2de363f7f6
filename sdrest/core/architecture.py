"""The architectures that the native library distinguishes, and the families they belong to."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Architecture(StrEnum):
    """Every version the native library distinguishes (``enum SDVersion``), and ``chroma``, which it loads as a kind of
    Flux.
    """

    SD1 = "sd1"
    SD1_INPAINT = "sd1_inpaint"
    SD1_PIX2PIX = "sd1_pix2pix"
    SD1_TINY_UNET = "sd1_tiny_unet"
    SD2 = "sd2"
    SD2_INPAINT = "sd2_inpaint"
    SD2_TINY_UNET = "sd2_tiny_unet"
    SDXS_512_DS = "sdxs_512_ds"
    SDXS_09 = "sdxs_09"
    SDXL = "sdxl"
    SDXL_INPAINT = "sdxl_inpaint"
    SDXL_PIX2PIX = "sdxl_pix2pix"
    SDXL_VEGA = "sdxl_vega"
    SDXL_SSD1B = "sdxl_ssd1b"
    SVD = "svd"
    SD3 = "sd3"
    FLUX = "flux"
    FLUX_FILL = "flux_fill"
    FLUX_CONTROLS = "flux_controls"
    FLEX_2 = "flex_2"
    CHROMA = "chroma"
    CHROMA_RADIANCE = "chroma_radiance"
    WAN2 = "wan2"
    WAN2_2_I2V = "wan2_2_i2v"
    WAN2_2_TI2V = "wan2_2_ti2v"
    QWEN_IMAGE = "qwen_image"
    ANIMA = "anima"
    FLUX2 = "flux2"
    FLUX2_KLEIN = "flux2_klein"
    Z_IMAGE = "z_image"
    OVIS_IMAGE = "ovis_image"
    ERNIE_IMAGE = "ernie_image"

    @property
    def label(self) -> str:
        """The name people use, for example ``SD 1.x``."""
        return _LABELS[self]

    @property
    def family(self) -> Family:
        """The family whose components and LoRAs fit."""
        return _FAMILIES[self]


class Family(StrEnum):
    """Architectures that share text encoders, latent space and LoRA layouts."""

    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"
    SVD = "svd"
    SD3 = "sd3"
    FLUX = "flux"
    CHROMA = "chroma"
    FLUX2 = "flux2"
    WAN = "wan"
    QWEN_IMAGE = "qwen_image"
    ANIMA = "anima"
    Z_IMAGE = "z_image"
    OVIS_IMAGE = "ovis_image"
    ERNIE_IMAGE = "ernie_image"


#: Whose diffusion model is a U-Net, and not a transformer; SVD's, for videos, is not among them.
UNET_FAMILIES: Final = frozenset({Family.SD1, Family.SD2, Family.SDXL})

_A, _F = Architecture, Family
_FAMILIES: dict[Architecture, Family] = {
    **dict.fromkeys((_A.SD1, _A.SD1_INPAINT, _A.SD1_PIX2PIX, _A.SD1_TINY_UNET, _A.SDXS_512_DS), _F.SD1),
    **dict.fromkeys((_A.SD2, _A.SD2_INPAINT, _A.SD2_TINY_UNET, _A.SDXS_09), _F.SD2),
    **dict.fromkeys((_A.SDXL, _A.SDXL_INPAINT, _A.SDXL_PIX2PIX, _A.SDXL_VEGA, _A.SDXL_SSD1B), _F.SDXL),
    **dict.fromkeys((_A.FLUX, _A.FLUX_FILL, _A.FLUX_CONTROLS, _A.FLEX_2), _F.FLUX),
    **dict.fromkeys((_A.CHROMA, _A.CHROMA_RADIANCE), _F.CHROMA),
    **dict.fromkeys((_A.WAN2, _A.WAN2_2_I2V, _A.WAN2_2_TI2V), _F.WAN),
    **dict.fromkeys((_A.FLUX2, _A.FLUX2_KLEIN), _F.FLUX2),
    _A.SVD: _F.SVD,
    _A.SD3: _F.SD3,
    _A.QWEN_IMAGE: _F.QWEN_IMAGE,
    _A.ANIMA: _F.ANIMA,
    _A.Z_IMAGE: _F.Z_IMAGE,
    _A.OVIS_IMAGE: _F.OVIS_IMAGE,
    _A.ERNIE_IMAGE: _F.ERNIE_IMAGE,
}

_LABELS: dict[Architecture, str] = {
    _A.SD1: "SD 1.x",
    _A.SD1_INPAINT: "SD 1.x Inpaint",
    _A.SD1_PIX2PIX: "Instruct-Pix2Pix",
    _A.SD1_TINY_UNET: "SD 1.x Tiny UNet",
    _A.SD2: "SD 2.x",
    _A.SD2_INPAINT: "SD 2.x Inpaint",
    _A.SD2_TINY_UNET: "SD 2.x Tiny UNet",
    _A.SDXS_512_DS: "SDXS (512-DS)",
    _A.SDXS_09: "SDXS (09)",
    _A.SDXL: "SDXL",
    _A.SDXL_INPAINT: "SDXL Inpaint",
    _A.SDXL_PIX2PIX: "SDXL Instruct-Pix2Pix",
    _A.SDXL_VEGA: "SDXL (Vega)",
    _A.SDXL_SSD1B: "SDXL (SSD-1B)",
    _A.SVD: "SVD",
    _A.SD3: "SD 3.x",
    _A.FLUX: "Flux",
    _A.FLUX_FILL: "Flux Fill",
    _A.FLUX_CONTROLS: "Flux Control",
    _A.FLEX_2: "Flex.2",
    _A.CHROMA: "Chroma",
    _A.CHROMA_RADIANCE: "Chroma Radiance",
    _A.WAN2: "Wan 2.x",
    _A.WAN2_2_I2V: "Wan 2.2 I2V",
    _A.WAN2_2_TI2V: "Wan 2.2 TI2V",
    _A.QWEN_IMAGE: "Qwen Image",
    _A.ANIMA: "Anima",
    _A.FLUX2: "Flux.2",
    _A.FLUX2_KLEIN: "Flux.2 klein",
    _A.Z_IMAGE: "Z-Image",
    _A.OVIS_IMAGE: "Ovis Image",
    _A.ERNIE_IMAGE: "Ernie Image",
}
