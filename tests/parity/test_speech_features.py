"""What is made of sound before the network hears it, against the reference."""

import json

import numpy as np
import pytest
from reversed_speech import reversed_rows

from multitalk.engines.diffusion.windows import Window, frame_features
from multitalk.media.audio import LOUDNESS_LUFS, arrange_speakers, num_frames_for
from multitalk.media.loudness import SILENCE_LUFS, LoudnessMeter
from multitalk.speech.talk_features import NormalizedVoice
from multitalk.timebase import FPS, SAMPLE_RATE


@pytest.fixture(scope="module")
def folder(goldens):
    return goldens / "audio"


@pytest.fixture(scope="module")
def meta(folder):
    return json.loads((folder / "meta.json").read_text())


@pytest.fixture(scope="module")
def recorded(folder):
    return pytest.importorskip("safetensors.numpy").load_file(folder / "audio.safetensors")


@pytest.fixture(scope="module")
def encoder(folder):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from multitalk.speech.wav2vec2 import SpeechEncoder

    return SpeechEncoder.load(folder / "wav2vec")


def waves(meta):
    return [f"wave{number}" for number in range(len(meta["lengths"]))]


def loudness(samples):
    meter = LoudnessMeter(SAMPLE_RATE, 1)
    meter.add(samples[None])
    return meter.integrated()


def test_input_is_normalized_as_the_reference_s(recorded, meta):
    for wave in waves(meta):
        theirs = recorded[f"{wave}/normalized_input_first2000"]
        ours = NormalizedVoice(recorded[wave]).samples(0, len(theirs))
        np.testing.assert_allclose(ours, theirs, atol=3e-5)


def test_features_are_resampled_as_the_reference_s(recorded, meta, encoder):
    import torch

    from multitalk.speech.wav2vec2 import at_steps, steps_of_frames

    for wave in waves(meta):
        convolved = torch.from_numpy(recorded[f"{wave}/conv_features"])
        ours = at_steps(convolved, steps_of_frames(meta[wave]["frames"], len(convolved)))
        np.testing.assert_allclose(ours, recorded[f"{wave}/interpolated"], atol=3e-5)


def test_hidden_states_are_the_reference_s(recorded, meta, encoder):
    for wave in waves(meta):
        ours = encoder.features(recorded[wave], num_frames=meta[wave]["frames"])
        np.testing.assert_allclose(ours, recorded[f"{wave}/embedding"], atol=3e-5)


def test_padded_and_silent_tracks_have_the_reference_s_features(recorded, encoder):
    padded = recorded["mix/add/embedding1"]
    ours = encoder.features(recorded["mix/add/1"], num_frames=len(padded))
    np.testing.assert_allclose(ours, padded, atol=3e-5)
    silence = recorded["mix/silence_embedding"]
    nothing = recorded["mix/para_none_left/1"]
    assert not nothing.any()
    ours = encoder.features(nothing, num_frames=len(silence))
    np.testing.assert_allclose(ours, silence, atol=3e-5)


def test_windows_are_the_reference_s(recorded, meta):
    compared = 0
    for wave in waves(meta):
        for name in recorded:
            if name.startswith(f"{wave}/windows_"):
                start, stop = map(int, name.split("_")[1:])
                window = Window(0, start, stop, range(start, stop), is_last=False)
                features = recorded[f"{wave}/embedding"]
                rows = recorded[name.replace("windows", "window_index")]
                ours = reversed_rows(window, len(features))
                np.testing.assert_array_equal(ours, rows)
                heard = frame_features(features, ours)
                np.testing.assert_array_equal(heard, recorded[name])
                compared += 1
    assert compared


def levels(recorded, meta):
    """Recorded sounds that were brought to one loudness."""
    names = [name for name in sorted(meta) if f"{name}/in" in recorded]
    assert names
    return [name for name in names if "gain" in meta[name]]


def test_loudness_is_the_reference_s(recorded, meta):
    for name in levels(recorded, meta):
        measured = loudness(recorded[f"{name}/in"])
        assert measured == pytest.approx(meta[name]["lufs"], rel=1e-5), name


def test_silence_has_no_loudness_and_is_not_brought_to_any(recorded):
    silence = recorded.get("loud_silence/in", np.zeros(SAMPLE_RATE, np.float32))
    assert not np.any(silence)
    assert loudness(silence) == SILENCE_LUFS


