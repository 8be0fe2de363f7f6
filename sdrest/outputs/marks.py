"""The mark that says how a picture came to be: IPTC's ``DigitalSourceType``, within an XMP packet.

The values are terms of https://cv.iptc.org/newscodes/digitalsourcetype/. Nothing of the pixels is touched.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final
from xml.sax.saxutils import quoteattr

from sdrest import __version__
from sdrest.core.parameters import GenerationParameters, UpscaleParameters

_TERMS: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    " xmp:CreatorTool={tool} Iptc4xmpExt:DigitalSourceType={source}/></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="r"?>'
)
_SOURCE: Final = re.compile(r"DigitalSourceType\s*(?:=\s*[\"']|>\s*|[^>]*rdf:resource\s*=\s*[\"'])([^\"'<>\s]+)")


class DigitalSource(StrEnum):
    """How a picture came to be, in IPTC's terms."""

    #: Made by a model from words, or after the composition of another picture.
    TRAINED = "trainedAlgorithmicMedia"
    #: A picture that was given and that a model has changed or added to.
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"

    @property
    def address(self) -> str:
        """The term's address, which is what stands in files."""
        return _TERMS + self.value


def digital_source(parameters: GenerationParameters | UpscaleParameters) -> DigitalSource:
    """What a picture of these parameters is: made altogether, or out of one that was given."""
    if isinstance(parameters, UpscaleParameters) or parameters.init_image or parameters.ref_images:
        return DigitalSource.COMPOSITE
    return DigitalSource.TRAINED


def xmp_packet(source: DigitalSource) -> str:
    """The packet that marks a picture; it goes into the file as it is."""
    return _PACKET.format(tool=quoteattr(f"sdrest {__version__}"), source=quoteattr(source.address))


def told_source(xmp: str) -> str:
    """The digital source type that an XMP packet tells, without the address of IPTC's terms; empty when there is none."""
    found = _SOURCE.search(xmp)
    return found[1].removeprefix(_TERMS).removeprefix(_TERMS.replace("http:", "https:")) if found else ""
