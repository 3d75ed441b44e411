"""A live session's process: an avatar, its video encoder, and messages on stdin and stdout.

`python -m multitalk.serving.live.session_process`, or, in the server, a fork of a process that has
loaded its libraries (`forking_process`). It decodes the client's picture itself, without the
server's environment and files.
"""

import asyncio
import gc
import os
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from multitalk.confinement.confine import code_paths
from multitalk.confinement.kernel import die_with_parent, forbid_files, forbid_system_calls
from multitalk.errors import MultiTalkError
from multitalk.live import Avatar, LiveFrame
from multitalk.media.live_encoder import LiveEncoder
from multitalk.media.live_mp4 import LiveFragments, LiveRecording
from multitalk.messages import Locale, sentence
from multitalk.serving.live.messages import (
    OFFSET,
    RATE,
    Flag,
    Message,
    MessageKind,
    json_message,
    pack_frame,
    read_message,
)
from multitalk.serving.sandbox.ipc import error_to_json
from multitalk.timebase import FPS
from multitalk.watermark.keys import Payload

KEY_FRAME_SECONDS = 10  # also whenever a client asks
STATS_SECONDS = 1.0
# Read by the libraries to learn what the machine can do.
MACHINE = (Path("/proc"), Path("/sys/devices/system/cpu"), Path("/dev/urandom"))


def main() -> None:
    """Serve one session until the server hangs up."""
    die_with_parent()
    commands = os.fdopen(os.dup(0), "rb")
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no message
    first = read_message(commands)
    if first is None or first.kind is not MessageKind.START:
        return
    options = first.json()
    mark, profile, form, locale = (
        options.pop(name) for name in ("watermark", "profile", "format", "locale")
    )
    forbid_files((*code_paths(), Path(options["portrait"]), *MACHINE), ())
    forbid_system_calls()
    try:
        avatar = Avatar(**options)
    except MultiTalkError as error:
        write_message(output, json_message(MessageKind.REFUSED, error_to_json(error)))
        return
    gc.freeze()  # what is loaded stays; a full collection takes half a frame
    avatar.draws_in_loop = True
    with avatar:
        payload = mark and Payload(*mark)
        session = SessionProcess(
            avatar, commands, output, payload, profile=profile, form=form, locale=locale
        )
        asyncio.run(session.run())


class SessionProcess:
    """One avatar's frames, encoded and sent, while another thread takes commands.

    Args:
        avatar: Ready.
        commands: Messages of the server.
        output: Messages to it.
        watermark: What the mark in the picture says; None: there is none.
        profile: Of the video, see `LiveEncoder`.
        form: `mp4`: frames are pieces of a fragmented MP4, with their sound.
        locale: Of warnings.
    """

    def __init__(
        self,
        avatar: Avatar,
        commands: BinaryIO,
        output: BinaryIO,
        watermark: Payload | None,
        *,
        profile: Literal["Baseline", "High"],
        form: Literal["frames", "mp4"],
        locale: Locale = "en",
    ) -> None:
        self._fragments = LiveFragments(watermark) if form == "mp4" else None
        self._avatar = avatar
        self._locale = locale
        self._commands = commands
        self._output = output
        self._watermark = watermark
        self._profile: Literal["Baseline", "High"] = profile
        self._encoder: LiveEncoder | None = None
        self._wants_key_frame = True
        self._recorder = FrameRecorder(self._send, watermark)
        self._lock = threading.Lock()  # of the output

    async def run(self) -> None:
        """Send frames until the server hangs up."""
        threading.Thread(target=self._read_commands, name="commands", daemon=True).start()
        number, began, spent, sent = 0, time.monotonic(), 0.0, 0
        async for frame in self._avatar:
            start = time.thread_time()
            self._send(Message(MessageKind.FRAME, self._packed(frame, number)))
            spent += time.thread_time() - start
            number, sent = number + 1, sent + 1
            passed = time.monotonic() - began
            if passed >= STATS_SECONDS:
                stats = {
                    "fps": round(sent / passed, 1),
                    "encode_ms": round(1000 * spent / sent, 1),
                    "cpu": round(time.process_time(), 2),
                    "repeated": self._avatar.repeated,
                }
                self._send(json_message(MessageKind.STATS, stats))
                began, spent, sent = time.monotonic(), 0.0, 0

    def _packed(self, frame: LiveFrame, number: int) -> bytes:
        height, width = frame.image.shape[:2]
        if self._encoder is None:
            self._encoder = LiveEncoder(width, height, self._watermark, self._profile)
            warnings = [
                sentence(one.key, self._locale, **one.parameters) for one in self._avatar.notices
            ]
            ready = {"width": width, "height": height, "warnings": warnings}
            self._send(json_message(MessageKind.READY, ready))
        is_due = number % (KEY_FRAME_SECONDS * FPS) == 0
        wants_key_frame = self._wants_key_frame
        if wants_key_frame:  # another thread may ask again at any time: that is for the next frame
            self._wants_key_frame = False
        is_key = wants_key_frame or is_due or self._recorder.begins()
        if frame.catching_up and not is_key and not self._needs_all_pictures:
            return pack_frame(number, flags_of(frame), frame.rate, b"", pcm_of(frame))
        video = self._encoder.encode(frame.image, number, is_key=is_key)
        self._recorder.add(frame, video, is_key=is_key)
        flags, pcm = Flag.KEY * is_key | flags_of(frame), pcm_of(frame)
        if self._fragments is not None:
            video = self._fragments.add(video, frame.pcm, frame.rate, is_key=is_key)
            pcm = b""
        return pack_frame(number, flags, frame.rate, video, pcm)

    @property
    def _needs_all_pictures(self) -> bool:
        """Whether a picture that only repeats the one before is encoded, too."""
        return self._fragments is not None or self._recorder.is_recording

    def _read_commands(self) -> None:
        """Handle the server's messages until it closes the pipe, or this crashes; then end."""
        try:
            while (message := read_message(self._commands)) is not None:
                try:
                    self._handle(message)
                except MultiTalkError as error:
                    self._send(json_message(MessageKind.REFUSED, error_to_json(error)))
        except Exception:  # without this thread the server would wait for ever
            traceback.print_exc()
            os._exit(1)
        os._exit(0)  # nobody waits for this process

    def _handle(self, message: Message) -> None:
        if message.kind is MessageKind.AUDIO:
            (rate,) = RATE.unpack_from(message.content)
            self._avatar.push_audio(np.frombuffer(message.content, "<i2", offset=RATE.size), rate)
        elif message.kind is MessageKind.FLUSH:
            self._avatar.flush()
        elif message.kind is MessageKind.INTERRUPT:
            self._avatar.interrupt()
        elif message.kind is MessageKind.KEY_FRAME:
            self._wants_key_frame = True
        elif message.kind in (MessageKind.RECORD, MessageKind.STOP_RECORDING):
            self._recorder.want(is_wanted=message.kind is MessageKind.RECORD)

    def _send(self, message: Message) -> None:
        with self._lock:
            write_message(self._output, message)


