"""Framed messages between the server and a session's process, and the frame that clients receive.

A message is a byte for its kind, its length as an unsigned 32-bit integer, and its content.
"""

import json
import struct
from asyncio import StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO

HEAD = struct.Struct("<BI")
MAX_BYTES = 64 * 2**20

# A frame for clients: version, flags, two bytes of padding, number of the frame, samples per
# second, bytes of video; then the video (H.264, Annex B) and the sound (int16). Little-endian.
FRAME_HEAD = struct.Struct("<BBHIII")
FRAME_VERSION = 1
RATE = struct.Struct("<I")  # the head of AUDIO
OFFSET = struct.Struct("<Q")  # the head of RECORDED_PART


class MessageKind(IntEnum):
    """Kinds of messages; those of the server first."""

    START = 1  # JSON: options of `Avatar`, and the portrait's path
    AUDIO = 2  # an unsigned 32-bit integer, samples per second; then int16
    FLUSH = 3
    INTERRUPT = 4
    KEY_FRAME = 5  # the next frame can be decoded by itself
    RECORD = 6  # record from the next frame on
    STOP_RECORDING = 7
    TEXT = 8  # of a WebRTC peer's data channel, both ways
    READY = 16  # JSON: the picture's size, warnings
    FRAME = 17  # as clients receive it
    STATS = 18  # JSON, once a second
    REFUSED = 19  # JSON of an error, before READY or for a push
    RECORDED_PART = 20  # an offset as an unsigned 64-bit integer, and bytes of the recording's file
    RECORDED = 21  # JSON: the number of frames of a recording that is complete


class Flag(IntEnum):
    """Bits of a frame's flags."""

    KEY = 1  # the video can be decoded without earlier frames
    SPEAKING = 2  # the sound was pushed
    END_OF_SPEECH = 4
    CATCHING_UP = 8  # what had piled up of a microphone's sound; may be left out


@dataclass(frozen=True)
class Message:
    """One message."""

    kind: MessageKind
    content: bytes = b""

    def json(self) -> Any:
        """Its content as JSON."""
        return json.loads(self.content)

    def encode(self) -> bytes:
        """As bytes."""
        return HEAD.pack(self.kind, len(self.content)) + self.content


def json_message(kind: MessageKind, content: Mapping[str, Any]) -> Message:
    """A message whose content is JSON."""
    return Message(kind, json.dumps(content).encode())


class MessageReader:
    """Messages from a pipe.

    The sender may be compromised by a malicious picture: trust nothing in a message.

    Args:
        stream: The pipe; one reads from it at a time.
    """

    def __init__(self, stream: StreamReader) -> None:
        self._stream = stream
        self._head: tuple[int, int] | None = None  # of a message whose content has not arrived

    async def receive(self) -> Message:
        """The next message. A call that is cancelled loses nothing: the next one returns it.

        Raises:
            EOFError: The pipe has ended, or this is no message.
        """
        if self._head is None:
            self._head = HEAD.unpack(await self._stream.readexactly(HEAD.size))
        kind, length = self._head
        if length > MAX_BYTES or kind not in list(MessageKind):
            raise EOFError
        content = await self._stream.readexactly(length)
        self._head = None
        return Message(MessageKind(kind), content)


def read_message(stream: BinaryIO) -> Message | None:
    """The next message of the server; None at its end."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length = HEAD.unpack(head)
    content = stream.read(length)
    return Message(MessageKind(kind), content) if len(content) == length else None


@dataclass(frozen=True)
class ClientFrame:
    """A frame for clients.

    Attributes:
        number: Counts frames from 0.
        flags: Of `Flag`.
        rate: Samples per second.
        video: An access unit; none where the picture was dropped.
        pcm: int16, little-endian.
    """

    number: int
    flags: int
    rate: int
    video: bytes
    pcm: bytes


def unpack_frame(frame: bytes) -> ClientFrame:
    """A frame for clients; see `FRAME_HEAD`."""
    _, flags, _, number, rate, length = FRAME_HEAD.unpack_from(frame)
    end = FRAME_HEAD.size + length
    return ClientFrame(number, flags, rate, frame[FRAME_HEAD.size : end], frame[end:])


def without_video(frame: bytes) -> bytes:
    """A frame for clients with its sound only."""
    version, flags, padding, number, rate, length = FRAME_HEAD.unpack_from(frame)
    head = FRAME_HEAD.pack(version, flags & ~Flag.KEY, padding, number, rate, 0)
    return head + frame[FRAME_HEAD.size + length :]


def is_key_frame(frame: bytes) -> bool:
    """Whether a frame for clients has a picture that can be decoded by itself."""
    return bool(FRAME_HEAD.unpack_from(frame)[1] & Flag.KEY)


def pack_frame(number: int, flags: int, rate: int, video: bytes, pcm: bytes) -> bytes:
    """A frame for clients; see `FRAME_HEAD`."""
    return FRAME_HEAD.pack(FRAME_VERSION, flags, 0, number, rate, len(video)) + video + pcm
