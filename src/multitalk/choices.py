"""Choices of a request that engines and encoders know, too; they need no check of a request."""

from typing import Literal, TypeAlias

Quality: TypeAlias = Literal["draft", "standard", "fine"]
SpeakerOrder: TypeAlias = Literal["parallel", "sequential"]  # what an `audio_type` means
