"""What every video says of itself in plain metadata: that it is AI-generated, by what, and how.

The words are in two places, because readers look in different ones. The tags `comment` and
`description` are in the file's index, of a streamed file too. An XMP packet with IPTC's property
Digital Source Type is a box after the picture and sound of a file that is whole (XMP specification,
part 3, 2020, section 1.1.7: ISO base media files).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID
from xml.sax.saxutils import escape

from multitalk.media.container import open_media
from multitalk.version import __version__

PRODUCT = "MultiTalk Serverless"
# IPTC NewsCodes, scheme `digitalsourcetype`: created algorithmically by a model that learned.
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
STATEMENT = (
    f"AI-generated video, not a recording: its people were made to speak by "
    f"{PRODUCT} {__version__} ({DIGITAL_SOURCE_TYPE})"
)
TAGS = {"comment": STATEMENT, "description": STATEMENT}  # by FFmpeg's names

XMP_BOX = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")
XMP_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>{escape(PRODUCT)} {escape(__version__)}</xmp:CreatorTool>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(STATEMENT)}</rdf:li></rdf:Alt>\
</dc:description>
   <Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
PICTURE_XMP_BYTES = 2**20  # of a picture's file, in which its XMP packet is looked for
SOURCE_TYPE_IN_XMP = re.compile(r"""Iptc4xmpExt:DigitalSourceType(?:>|=["'])\s*([^<"'\s]+)""")


@dataclass(frozen=True)
class Label:
    """The label in a video's plain metadata; anybody can write or remove it.

    Attributes:
        comment: In words, or None.
        digital_source_type: IPTC's URI from its XMP packet, or None.
    """

    comment: str | None
    digital_source_type: str | None


def append_xmp(path: Path) -> None:
    """Add the XMP packet to an MP4 that is finished; nothing in it moves.

    Raises:
        OSError: The file could not be written.
    """
    body = XMP_BOX.bytes + XMP_PACKET.encode()
    with path.open("ab") as file:
        file.write((8 + len(body)).to_bytes(4, "big") + b"uuid" + body)


def read_label(path: Path, *, field: str | None = None) -> Label:
    """Read the plain metadata of any video.

    Raises:
        MediaUndecodable: Empty or of no known format.
    """
    options = {"export_xmp": "1"}
    with open_media(path, key="video_undecodable", field=field, options=options) as container:
        metadata = container.metadata
    found = SOURCE_TYPE_IN_XMP.search(metadata.get("xmp", ""))
    comment = metadata.get("comment") or metadata.get("description")
    return Label(comment or None, found[1] if found else None)


def read_picture_label(path: Path) -> Label:
    """Read the plain metadata of a picture: the XMP packet, wherever its format has that."""
    with path.open("rb") as file:
        head = file.read(PICTURE_XMP_BYTES).decode("utf-8", "ignore")
    found = SOURCE_TYPE_IN_XMP.search(head)
    return Label(None, found[1] if found else None)
