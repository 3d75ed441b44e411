"""A portrait that speaks while the sound comes in: `Avatar` (docs/live.md)."""

from multitalk.live.avatar import Avatar, LiveFrame
from multitalk.live.pacing import Clock

__all__ = ["Avatar", "Clock", "LiveFrame"]
