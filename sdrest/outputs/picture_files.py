"""Writing finished pictures, whoever made them: format, parameters, the mark of how they came to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sdrest.core.errors import InvalidInput
from sdrest.core.files import atomic_file
from sdrest.core.parameters import GenerationParameters, UpscaleParameters
from sdrest.outputs.encoding import Encoding, Pixels, encoded
from sdrest.outputs.marks import digital_source, xmp_packet
from sdrest.outputs.signing import Signer
from sdrest.settings import Settings


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Writes pictures as a server's settings say. Any thread may ask.

    ``marks_ai``: whether files say, in IPTC's terms, that a model made them; ``signer``: signs them, where there is one.
    """

    marks_ai: bool = True
    signer: Signer | None = None

    @classmethod
    def of(cls, settings: Settings) -> PictureFiles:
        """As the settings say.

        Raises:
            InvalidInput: the certificate cannot sign, or the key is missing.
        """
        certificates, key = settings.c2pa_certificates, settings.c2pa_key
        if certificates is None and key is None:
            return cls(settings.ai_mark)
        if certificates is None or key is None:
            missing = "c2pa_key" if key is None else "c2pa_certificates"
            raise InvalidInput("signing needs both the certificate chain and its key", field=missing)
        signer = Signer(certificates, key, settings.c2pa_algorithm, settings.c2pa_timestamp_url)
        signer.check()
        return cls(settings.ai_mark, signer)

    @property
    def marks(self) -> tuple[str, ...]:
        """What is written into every file, whatever the job's parameters."""
        return tuple(name for name, is_on in (("digital source type", self.marks_ai), ("c2pa", self.signer)) if is_on)

    def xmp(self, parameters: GenerationParameters | UpscaleParameters) -> str:
        """The XMP packet of a picture of these parameters; empty when files are not marked."""
        return xmp_packet(digital_source(parameters)) if self.marks_ai else ""

    def sealed(self, data: bytes, media_type: str, parameters: GenerationParameters | UpscaleParameters) -> bytes:
        """A whole file, signed where this server signs.

        Raises:
            GenerationFailed: it cannot be signed.
        """
        return data if self.signer is None else self.signer.signed(data, media_type, digital_source(parameters))

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
            GenerationFailed: the file cannot be signed.
        """
        text, encoding = infotext if parameters.embed_metadata else "", encoding_of(parameters)
        data = encoded(Image.fromarray(pixels), encoding, text, self.xmp(parameters))
        data = self.sealed(data, encoding.media_type, parameters)
        with atomic_file(target) as stream:
            stream.write(data)
        return len(data)


def encoding_of(parameters: GenerationParameters | UpscaleParameters) -> Encoding:
    """How the pictures of a job become files."""
    return Encoding(parameters.output_format, parameters.output_quality)
