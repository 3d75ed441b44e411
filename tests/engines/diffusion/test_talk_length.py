"""T = ceil(S / 640) frames come out of a voice of S samples, whatever S is, for both kinds.

The sampler's loop, the pipeline's voices and windows are the real ones; the network and the VAE are
stand-ins, so that real lengths are quick.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from multitalk.engines.diffusion.continuation import (
    condition_on,
    continue_infinitetalk,
    continue_multitalk,
)
from multitalk.engines.diffusion.guidance import Guidance
from multitalk.engines.diffusion.sampler import SampleOptions, sample_talk
from multitalk.engines.diffusion.talk import TalkModel
from multitalk.engines.diffusion.windows import (
    WindowLengths,
    latent_frames,
    num_windows,
)
from multitalk.media.audio import num_frames_for

KINDS = {
    "multitalk": (continue_multitalk, WindowLengths.ending_short(81, 25)),
    "infinitetalk": (continue_infinitetalk, WindowLengths.ending_short(81, 9)),
}
STILL = torch.zeros(3, 8, 8)


class Codec:
    """One pixel of video for each latent: four frames of a latent look alike."""

    def encode(self, frames):
        kept = frames[:1, ::4, ::8, ::8]  # [1, t, 1, 1]
        return kept.repeat(16, 1, 1, 1)

    def decode(self, latents):
        frames = latents[:3].repeat_interleave(4, dim=1)[:, 3:]
        return frames.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)


class Heard(TalkModel):
    """Turns noise into the number of each latent frame's first row, as far as there is speech."""

    def __init__(self, track):
        super().__init__(None, None, prompt=None, negative_prompt=None, tracks=[track])

    def bind(self, window, conditioning):
        rows = self.speech_features(window)[0, ::4, 2, 0, 0]  # the rows' own numbers, 0 for nobody

        def denoise(latents, timestep, branches):
            wanted = rows[None, :, None, None].expand_as(latents)
            return dict.fromkeys(branches, (latents - wanted) / (timestep / 1000))

        return denoise


def talk(num_samples, kind):
    """The windows of a talk whose rows of features are 1, 2, 3, ..."""
    continuation, lengths = KINDS[kind]
    num_frames = num_frames_for(num_samples)
    track = np.arange(1, num_frames + 1, dtype=np.float32)[:, None, None]
    return (
        num_frames,
        lengths,
        sample_talk(
            Heard(track),
            Codec(),
            lambda _frame: STILL,
            num_frames=num_frames,
            lengths=lengths,
            options=SampleOptions(Guidance(1.0, 1.0), 1, 3.0),
            continuation=continuation,
            noise=lambda _: torch.zeros,
        ),
    )


def edges(stride):
    """Samples of about one window, about two, and so on."""
    ends = st.integers(0, 5).map(lambda number: 81 + number * stride)
    return st.tuples(ends, st.integers(-2, 2)).map(lambda parts: 640 * sum(parts))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(st.one_of(st.integers(1, 250_000), edges(56), edges(72)))
@example(1)
@example(640)
@example(641)
@example(81 * 640)
@example(81 * 640 + 1)
@example(82 * 640)
@example(18_560)
def test_a_talk_has_a_frame_for_each_begun_640_samples(kind, num_samples):
    num_frames, lengths, windows = talk(num_samples, kind)
    windows = list(windows)
    assert num_frames == -(-num_samples // 640)
    shown = 0
    for window, latents, frames in windows:
        assert window.new.start == shown
        assert frames.shape == (3, len(window.new), 8, 8)
        shown += frames.shape[1]
        assert latents.shape[1] == latent_frames(window.num_frames)
    assert shown == num_frames
    assert len(windows) == num_windows(num_frames, lengths)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_frames", [1, 4, 81, 82, 57 + 56, 57 + 2 * 56, 137, 138, 300])
def test_every_frame_shows_what_is_heard_at_its_time(kind, num_frames):
    _, _, windows = talk(num_frames * 640 - 3, kind)
    frames = torch.cat([frames for _, _, frames in windows], dim=1)[0, :, 0, 0]
    # The stand-in's latents show the row of the last of their four frames; after the end, nobody.
    rows = -(-np.arange(num_frames) // 4) * 4
    expected = np.where(rows < num_frames, rows + 1, 0)
    if kind == "infinitetalk":
        expected[0] = 0  # the picture itself
    np.testing.assert_allclose(frames, expected, atol=1e-3)


class CountingCodec(Codec):
    """Notes how many frames it encodes."""

    def __init__(self):
        self.encoded = []

    def encode(self, frames):
        self.encoded.append(frames.shape[1])
        return super().encode(frames)


class Shown:
    """Notes what each window is shown; predicts nothing."""

    def __init__(self):
        self.conditionings = []

    def bind(self, window, conditioning):
        self.conditionings.append((window, conditioning))
        return lambda latents, _timestep, branches: dict.fromkeys(branches, latents)


def test_a_source_is_encoded_when_it_changes_and_not_again():
    _, lengths = KINDS["infinitetalk"]
    codec, shown = CountingCodec(), Shown()

    def source(frame):
        return STILL + float(frame >= 144)

    list(
        sample_talk(
            shown,
            codec,
            source,
            num_frames=81 + 3 * 72 - 20,
            lengths=lengths,
            options=SampleOptions(Guidance(1.0, 1.0), 1, 3.0),
            continuation=continue_infinitetalk,
            noise=lambda _: torch.zeros,
        )
    )
    # Of each window, at 0, 72, 144 and 216: what it holds; and what it is shown, where that is new.
    assert codec.encoded == [1, 81, 9, 9, 81, 9]
    for window, conditioning in shown.conditionings:
        expected = condition_on(source(window.start)[:, None], Codec(), window.num_frames)
        assert torch.equal(conditioning.latents, expected.latents)
        assert torch.equal(conditioning.picture, expected.picture)
    assert window.num_frames < 81
