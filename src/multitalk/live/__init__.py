"""A portrait that speaks in real time: `Avatar` (docs/live.md)."""

from multitalk.live.avatar import Avatar, LiveFrame
from multitalk.live.pacing import Clock

__all__ = ["Avatar", "Clock", "LiveFrame"]
