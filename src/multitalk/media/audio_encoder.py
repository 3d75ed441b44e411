"""Sound into a file format of one's choice."""

import io
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

SoundFormatName: TypeAlias = Literal["wav", "mp3", "opus", "flac", "aac", "pcm"]

FRAME_SAMPLES = 1024
KBPS = 64_000  # of a voice, where the format loses something


@dataclass(frozen=True)
class AudioFormat:
    """Muxer, codec and rate of one format.

    Attributes:
        media_type: As HTTP names it.
        muxer: FFmpeg's name of the file format.
        codec: FFmpeg's name of the encoder.
        sample_format: What the encoder takes.
        sample_rate: In hertz, or None for that of the sound.
    """

    media_type: str
    muxer: str
    codec: str
    sample_format: str
    sample_rate: int | None = None


# Opus has no 22 050 Hz; bare samples say nothing of their rate, and OpenAI's are at 24 kHz.
AUDIO_FORMATS = MappingProxyType(
    {
        "wav": AudioFormat("audio/wav", "wav", "pcm_s16le", "s16"),
        "mp3": AudioFormat("audio/mpeg", "mp3", "libmp3lame", "s16p"),
        "opus": AudioFormat("audio/ogg", "ogg", "libopus", "s16", 48_000),
        "flac": AudioFormat("audio/flac", "flac", "flac", "s16"),
        "aac": AudioFormat("audio/aac", "adts", "aac", "fltp"),
        "pcm": AudioFormat("audio/pcm", "s16le", "pcm_s16le", "s16", 24_000),
    }
)


def encode_sound(
    samples: NDArray[np.float32], sample_rate: int, format_name: SoundFormatName
) -> bytes:
    """A whole file, in memory.

    Args:
        samples: float32 [S] in [-1, 1], mono.
        sample_rate: Hertz.
        format_name: One of `AUDIO_FORMATS`.
    """
    kind = AUDIO_FORMATS[format_name]
    rate = kind.sample_rate or sample_rate
    target = io.BytesIO()
    with av.open(target, "w", format=kind.muxer) as container:
        stream = cast(AudioStream, container.add_stream(kind.codec, rate=rate))
        stream.layout = "mono"
        stream.format = kind.sample_format
        if kind.codec in ("libmp3lame", "libopus", "aac"):
            stream.bit_rate = KBPS
        resampler = AudioResampler(
            format=kind.sample_format, layout="mono", rate=rate, frame_size=stream.frame_size or 0
        )
        pcm = np.clip(np.round(samples * 32767.0), -32768, 32767).astype(np.int16)
        for start in range(0, len(pcm), FRAME_SAMPLES):
            frame = AudioFrame.from_ndarray(
                pcm[None, start : start + FRAME_SAMPLES], format="s16", layout="mono"
            )
            frame.sample_rate = sample_rate
            frame.pts = start
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return target.getvalue()
