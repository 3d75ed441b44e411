"""A voice agent whose face runs elsewhere, by LiveKit Agents: pip install '.[livekit]'.

On the machine of the faces:
python -m multitalk.integrations.livekit.dispatcher --portrait examples/portrait.jpg

Here, call `add_face` in the agent's entrypoint, before `session.start`. `LIVEKIT_URL`,
`LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` are those of the LiveKit server.
"""

import os

from livekit import rtc
from livekit.agents import AgentSession

from multitalk.integrations.livekit import RemoteAvatarSession

DISPATCHER = os.environ.get("AVATAR_DISPATCHER_URL", "http://127.0.0.1:8089/launch")


async def add_face(session: AgentSession, room: rtc.Room) -> RemoteAvatarSession:
    """Have a portrait join the room that speaks what the agent says.

    It leaves with the agent. `metrics_collected` events of the session have its `AvatarMetrics`.
    """
    face = RemoteAvatarSession(DISPATCHER, key=os.environ.get("MULTITALK_DISPATCH_KEY"))
    await face.start(session, room)
    return face
