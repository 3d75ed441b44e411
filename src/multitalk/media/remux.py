"""A fragmented MP4 made whole: the same pictures and sound, in a file whose index is at its front.

Fragments are for watching while they are made. A file that is kept should say its length at once
and be one that every player and editor opens.
"""

from pathlib import Path

import av

from multitalk.disk import unwritten
from multitalk.media.label import TAGS, append_xmp


def make_whole(fragmented: Path, whole: Path) -> None:
    """Copy a finished fragmented MP4 of ours into an ordinary one, labelled as all of ours are.

    Raises:
        DeliveryFailed, DiskUnusable: The file could not be written.
    """
    options = {"movflags": "faststart"}
    try:
        with (
            av.open(f"file:{fragmented}", format="mp4") as source,
            av.open(f"file:{whole}", "w", format="mp4", container_options=options) as target,
        ):
            target.metadata.update(TAGS)
            copies = {
                stream.index: target.add_stream_from_template(stream)
                for stream in (*source.streams.video, *source.streams.audio)
            }
            for packet in source.demux(*source.streams.video, *source.streams.audio):
                if packet.dts is not None:  # None: the end of a stream
                    packet.stream = copies[packet.stream.index]
                    target.mux(packet)
        append_xmp(whole)
    except (av.FFmpegError, OSError) as error:
        whole.unlink(missing_ok=True)
        raise unwritten(error.errno, error.strerror) from error
