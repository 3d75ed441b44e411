"""Mouth movement from sound: what holds for any voice, and how well known speech is followed."""

from functools import cache

import numpy as np
import pytest

from multitalk.speech.features import FFT_SIZE, mel_filters, whole_band_energies
from multitalk.speech.network import DILATIONS, VisemeWeights, listen
from multitalk.speech.phonemes import BILABIAL, NUM_VISEMES, visemes_of_ipa
from multitalk.speech.synthesis import SynthesizedSpeech, phoneme_track, synthesize
from multitalk.speech.track import VisemeTrack
from multitalk.speech.visemes import (
    BLOCK_FRAMES,
    SAMPLES_PER_FRAME,
    _energy_blocks,
    analyse_speech,
    stream_visemes,
)

FIELDS = tuple(VisemeTrack.__dataclass_fields__)
# By speakers that the network was not trained on; Korean, Chinese and Arabic are new to it as well.
SENTENCES = {
    "ko": ("f4", "안녕하세요, 봄에는 밖에서 밥을 먹고 바람을 맞으며 음악을 듣습니다."),
    "en": ("Michael", "Maybe my brother bought five purple umbrellas before the summer rain."),
    "cmn": ("m5", "爸爸妈妈都不怕冷，他们每天跑步，然后喝一杯茶，看报纸，慢慢吃饭。"),
    "es": ("aunty", "Mi amigo Pablo compra pan y fruta para su familia por la mañana."),
    "ar": ("f4", "مرحبا بكم في مدينتنا الجميلة. ذهب محمد مع أبيه إلى المكتبة."),
}


@cache
def spoken(language: str) -> SynthesizedSpeech:
    pytest.importorskip("espeakng_loader")
    speaker, sentence = SENTENCES[language]
    return synthesize(sentence, language=language, voice=speaker)


@cache
def voice() -> np.ndarray:
    """About twelve seconds: three sentences with a second of silence between them."""
    pause = np.zeros(16_000, np.float32)
    parts = [spoken(language).resampled(16_000) for language in ("en", "es", "ko")]
    return np.concatenate([part for speech in parts for part in (speech, pause)])


def largest(track: VisemeTrack) -> float:
    return max(float(np.abs(getattr(track, name)).max(initial=0)) for name in FIELDS)


def difference(first: VisemeTrack, second: VisemeTrack) -> float:
    assert len(first) == len(second)
    pairs = ((getattr(first, name), getattr(second, name)) for name in FIELDS)
    return max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)


