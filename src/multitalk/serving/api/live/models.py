"""What a client may choose of its live session, as models."""

from typing import Any, Literal

from pydantic import Field

from multitalk.schema.validation import WireModel

MAX_OFFER_CHARACTERS = 100_000
# What level 3.1 of H.264 holds, which is all that peers are sure to decode (RFC 7742, 6.2):
# 3600 macroblocks, 960 x 960.
MAX_SIZE = 960


class LiveOptions(WireModel):
    """The options of a live session, whatever carries it."""

    portrait: str | None = Field(None, description="`upload://ID`; the example if left out")
    size: int = Field(512, ge=64, le=1280, description="of the longer side, in pixels")
    ahead_ms: int = Field(120, ge=0, le=400, multiple_of=40)
    seed: int = Field(0, ge=0, lt=2**32)
    motion: float = Field(1.0, ge=0.0, le=1.5)
    quality: Literal["draft", "standard", "fine"] = "standard"

    def of_avatar(self) -> dict[str, Any]:
        """As arguments of `Avatar`, without the portrait."""
        return self.model_dump(include={"size", "ahead_ms", "seed", "motion", "quality"})


class WebRtcOffer(LiveOptions):
    """The body of an offer: `RTCSessionDescription`, and the options of the session."""

    type: Literal["offer"]
    sdp: str = Field(
        min_length=1, max_length=MAX_OFFER_CHARACTERS, description="with all candidates"
    )
    size: int = Field(512, ge=64, le=MAX_SIZE, description="of the longer side, in pixels")
