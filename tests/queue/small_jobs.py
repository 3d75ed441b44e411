"""Inputs of jobs, made here: small, so that many are done in a second."""

import base64
import io
import wave

import numpy as np
from PIL import Image


def wav(seconds: float) -> bytes:
    """A hum at 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\x00\x10\x00\xf0" * round(8_000 * seconds))
    return file.getvalue()


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((96, 96, 3), 120, np.uint8)).save(file, "PNG")
    return file.getvalue()


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def job_input(
    prompt: str = "a man talks", seconds: float = 0.4, **more: object
) -> dict[str, object]:
    """A request that is valid."""
    return {
        "prompt": prompt,
        "image_path": as_base64(picture()),
        "audio_paths": {"person1": as_base64(wav(seconds))},
        **more,
    }
