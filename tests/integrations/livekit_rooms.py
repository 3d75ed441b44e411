"""A meeting in this process: what LiveKit's audio streams and RPC need of a media server."""

import asyncio
import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

from livekit import rtc

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
ACTIVE = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE


@dataclass
class Participant:
    """One participant, as itself and as the others see it."""

    room: "Room"
    identity: str
    kind: int = AGENT
    state: int = ACTIVE
    attributes: dict[str, str] = field(default_factory=dict)
    track_publications: dict[str, object] = field(default_factory=dict)
    _rpc_handlers: dict[str, object] = field(default_factory=dict)

    def register_rpc_method(self, name: str, handler: object) -> None:
        self._rpc_handlers[name] = handler

    async def perform_rpc(self, *, destination_identity: str, method: str, payload: str) -> str:
        other = self.room.remote_participants[destination_identity]
        if method not in other._rpc_handlers:
            raise rtc.RpcError(rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD, method)
        await asyncio.sleep(0)
        call = SimpleNamespace(caller_identity=self.identity, payload=payload)
        return other._rpc_handlers[method](call)

    async def stream_bytes(
        self, *, name: str, topic: str, destination_identities: list[str], attributes: dict
    ) -> "Stream":
        (identity,) = destination_identities
        stream = Stream(SimpleNamespace(attributes=attributes, stream_id=name))
        handler = self.room.remote_participants[identity].room.stream_handlers[topic]
        handler(stream, self.identity)
        return stream

    async def publish_track(self, track: rtc.Track, options: object) -> object:
        sid = f"track-{next(self.room.meeting.numbers)}"
        publication = SimpleNamespace(
            sid=sid, kind=track.kind, track=track, wait_for_subscription=_subscribed
        )
        self.track_publications[sid] = publication
        for room in self.room.others():
            room.emit("track_published", publication, self)
        return publication


async def _subscribed() -> None:
    return None


class Stream:
    """A byte stream: written at one end, read at the other."""

    def __init__(self, info: object) -> None:
        self.info = info
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        await self._chunks.put(data)

    async def aclose(self) -> None:
        await self._chunks.put(None)

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> bytes:
        if (chunk := await self._chunks.get()) is None:
            raise StopAsyncIteration
        return chunk


class Meeting:
    """Its rooms, by who is in each."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.numbers = itertools.count()

    def join(self, identity: str) -> "Room":
        room = self.rooms[identity] = Room(self, identity)
        for other in room.others():
            other.emit("participant_active", room.local_participant)
        return room

    def leave(self, identity: str) -> None:
        left = self.rooms.pop(identity)
        for room in self.rooms.values():
            room.emit("participant_disconnected", left.local_participant)


class Room(rtc.EventEmitter):
    """The meeting as one participant has it."""

    name = "meeting"

    def __init__(self, meeting: Meeting, identity: str) -> None:
        super().__init__()
        self.meeting = meeting
        self.local_participant = Participant(self, identity)
        self.stream_handlers: dict[str, object] = {}

    def others(self) -> list["Room"]:
        return [room for room in self.meeting.rooms.values() if room is not self]

    @property
    def remote_participants(self) -> dict[str, Participant]:
        return {room.local_participant.identity: room.local_participant for room in self.others()}

    def isconnected(self) -> bool:
        return True

    def register_byte_stream_handler(self, topic: str, handler: object) -> None:
        self.stream_handlers[topic] = handler
