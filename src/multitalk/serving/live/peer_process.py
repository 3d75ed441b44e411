"""A WebRTC peer's process: one client's media and data, and messages on stdin and stdout.

`python -m multitalk.serving.live.peer_process`, with the extra `live-webrtc`. It parses what the
client sends, so it has no files, and no sockets but those that it opens for its answer (Linux).
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aioice.ice
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.sdp import SessionDescription

from multitalk.confinement.confine import code_paths
from multitalk.confinement.kernel import die_with_parent, forbid_files, forbid_system_calls
from multitalk.errors import InvalidRequest, RequestError
from multitalk.serving.live.messages import (
    RATE,
    ClientFrame,
    Flag,
    Message,
    MessageKind,
    MessageReader,
    json_message,
    unpack_frame,
)
from multitalk.serving.live.peer_microphone import pass_on_at_once, take_sound
from multitalk.serving.live.peer_tracks import EncodedVideo, FrameClock, PacedAudio
from multitalk.serving.live.webrtc_peer import OPUS_RATE
from multitalk.serving.sandbox.ipc import error_to_json

CONNECT_SECONDS = 20.0  # in which a client must have connected
# Without its reports (RTCP, several a second) a client has left. The consent of ICE (RFC 7675)
# expires only after 30 s.
LOST_SECONDS = 10.0
CHECK_SECONDS = 2.0
KEY_FRAME_SECONDS = 0.3  # at least, from one request of a key frame to the next
CLOSE_SECONDS = 1.0
MAX_WAITING_TEXTS = 100  # for a data channel that opens later
MAX_REASON = 200  # characters of a library's reason
# Read by the libraries: the machine, and how names of ICE servers are resolved.
READABLE = (
    *map(Path, ("/proc", "/sys/devices/system/cpu", "/dev/urandom")),
    *map(Path, ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl")),
)


def main() -> None:
    """Serve one peer until it or the server leaves."""
    die_with_parent()
    commands, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no message
    forbid_files((*code_paths(), *(path for path in READABLE if path.exists())), ())
    asyncio.run(_serve(commands, output))
    os._exit(0)  # threads of a decoder are not waited for


async def _serve(commands: Any, output: Any) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), commands)
    peer = Peer(output)
    try:
        messages = MessageReader(reader)
        start = await messages.receive()
        try:
            answer = await peer.answer(**start.json())
        except RequestError as error:
            peer.send(json_message(MessageKind.REFUSED, error_to_json(error)))
            return
        loop.set_default_executor(ThreadPoolExecutor(2))  # the old one's threads are not confined
        forbid_system_calls()
        peer.send(json_message(MessageKind.READY, {"sdp": answer}))
        tasks = [asyncio.create_task(peer.take(messages)), asyncio.create_task(peer.until_lost())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    except EOFError:
        return
    finally:
        await asyncio.wait({asyncio.ensure_future(peer.close())}, timeout=CLOSE_SECONDS)


class Peer:
    """One client's connection.

    Args:
        output: Messages to the server.
    """

    def __init__(self, output: Any) -> None:
        self._output = output
        self._clock, self._video, self._audio = FrameClock(), EncodedVideo(), PacedAudio()
        self._connection: RTCPeerConnection | None = None
        self._senders: list[RTCRtpSender] = []
        self._channel: RTCDataChannel | None = None
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING_TEXTS)
        self._connected = asyncio.Event()
        self._left = asyncio.Event()
        self._key_frame_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, sdp: str, ice_servers: list[dict[str, str]], loopback: bool) -> str:
        """The answer to an offer, with all candidates.

        Args:
            sdp: The offer.
            ice_servers: Arguments of `RTCIceServer`, each.
            loopback: Whether only this machine may reach the peer.

        Raises:
            InvalidRequest: The offer cannot be answered.
        """
        _check(sdp)
        if loopback:
            aioice.ice.get_host_addresses = _loopback  # the library has no option for it
        # None would be a public STUN server
        servers = [RTCIceServer(**server) for server in ice_servers]
        connection = self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        connection.on("connectionstatechange", self._connection_changed)
        connection.on("datachannel", self._take_channel)
        connection.on("track", self._take_track)
        video = connection.addTransceiver(self._video, direction="sendonly")
        video.setCodecPreferences(_h264())
        video.sender._send_keyframe = self._ask_for_key_frame  # the packets are encoded elsewhere
        audio = connection.addTransceiver(self._audio, direction="sendrecv")
        self._senders = [video.sender, audio.sender]
        self._video.report_by(video.sender)
        self._audio.report_by(audio.sender)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # the library's parser raises whatever comes up
            raise _refused(error) from error
        answer: str = connection.localDescription.sdp
        return answer

    def send(self, message: Message) -> None:
        """Send a message; a server that has gone ends this process."""
        try:
            self._output.write(message.encode())
            self._output.flush()
        except BrokenPipeError:
            os._exit(0)

    async def take(self, messages: MessageReader) -> None:
        """Handle the server's messages until it closes the pipe."""
        while True:
            try:
                message = await messages.receive()
            except EOFError:
                return
            if message.kind is MessageKind.FRAME:
                self._play(unpack_frame(message.content))
            elif message.kind is MessageKind.TEXT:
                self._say(message.content.decode())

    def _play(self, frame: ClientFrame) -> None:
        """Send a frame, once there is somebody to see it."""
        catches_up = bool(frame.flags & Flag.CATCHING_UP)
        seconds = self._clock.next(asyncio.get_running_loop().time(), is_played=not catches_up)
        if not self._connected.is_set():
            return
        self._video.put(frame, seconds)
        if not catches_up:  # its sound would only enlarge the client's buffer
            self._audio.put(frame, seconds)

    async def until_lost(self) -> None:
        """Return once the client has left, or has not come."""
        try:
            await asyncio.wait_for(self._connected.wait(), CONNECT_SECONDS)
        except asyncio.TimeoutError:
            return
        began = time.time()
        while not self._left.is_set():
            reported = max([began, *[await _last_report(sender) for sender in self._senders]])
            if time.time() - reported > LOST_SECONDS:
                return
            await asyncio.wait({asyncio.ensure_future(self._left.wait())}, timeout=CHECK_SECONDS)

    async def close(self) -> None:
        """Tell the client that this is the end."""
        if self._connection is not None:
            await self._connection.close()

    def _connection_changed(self) -> None:
        state = self._connection.connectionState if self._connection else "closed"
        if state == "connected":
            self._connected.set()
            self._ask_for_key_frame()
        elif state in ("failed", "closed"):
            self._connected.set()
            self._left.set()

    def _take_channel(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("message", self._pass_on)
        channel.on("close", self._left.set)  # sooner than the connection's end where a page closes
        while self._waiting:
            channel.send(self._waiting.popleft())

    def _pass_on(self, content: str | bytes) -> None:
        """A message of the client; bytes are none, and are refused as such."""
        text = content if isinstance(content, str) else "bytes"
        self.send(Message(MessageKind.TEXT, text.encode()))

    def _say(self, text: str) -> None:
        if self._channel is None:
            self._waiting.append(text)
        elif self._channel.readyState == "open":
            self._channel.send(text)

    def _take_track(self, track: MediaStreamTrack) -> None:
        if track.kind != "audio" or self._connection is None:
            return
        for transceiver in self._connection.getTransceivers():
            if transceiver.receiver.track is track:
                pass_on_at_once(transceiver.receiver)
        self._tasks.add(asyncio.ensure_future(take_sound(track, self._hear)))

    def _hear(self, pcm: bytes) -> None:
        self.send(Message(MessageKind.AUDIO, RATE.pack(OPUS_RATE) + pcm))

    def _ask_for_key_frame(self) -> None:
        """Of the client, as after a loss (PLI, FIR)."""
        now = time.monotonic()
        if now - self._key_frame_at >= KEY_FRAME_SECONDS:
            self._key_frame_at = now
            self.send(Message(MessageKind.KEY_FRAME))


def _check(sdp: str) -> None:
    """Refuse an offer that is not of one audio, one video and at most one data section.

    Raises:
        InvalidRequest: It is another one, or has no H.264.
    """
    try:
        offer = SessionDescription.parse(sdp)
    except Exception as error:  # the library's parser raises whatever comes up
        raise _refused(error) from error
    kinds = sorted(media.kind for media in offer.media)
    if kinds not in (["audio", "video"], ["application", "audio", "video"]):
        raise InvalidRequest("live_offer_sections", field="sdp", value=", ".join(kinds) or "none")
    (video,) = (media for media in offer.media if media.kind == "video")
    if not any(codec.mimeType.lower() == "video/h264" for codec in video.rtp.codecs):
        raise InvalidRequest("live_offer_without_h264", field="sdp")


def _refused(error: Exception) -> InvalidRequest:
    reason = f"{type(error).__name__}: {error}"[:MAX_REASON]
    return InvalidRequest("live_offer_refused", field="sdp", reason=reason)


def _h264() -> list[Any]:
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return [codec for codec in codecs if codec.mimeType.lower() == "video/h264"]


def _loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    del use_ipv6
    return ["127.0.0.1"] if use_ipv4 else []


async def _last_report(sender: RTCRtpSender) -> float:
    """Time of the client's last reception report, seconds since 1970; 0: none."""
    stats: Mapping[str, Any] = await sender.getStats()
    times = [
        one.timestamp.timestamp() for one in stats.values() if one.type == "remote-inbound-rtp"
    ]
    return max(times, default=0.0)


if __name__ == "__main__":
    main()
