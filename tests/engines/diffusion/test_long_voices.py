"""Voices of any length, through wav2vec 2.0's real classes at toy sizes."""

from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import Wav2Vec2Config, Wav2Vec2Model

from multitalk.speech.talk_features import (
    BLOCK_ROWS,
    LINGER_ROWS,
    REACH_ROWS,
    WHOLE_ROWS,
)
from multitalk.speech.wav2vec2 import CONVOLVED_STEPS, SpeechEncoder

LONG = 3 * BLOCK_ROWS + 77  # frames; heard in four blocks


def toy_model(**changes):
    config = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_dim": (8,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        **changes,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Wav2Vec2Model(Wav2Vec2Config(**config)).eval()


def voice(num_frames):
    """Noise that swells four times a second, with pauses."""
    time = np.arange(num_frames * 640) / 16_000
    swell = np.maximum(0, np.sin(2 * np.pi * 4 * time) * np.sin(time))
    return (0.3 * swell * np.random.default_rng(0).normal(size=len(time))).astype(np.float32)


@torch.inference_mode()
def by_the_library(model, speech, num_frames):
    """The last layer, with the library's own feature extractor over the whole voice."""
    speech = np.pad(
        (speech - speech.mean(dtype=np.float64)) / speech.std(dtype=np.float64),
        (0, num_frames * 640 - len(speech)),
    )
    convolved = model.feature_extractor(torch.from_numpy(speech.astype(np.float32))[None])
    resampled = torch.nn.functional.interpolate(
        convolved, size=num_frames, mode="linear", align_corners=True
    )
    states, _ = model.feature_projection(resampled.transpose(1, 2))
    return model.encoder(states).last_hidden_state[0].numpy()


@pytest.mark.parametrize(
    "config",
    [{}, {"conv_bias": True}, {"feat_extract_norm": "layer", "conv_bias": True}],
)
@pytest.mark.parametrize("num_samples", [640, 1281, 200_000])
def test_a_voice_of_normal_length_is_heard_as_the_library_hears_it(config, num_samples):
    model, num_frames = toy_model(**config), -(-num_samples // 640)
    speech = np.random.default_rng(0).normal(0.1, 0.2, num_samples).astype(np.float32)
    features = SpeechEncoder(model).talk_features(speech)[:]
    np.testing.assert_allclose(
        features[:, -1], by_the_library(model, speech, num_frames), atol=3e-5
    )


def test_a_long_voice_is_nearly_as_if_it_were_heard_at_once():
    model, speech = toy_model(), voice(LONG)
    features = SpeechEncoder(model).talk_features(speech)
    parts = [features[start : start + 81][:, -1] for start in range(0, LONG, 81)]
    whole = by_the_library(model, speech, LONG)
    error = np.concatenate(parts) - whole
    assert np.sqrt(np.square(error).mean()) < 0.005 * whole.std()
    assert np.abs(error).max() < 0.03 * whole.std()


def test_what_is_computed_at_once_does_not_grow_with_the_voice(tmp_path):
    np.save(tmp_path / "voice.npy", voice(LONG))
    model, sizes = toy_model(), {"convolved": [], "encoded": []}
    layers = model.feature_extractor.conv_layers
    layers[1].register_forward_hook(
        lambda _, inputs, __: sizes["convolved"].append(inputs[0].shape[2])
    )
    model.encoder.register_forward_hook(
        lambda _, inputs, __: sizes["encoded"].append(inputs[0].shape[1])
    )
    features = SpeechEncoder(model).talk_features(np.load(tmp_path / "voice.npy", mmap_mode="r"))
    assert not sizes["encoded"]
    features[:81]
    assert len(sizes["encoded"]) == 1
    for start in range(0, LONG, 56):
        features[start : start + 81]
    assert len(sizes["encoded"]) == 4
    assert max(sizes["encoded"]) <= WHOLE_ROWS
    assert max(sizes["convolved"]) <= 64 * (CONVOLVED_STEPS + 1)


def test_the_model_comes_to_work_for_each_block_and_goes():
    visits = []

    @contextmanager
    def at_work():
        visits.append("came")
        yield
        visits.append("went")

    features = SpeechEncoder(toy_model(), at_work).talk_features(voice(LONG))
    assert not visits
    features[0 : BLOCK_ROWS + 1]
    assert visits == ["came", "went"] * 2


def test_one_of_several_is_nobody_in_a_long_pause_and_one_alone_rests():
    speech = voice(300)
    speech[100 * 640 : 200 * 640] = 0
    encoder = SpeechEncoder(toy_model())
    resting = encoder.talk_features(speech, pauses="encoded")[:]
    nobody = encoder.talk_features(speech, pauses="null")[:]
    silent = encoder.talk_features(np.zeros_like(speech), pauses="encoded")[:]
    long_silent = slice(100 + REACH_ROWS, 200 - REACH_ROWS)
    np.testing.assert_array_equal(nobody[long_silent], silent[long_silent])
    np.testing.assert_array_equal(nobody[: 100 + LINGER_ROWS - 3], resting[: 100 + LINGER_ROWS - 3])
    np.testing.assert_array_equal(nobody[200:], resting[200:])
    assert np.abs(resting[long_silent]).mean() > 0.1  # silence has features: they mean a pause


def test_a_voice_that_is_too_faint_to_be_heard_is_no_voice():
    faint = 0.005 * np.sin(np.arange(6400, dtype=np.float32))
    assert not SpeechEncoder(toy_model()).talk_features(faint)[:].any()
