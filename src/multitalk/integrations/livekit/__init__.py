"""The live avatar for LiveKit Agents, tested with livekit-agents 1.8. The extra `livekit`.

video_generator   an avatar's frames for LiveKit's `AvatarRunner`, in any process
agent             the agent's side of an avatar in a process of its own
worker            that process: it joins the agent's room and publishes the avatar
dispatcher        starts a worker for each room that requests one
"""

from multitalk.integrations.livekit.agent import RemoteAvatarSession
from multitalk.integrations.livekit.video_generator import AvatarVideoGenerator

__all__ = ["AvatarVideoGenerator", "RemoteAvatarSession"]