class FrameRecorder:
    """Records a session's frames, from one that can be decoded by itself, while that is wanted.

    Args:
        send: Sends a message to the server, which keeps the file.
        watermark: What the mark in the sound says; None: there is none.
    """

    def __init__(self, send: Callable[[Message], None], watermark: Payload | None) -> None:
        self._send = send
        self._watermark = watermark
        self._is_wanted = self._has_to_begin = False
        self._recording: LiveRecording | None = None

    def want(self, *, is_wanted: bool) -> None:
        """Begin or end with the next frame.

        A stop that comes before the first frame still yields a one-frame recording.
        Called by the thread that takes commands.
        """
        self._is_wanted = is_wanted
        if is_wanted:
            self._has_to_begin = True

    @property
    def is_recording(self) -> bool:
        """Whether a recording has begun."""
        return self._recording is not None

    def begins(self) -> bool:
        """Whether the next frame is to be a recording's first."""
        return self._has_to_begin and self._recording is None

    def add(self, frame: LiveFrame, video: bytes, *, is_key: bool) -> None:
        """Record a frame, if that is wanted; else complete what was recorded."""
        if self._recording is None:
            if not (self._has_to_begin and is_key):
                return  # also where it was wanted after the frame was encoded
            self._has_to_begin = False
            self._recording = LiveRecording(self._write, self._watermark)
        elif not self._is_wanted:
            self._recording.finish()
            done = {"frames": self._recording.num_frames}
            self._recording = None
            self._send(json_message(MessageKind.RECORDED, done))
            return
        self._recording.add(video, frame.pcm, frame.rate, is_key=is_key)

    def _write(self, offset: int, content: bytes) -> None:
        self._send(Message(MessageKind.RECORDED_PART, OFFSET.pack(offset) + content))


def flags_of(frame: LiveFrame) -> int:
    """A frame's flags, without that of its video."""
    speech = Flag.SPEAKING * frame.speaking | Flag.END_OF_SPEECH * frame.end_of_speech
    return speech | Flag.CATCHING_UP * frame.catching_up


def pcm_of(frame: LiveFrame) -> bytes:
    """A frame's sound, little-endian."""
    return frame.pcm.astype("<i2").tobytes()


def write_message(output: BinaryIO, message: Message) -> None:
    """Send a message; a server that has gone ends this process."""
    try:
        output.write(message.encode())
        output.flush()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
