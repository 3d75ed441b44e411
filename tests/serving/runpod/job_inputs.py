"""Inputs of jobs, made here."""

import base64
import io
import wave
from pathlib import Path

PORTRAIT = Path(__file__).parents[3] / "examples" / "astronaut.jpg"


def wav(seconds: float) -> bytes:
    """A hum at 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\x00\x10\x00\xf0" * round(8_000 * seconds))
    return file.getvalue()


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def job_input(seconds: float = 0.4, **more: object) -> dict[str, object]:
    """A request that is valid."""
    return {
        "prompt": "An astronaut talks.",
        "image_path": as_base64(PORTRAIT.read_bytes()),
        "audio_paths": {"person1": as_base64(wav(seconds))},
        **more,
    }
