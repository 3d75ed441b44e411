"""A voice agent with a face, by LiveKit Agents: pip install '.[livekit]'.

Call `add_face` in the agent's entrypoint, after `session.start`, in place of the session's own
audio output.
"""

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput

from multitalk import Avatar
from multitalk.integrations.livekit import AvatarVideoGenerator

RATE = 24_000


async def add_face(session: AgentSession, room: rtc.Room) -> AvatarRunner:
    """Publish a portrait that speaks what the agent says; close the runner at the end."""
    face = AvatarVideoGenerator(Avatar("examples/portrait.jpg", size=512), sample_rate=RATE)
    output = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
    runner = AvatarRunner(room, audio_recv=output, video_gen=face, options=face.options)
    await runner.start()
    session.output.replace_audio_tail(output)
    return runner
