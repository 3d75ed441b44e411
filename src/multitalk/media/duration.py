"""How long a file's sound is, by its packets; they are decoded only where they do not say so."""

import struct
import time
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard

from multitalk.media.decode import sound_stream
from multitalk.media.opening import open_media, packets_of
from multitalk.media.timeline import TimeLine
from multitalk.media.tracks import choose_track
from multitalk.media.watch import Watch, unwatched

SCAN_SECONDS = 10.0  # an hour of sound takes about one
_SKIP = struct.Struct("<II")  # FFmpeg's side data: samples to drop at the start and at the end


def sound_seconds(
    path: Path, *, field: str | None = None, watch: Watch = unwatched
) -> float | None:
    """How long the sound of a file is that is used, as if it were decoded.

    Headers are wrong or silent about this where files were joined, cut or streamed, so the packets
    are counted. Where that takes longer than `SCAN_SECONDS`, it is what the header says, or None.
    The watch is called at each packet.

    Raises:
        MediaUndecodable: Damaged, of an unknown format, or without sound.
    """
    track = choose_track(path, field=field, watch=watch)
    with open_media(path, key="audio_undecodable", field=field) as container:
        stream = sound_stream(container, track.index, field=field)
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all  # so that a film's pictures are not read
        seconds = _counted(container, stream, watch)
        return _declared(container, stream) if seconds is None else seconds


def _counted(container: InputContainer, stream: AudioStream, watch: Watch) -> float | None:
    """The sum of the packets, gaps included; None where there is no time for it."""
    line = TimeLine()
    rate = stream.codec_context.sample_rate or 1
    unit = float(stream.time_base or Fraction(1, rate))
    stamps_round = unit > 1 / rate  # such as Matroska's, which are whole milliseconds
    longest = 0.0
    to_skip = 0.0  # encoder delay may be longer than a packet
    give_up = time.monotonic() + SCAN_SECONDS
    for packet in packets_of(container, stream, watch=watch):
        if not packet.size or packet.is_discard:
            continue
        if time.monotonic() > give_up:
            return None
        start, end = _dropped(packet)
        seconds = packet.duration * unit if packet.duration else _decoded(packet, stream)
        longest = max(longest, seconds)
        stamp = None if packet.pts is None else packet.pts * unit
        gap = line.step_before(stamp) if stamps_round else line.gap_before(stamp)
        line.advance(gap)
        to_skip += start / rate
        kept = min(seconds, longest - end / rate)
        dropped = min(to_skip, kept)
        to_skip -= dropped
        line.skip(dropped)
        line.advance(kept - dropped)
    return line.seconds


def _dropped(packet: "Packet[AudioStream]") -> tuple[int, int]:
    """How many samples of a packet are left out, at its start and at its end."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    start, end = _SKIP.unpack_from(bytes(packet.get_sidedata("skip_samples")))
    return start, end


def _decoded(packet: "Packet[AudioStream]", stream: AudioStream) -> float:
    """Seconds of a packet that does not say so, such as one with the next file's header in it."""
    try:
        frames = stream.codec_context.decode(packet)
    except av.FFmpegError:
        return 0.0
    return sum(frame.samples / frame.sample_rate for frame in frames if frame.sample_rate)


def _declared(container: InputContainer, stream: AudioStream) -> float | None:
    """What the header says."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base