@pytest.mark.parametrize("num_samples", [0, 1, 639, 640, 641, 6400, 100_000])
def test_a_silent_person_does_not_move(num_samples):
    track = analyse_speech(np.zeros(num_samples, np.float32))
    assert len(track) == -(-num_samples // SAMPLES_PER_FRAME)
    assert largest(track) == 0


def test_a_constant_and_the_noise_of_a_converter_are_silence():
    hiss = np.random.default_rng(0).normal(0, 1e-5, 100_000)
    assert largest(analyse_speech(np.full(100_000, 0.5, np.float32))) == 0
    assert largest(analyse_speech(hiss.astype(np.float32))) == 0


def test_a_long_pause_inside_a_talk_is_still():
    speech = spoken("en").resampled(16_000)
    track = analyse_speech(np.concatenate([speech, np.zeros(160_000, np.float32), speech]))
    first = len(speech) // SAMPLES_PER_FRAME
    assert largest(track[first + 15 : first + 235]) == 0
    assert track.opening[first + 235 :].max() > 0.03


@pytest.mark.parametrize("num_samples", [1, 100, 640, 1000])
def test_the_shortest_sounds_have_tracks(num_samples):
    track = analyse_speech(voice()[8000 : 8000 + num_samples])
    assert len(track) == -(-num_samples // SAMPLES_PER_FRAME)
    assert all(np.isfinite(getattr(track, name)).all() for name in FIELDS)


@pytest.mark.parametrize("num_frames", [1, 99, 100, 101, 400])
def test_the_track_has_the_length_that_was_asked_for(num_frames):
    assert len(analyse_speech(voice(), num_frames=num_frames)) == num_frames


def test_beyond_the_sound_there_is_silence():
    track = analyse_speech(spoken("en").resampled(16_000), num_frames=400)
    assert largest(track[200:]) == 0


@pytest.mark.parametrize("chunk_frames", [1, 7, 25, BLOCK_FRAMES, 1000])
def test_chunks_are_the_whole(chunk_frames):
    whole = analyse_speech(voice())
    chunks = list(stream_visemes(voice(), num_frames=len(whole), chunk_frames=chunk_frames))
    assert all(len(chunk) == chunk_frames for chunk in chunks[:-1])
    assert difference(VisemeTrack.concatenate(chunks), whole) == 0


def test_only_the_beginning_is_read_for_the_first_chunk():
    class Recorder:
        """An array that knows how far it was read."""

        def __init__(self, samples):
            self.samples, self.end = samples, 0

        def __len__(self):
            return len(self.samples)

        def __getitem__(self, part):
            self.end = max(self.end, part.stop)
            return self.samples[part]

    recorder = Recorder(np.resize(voice(), 16_000 * 600))
    next(stream_visemes(recorder, num_frames=15_000, chunk_frames=5))
    assert recorder.end < 20 * 16_000


def test_the_network_is_what_its_equations_say():
    random = np.random.default_rng(0)
    shapes = [(5, 3, 4), *[(5, 4, 4)] * len(DILATIONS), (1, 4, NUM_VISEMES)]
    layers = tuple((random.normal(0, 0.5, s), random.normal(0, 0.5, s[2])) for s in shapes)
    weights = VisemeWeights(random.normal(0, 1, 3), np.full(3, 2.0), np.zeros(2), layers)
    heard = random.normal(0, 1, (31, 3))

    def convolved(signal, layer, step, dilation):
        weight, bias = layer
        taps = [
            signal[step + (tap - 2) * dilation] @ weight[tap]
            for tap in range(5)
            if 0 <= step + (tap - 2) * dilation < len(signal)
        ]
        return np.maximum(sum(taps) + bias, 0)

    hidden = (heard - weights.mean) / weights.deviation
    hidden = np.stack([convolved(hidden, layers[0], 2 * step, 1) for step in range(16)])
    for layer, dilation in zip(layers[1:], DILATIONS, strict=False):
        moved = [convolved(hidden, layer, step, dilation) for step in range(16)]
        hidden = hidden + np.stack(moved)
    scores = np.exp(hidden @ layers[-1][0][0] + layers[-1][1])
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(listen(heard, weights), expected, rtol=1e-6)


@pytest.mark.parametrize("hertz", [300, 1000, 4000])
def test_a_tone_is_heard_in_its_band(hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32)
    band = whole_band_energies(tone)[50].argmax()
    bins = np.fft.rfftfreq(FFT_SIZE, 1 / 16_000)
    centre = bins[mel_filters()[:, band].argmax()]
    assert centre == pytest.approx(hertz, rel=0.1)


def test_blocks_of_energies_are_the_whole():
    blocks = np.concatenate(list(_energy_blocks(voice(), 6)))
    np.testing.assert_allclose(blocks, whole_band_energies(voice()), rtol=1e-5)


@pytest.mark.parametrize("gain", [0.01, 0.2, 4.0])
def test_loudness_of_the_recording_does_not_matter(gain):
    assert difference(analyse_speech(voice() * np.float32(gain)), analyse_speech(voice())) < 1e-3


def test_sound_that_comes_later_moves_the_mouth_later():
    shifted = analyse_speech(np.pad(voice(), (10 * SAMPLES_PER_FRAME, 0)))
    original = analyse_speech(voice())
    for name in ("opening", "closure", "width"):
        late, early = getattr(shifted, name)[10:], getattr(original, name)
        assert np.corrcoef(late, early)[0, 1] > 0.95


def test_values_are_in_their_ranges():
    track = analyse_speech(voice())
    assert 0.05 < track.opening.max() < 0.12
    for name in FIELDS:
        values = getattr(track, name)
        assert values.dtype == np.float32
        assert values.min() >= (-1 if name == "width" else 0)
        assert values.max() <= 1


@pytest.mark.parametrize("language", SENTENCES)
def test_the_mouth_opens_with_the_phonemes(language):
    track = analyse_speech(spoken(language).resampled(16_000))
    truth = phoneme_track(spoken(language).phonemes, len(track))
    assert np.corrcoef(track.opening, truth.opening)[0, 1] >= 0.8


def test_lips_seal_at_bilabials_and_nowhere_else():
    sealed = []
    away_frames = false_frames = 0
    for language in SENTENCES:
        speech = spoken(language)
        track = analyse_speech(speech.resampled(16_000))
        instants = (np.arange(len(track)) + 0.5) / 25
        away = np.ones(len(track), bool)
        for phoneme in speech.phonemes:
            if BILABIAL in visemes_of_ipa(phoneme.ipa):
                near = (instants > phoneme.start_seconds - 0.04) & (
                    instants < phoneme.end_seconds + 0.04
                )
                sealed.append(track.closure[near].max() >= 0.95)
                away &= ~near
        away_frames += away.sum()
        false_frames += (track.closure[away] > 0.5).sum()
    assert np.mean(sealed) >= 0.85
    assert false_frames <= 0.03 * away_frames


def test_tracks_are_cut_and_joined():
    track = analyse_speech(voice())
    assert difference(VisemeTrack.concatenate([track[:30], track[30:]]), track) == 0
    assert len(VisemeTrack.concatenate([])) == 0
    assert largest(VisemeTrack.silent(5)) == 0
