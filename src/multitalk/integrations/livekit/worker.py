"""A worker that publishes one avatar in a LiveKit room, for an agent in another process.

`python -m multitalk.integrations.livekit.worker --portrait me.jpg`, with the room's `LIVEKIT_URL`
and `LIVEKIT_TOKEN` in the environment. It ends when the agent leaves.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from livekit import rtc
from livekit.agents.voice.avatar import AvatarRunner, DataStreamAudioReceiver

from multitalk.errors import MultiTalkError
from multitalk.integrations.livekit.video_generator import AvatarVideoGenerator
from multitalk.live import Avatar

AGENT_SECONDS = 60.0  # in which the agent must have joined

logger = logging.getLogger(__name__)


async def run_avatar(
    room: rtc.Room,
    avatar: Avatar,
    *,
    agent_identity: str | None = None,
    sample_rate: int = 24_000,
) -> None:
    """Publish an avatar that speaks what the room's agent sends, until the agent leaves.

    Args:
        room: Connected.
        avatar: Open; the caller closes it.
        agent_identity: Of the agent's participant; None: the first agent in the room.
        sample_rate: Of the published audio, Hz.

    Raises:
        TimeoutError: No agent has joined within a minute.
    """
    generator = AvatarVideoGenerator(avatar, sample_rate=sample_rate)
    receiver = DataStreamAudioReceiver(room, sender_identity=agent_identity)
    runner = AvatarRunner(room, audio_recv=receiver, video_gen=generator, options=generator.options)
    left = asyncio.Event()

    def note_departure(*_: object) -> None:
        if not _has_agent(room, agent_identity):
            left.set()

    def note_disconnection(*_: object) -> None:
        left.set()

    room.on("participant_disconnected", note_departure)
    room.on("disconnected", note_disconnection)
    try:
        await asyncio.wait_for(runner.start(), AGENT_SECONDS)
        work = [
            asyncio.create_task(runner.wait_for_complete()),
            asyncio.create_task(left.wait()),
        ]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await runner.aclose()
    finally:
        room.off("participant_disconnected", note_departure)
        room.off("disconnected", note_disconnection)


def _has_agent(room: rtc.Room, identity: str | None) -> bool:
    if identity is not None:
        return identity in room.remote_participants
    agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return any(one.kind == agent for one in room.remote_participants.values())


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a worker; a dispatcher passes them on."""
    parser.add_argument("--portrait", type=Path, required=True, help="a picture with a face")
    parser.add_argument("--size", type=int, default=512, help="longer side, pixels")
    parser.add_argument("--ahead-ms", type=int, default=80, help="look-ahead of the mouth")
    parser.add_argument("--seed", type=int, default=0, help="of blinks and the head")
    parser.add_argument("--motion", type=float, default=1.0, help="scale of the head's movement")
    parser.add_argument("--sample-rate", type=int, default=24_000, help="of the audio, Hz")


async def join(arguments: argparse.Namespace, url: str, token: str) -> None:
    """Rig the portrait, join the room, and publish until the agent leaves.

    Raises:
        MultiTalkError: The portrait or an option cannot be used.
        rtc.ConnectError: The room cannot be joined.
    """
    with Avatar(
        arguments.portrait,
        size=arguments.size,
        ahead_ms=arguments.ahead_ms,
        seed=arguments.seed,
        motion=arguments.motion,
    ) as avatar:
        for warning in avatar.warnings:
            logger.warning("%s", warning)
        room = rtc.Room()
        # Other participants' audio and video are of no use here
        await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
        try:
            await run_avatar(room, avatar, sample_rate=arguments.sample_rate)
        finally:
            await room.disconnect()


async def _until_stopped(arguments: argparse.Namespace, url: str, token: str) -> None:
    """`join`, and leave the room when the process is asked to end."""
    work = asyncio.ensure_future(join(arguments, url, token))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with suppress(asyncio.CancelledError):
        await work


def main() -> None:
    """Run one worker."""
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    arguments = parser.parse_args()
    url, token = os.environ.get("LIVEKIT_URL"), os.environ.get("LIVEKIT_TOKEN")
    if not url or not token:
        sys.exit("LIVEKIT_URL and LIVEKIT_TOKEN say which room to join")
    try:
        asyncio.run(_until_stopped(arguments, url, token))
    except (MultiTalkError, rtc.ConnectError, asyncio.TimeoutError) as error:
        sys.exit(f"no avatar: {error or type(error).__name__}")


if __name__ == "__main__":
    main()
