"""Media files, opened so that nothing but their own bytes is read and little of them is decoded.

FFmpeg decodes the beginning of every stream while it opens a file, to learn what its header does
not say. A sound file's cover may have 256 megapixels, so pictures are decoded only where pictures
are wanted, and only up to a size.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from multitalk.errors import MediaUndecodable
from multitalk.media.decoding_errors import (
    CheckCancelled,
    never_cancelled,
    translate_decoder_errors,
)

OPEN_SECONDS = 30.0  # to find the streams of a file
READ_SECONDS = 30.0  # to find the next packet in it
MAX_FRAME_VALUES = 4_000_000  # samples of all channels in a decoded frame; codecs make 0.5 million

# Only self-contained media: a playlist (hls, concat, image2) would let a file open other files.
FORMATS = (
    "aac,ac3,adts,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,loas,matroska,mov,mp3,mp4,mpeg,"
    "mpegts,ogg,rm,rso,tak,truehd,tta,voc,w64,wav,webm,wv"
)

# Formats in which streams turn up as they come, so that FFmpeg takes no options for them.
UNDECLARED = frozenset({"flv", "mpeg", "mpegts"})

_log = logging.getLogger(__name__)
_AnyStream = TypeVar("_AnyStream", bound=Stream)


@contextmanager
def open_media(
    path: Path,
    *,
    key: str,
    field: str | None,
    max_pixels: int | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[InputContainer]:
    """Open a media file that refers to nothing but itself.

    Args:
        path: The file.
        key: Names the sentence of its errors.
        field: The request field to blame.
        max_pixels: Of a picture that FFmpeg may decode while it opens the file. None: it decodes
            no pictures. In `UNDECLARED` formats no other limit holds.
        options: For FFmpeg's demuxer.

    Raises:
        MediaUndecodable: Empty or of no known format, or, within the context, damaged.
    """
    if path.stat().st_size == 0:
        raise MediaUndecodable(key, field=field, reason="empty file")
    decoding = {"max_samples": str(MAX_FRAME_VALUES)}
    opening = {"protocol_whitelist": "file", "format_whitelist": FORMATS, **options}
    if max_pixels is None:
        opening["codec_whitelist"] = _sound_decoders()
    else:
        decoding["max_pixels"] = str(max_pixels)
    with translate_decoder_errors(key, field=field, reason="damaged or unknown format"):
        container = av.open(
            f"file:{path}",
            mode="r",
            metadata_errors="ignore",
            options=decoding,
            container_options=opening,
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )
    with translate_decoder_errors(key, field=field, reason="damaged or cut off"), container:
        yield container


def packets_of(
    container: InputContainer,
    stream: _AnyStream,
    *,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Iterator["Packet[_AnyStream]"]:
    """A stream's packets as far as they can be found; the last is empty and ends the decoding.

    Those of other streams are read, too: there may be millions of them without one of this stream,
    and `check_cancelled` is called at each.
    """
    packets = container.demux()
    while True:
        check_cancelled()
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:  # what follows cannot be found in the file
            _log.info("the file ends early: %s", error.strerror)
            return
        if packet is None:
            return
        if packet.stream is stream:
            yield cast("Packet[_AnyStream]", packet)


@cache
def _sound_decoders() -> str:
    """FFmpeg's names of its decoders of sound, as its whitelist takes them."""
    names = []
    for name in sorted(av.codecs_available):
        try:
            kind = av.Codec(name, "r").type
        except av.codec.codec.UnknownCodecError:  # it encodes only
            continue
        if kind == "audio":
            names.append(name)
    return ",".join(names)
