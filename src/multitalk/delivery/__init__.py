"""How a video is handed over: inside the reply, in a bucket, or on the volume."""

from multitalk.delivery.handover import Place, check_set_up, deliver

__all__ = ["Place", "check_set_up", "deliver"]
