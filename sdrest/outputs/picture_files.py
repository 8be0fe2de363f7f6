"""Writing finished pictures, whoever made them: format, parameters, the mark of how they came to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sdrest.core.files import atomic_file
from sdrest.core.parameters import GenerationParameters, UpscaleParameters
from sdrest.outputs.encoding import Encoding, Pixels, encoded
from sdrest.outputs.marks import digital_source, xmp_packet


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Writes pictures as a server's settings say. Any thread may ask.

    ``marks_ai``: whether files say, in IPTC's terms, that a model made them.
    """

    marks_ai: bool = True

    @property
    def marks(self) -> tuple[str, ...]:
        """What is written into every file, whatever the job's parameters."""
        return ("digital source type",) if self.marks_ai else ()

    def xmp(self, parameters: GenerationParameters | UpscaleParameters) -> str:
        """The XMP packet of a picture of these parameters; empty when files are not marked."""
        return xmp_packet(digital_source(parameters)) if self.marks_ai else ""

    def write(
        self, target: Path, pixels: Pixels, parameters: GenerationParameters | UpscaleParameters, infotext: str
    ) -> int:
        """Write height × width × 3 bytes as a file, atomically; its size in bytes.

        Args:
            target: The file.
            pixels: The picture.
            parameters: Those it was made with: they say the format, and whether ``infotext`` goes into the file.
            infotext: The parameters as text.

        Raises:
            InsufficientStorage: the disk is full.
        """
        text = infotext if parameters.embed_metadata else ""
        data = encoded(Image.fromarray(pixels), encoding_of(parameters), text, self.xmp(parameters))
        with atomic_file(target) as stream:
            stream.write(data)
        return len(data)


def encoding_of(parameters: GenerationParameters | UpscaleParameters) -> Encoding:
    """How the pictures of a job become files."""
    return Encoding(parameters.output_format, parameters.output_quality)