def test_a_sound_too_short_for_the_reference_is_measured():
    short = np.sin(np.arange(SAMPLE_RATE // 5, dtype=np.float32))
    assert -30 < loudness(short) < 0


def test_one_gain_brings_a_sound_to_the_reference_s_loudness(recorded, meta):
    for name in levels(recorded, meta):
        sound, leveled = recorded[f"{name}/in"], recorded[f"{name}/out"]
        gain = 10 ** ((LOUDNESS_LUFS - loudness(sound)) / 20)
        assert gain == pytest.approx(meta[name]["gain"], rel=1e-5), name
        np.testing.assert_allclose(sound * gain, leveled, rtol=1e-5, atol=1e-6)


# Order, then the levelled voices; None is a speaker without one.
MIXES = {
    "para": ("parallel", "para/1", "para/2"),
    "para_none_left": ("parallel", None, "para_none_left/2"),
    "add": ("sequential", "para/1", "para_none_left/2"),
    "add_none_right": ("sequential", "para/1", None),
}


@pytest.mark.parametrize("mode", MIXES)
def test_voices_are_arranged_as_the_reference_does(tmp_path, recorded, mode):
    order, *names = MIXES[mode]
    voices = [recorded[f"mix/{name}"] if name else None for name in names]
    silence = np.zeros(max(len(voice) for voice in voices if voice is not None), np.float32)
    speeches = {
        str(number): silence if voice is None else voice
        for number, voice in enumerate(voices, start=1)
    }
    tracks = arrange_speakers(speeches, order=order, directory=tmp_path).tracks
    for number, track in tracks.items():
        np.testing.assert_allclose(track, recorded[f"mix/{mode}/{number}"], atol=1e-6)
    np.testing.assert_allclose(sum(tracks.values()), recorded[f"mix/{mode}/sum"], atol=1e-6)


def test_every_recorded_arrangement_is_compared(recorded, meta):
    assert set(MIXES) == {name.split("/")[1] for name in recorded if name.endswith("/sum")}
    refused = {name for name, fact in meta.items() if name.startswith("mix/") and "Error" in fact}
    assert refused == {"mix/para_unequal", "mix/both_none"}


def test_voices_of_unequal_length_which_the_reference_refuses_sound_together(tmp_path, recorded):
    speeches = {"1": recorded["mix/person1"], "2": recorded["mix/person2_short"]}
    tracks = arrange_speakers(speeches, order="parallel", directory=tmp_path).tracks
    for number, speech in speeches.items():
        np.testing.assert_array_equal(tracks[number][: len(speech)], speech)
        assert len(tracks[number]) == max(map(len, speeches.values()))
        assert not tracks[number][len(speech) :].any()


def test_the_talk_never_has_fewer_frames_than_the_reference_s(meta):
    assert (meta["sample_rate"], meta["fps"]) == (SAMPLE_RATE, FPS)
    for samples, frames in meta["frames_for_samples"].items():
        assert frames <= num_frames_for(int(samples)) <= frames + 1
        assert num_frames_for(int(samples)) * 640 >= int(samples)


@pytest.mark.parametrize("num_samples", [1, 399, 400, 640, 641, 22_413])
def test_a_voice_of_any_length_has_features_for_every_frame(encoder, num_samples):
    speech = np.sin(np.arange(num_samples, dtype=np.float32) / 20)
    features = encoder.talk_features(speech)[:]
    assert len(features) == num_frames_for(num_samples)
    assert np.isfinite(features).all()


def test_a_whole_number_of_frames_is_not_padded(recorded, meta, encoder):
    speech = recorded["wave0"][: meta["lengths"][0] // 640 * 640]
    ours = encoder.talk_features(speech)[:]
    np.testing.assert_array_equal(ours, encoder.features(speech, num_frames=len(speech) // 640))


def test_a_voice_that_is_never_heard_is_no_voice(encoder):
    silent = encoder.talk_features(np.zeros(1000, np.float32))[:]
    heard = encoder.talk_features(np.sin(np.arange(1000, dtype=np.float32) / 20))[:]
    assert silent.shape == heard.shape
    assert not silent.any()
