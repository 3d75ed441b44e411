"""The network against recordings of the reference implementation, whole and layer by layer."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
load_file = pytest.importorskip("safetensors.torch").load_file

from multitalk.engines.diffusion import speaker_binding
from multitalk.engines.diffusion.convert_transformer import load_transformer
from multitalk.engines.diffusion.transformer import CachedConditions

CLOSE = {"atol": 5e-5, "rtol": 1e-4}


@pytest.fixture(scope="module")
def meta(goldens):
    return json.loads((goldens / "transformer" / "meta.json").read_text())


@pytest.fixture(scope="module")
def model(goldens):
    return load_transformer(goldens / "transformer" / "checkpoint", torch_dtype=torch.float32)


@pytest.fixture(scope="module")
def recorded(goldens):
    return load_file(goldens / "transformer" / "intermediates.safetensors")


def inputs(goldens, case):
    """The recordings' inputs: one or two voices, swapped voices or no voice."""
    tensors = load_file(goldens / "transformer" / "inputs.safetensors")
    audio = tensors["audio_two" if case in ("two", "swapped_speakers") else "audio_one"]
    if case == "swapped_speakers":
        audio = audio.flip(0)
    if case.startswith("null_audio"):
        audio = torch.zeros_like(audio)
    return {
        "hidden_states": torch.cat([tensors["x"][None], tensors["y"]], dim=1),
        "encoder_hidden_states": tensors["context"][None],
        "encoder_hidden_states_image": tensors["clip_fea"],
        "audio_hidden_states": audio,
        "speaker_masks": tensors["masks_one" if "one" in case else "masks_two"],
    }


def prefixed(name):
    return lambda message: f"{name}: {message}"


@torch.no_grad()
def test_the_prediction_is_that_of_the_reference(goldens, model):
    outputs = load_file(goldens / "transformer" / "outputs.safetensors")
    assert outputs
    for name, expected in outputs.items():
        case, timestep = name.split("/t")
        predicted = model(timestep=torch.tensor([float(timestep)]), **inputs(goldens, case))
        torch.testing.assert_close(predicted.sample[0], expected, **CLOSE, msg=prefixed(name))


@pytest.fixture(scope="module", params=["one", "two"])
def observed(request, goldens, meta, model):
    """What the layers of one forward gave: name in the recordings -> tensor."""
    found = {}
    handles = []

    def record(name, take=lambda result: result[0]):
        return lambda module, arguments, result: found.__setitem__(name, take(result))

    for index, block in enumerate(model.blocks):
        for module, name in [
            (block.attn1, "self_attn_out"),
            (block.attn2, "cross_attn_out"),
            (block.audio_attn, "audio_attn_out"),
            (block, "out"),
        ]:
            handles.append(module.register_forward_hook(record(f"block{index}_{name}")))
    handles.append(model.proj_out.register_forward_hook(record("head_tokens")))
    handles.append(
        model.patch_embedding.register_forward_hook(
            record("tokens_patch_embed", lambda result: result[0].flatten(1).T)
        )
    )
    positions, maps = [], []
    true_map, true_positions = speaker_binding.speaker_map, speaker_binding.label_positions
    patch = pytest.MonkeyPatch()

    def recording_map(*arguments):
        maps.append(true_map(*arguments))
        return maps[-1]

    def recording_positions(*arguments):
        positions.append(true_positions(*arguments))
        return positions[-1]

    patch.setattr(speaker_binding, "speaker_map", recording_map)
    patch.setattr(speaker_binding, "label_positions", recording_positions)
    conditioning = CachedConditions()
    timestep = torch.tensor([meta["intermediates_at_t"]])
    with torch.no_grad():
        model(timestep=timestep, conditioning=conditioning, **inputs(goldens, request.param))
        found["e"], found["e0"] = model.embed_time(timestep, torch.float32)
    patch.undo()
    for handle in handles:
        handle.remove()
    picture, text = conditioning.context
    found["image_tokens"], found["text_tokens"] = picture[0], text[0]
    voices = conditioning.audio.unflatten(1, (-1, model.config.audio_tokens))
    found["audio_tokens"] = voices.transpose(0, 1)
    for index, (scores, labels) in enumerate(zip(maps, positions, strict=True)):
        found[f"block{index}_x_ref_attn_map"] = scores
        found[f"block{index}_rope1d_pos_q"] = labels
    return request.param, found


def test_every_layer_gives_what_the_reference_gives(observed, recorded):
    case, found = observed
    for name, tensor in found.items():
        expected = recorded[f"{case}/{name}"]
        tolerance = {"atol": 1e-6, "rtol": 0.0} if name.endswith("attn_map") else CLOSE
        torch.testing.assert_close(tensor, expected, **tolerance, msg=prefixed(name))


def test_every_layer_is_compared(observed, recorded):
    case, found = observed
    names = {name.removeprefix(f"{case}/") for name in recorded if name.startswith(f"{case}/")}
    elsewhere = "_rope1d_pos_k" if case == "two" else "_x_ref_attn_map"  # the next two tests
    assert set(found) == {name for name in names if not name.endswith(elsewhere)}


def test_no_speaker_map_is_made_for_one_voice_as_it_says_nothing(recorded):
    """The reference makes one, in which every token looks at every class alike, and drops it."""
    maps = [map_ for name, map_ in recorded.items() if name.startswith("one/") and "_map" in name]
    assert maps
    for expected in maps:
        num_keys = round(1 / float(expected[0, 0]))
        query, key = torch.randn(1, expected.shape[1], 2, 4), torch.randn(1, num_keys, 2, 4)
        masks = torch.ones(len(expected), num_keys, dtype=torch.bool)
        ours = speaker_binding.speaker_map(query, key, masks)
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0.0)


def test_the_voices_have_their_own_labels(model, meta, recorded):
    masks = torch.ones(3, 1, dtype=torch.bool)
    labels = speaker_binding.SpeakerBinding(masks, model.config.audio_tokens).key_positions
    for block in range(model.config.num_layers):
        expected = recorded[f"two/block{block}_rope1d_pos_k"]
        torch.testing.assert_close(labels.repeat(meta["token_grid"][0]), expected)


def test_the_rotary_table_is_that_of_the_reference(model, recorded):
    for name, table in [("real", model.rope.freqs_cos), ("imag", model.rope.freqs_sin)]:
        expected = recorded[f"rope/freqs_{name}"]
        torch.testing.assert_close(table[: len(expected), ::2], expected, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("case", ["one", "two", "null_audio"])
def test_what_the_steps_share_changes_nothing(goldens, model, meta, case):
    shared = CachedConditions()
    for timestep in meta["timesteps"]:
        arguments = {"timestep": torch.tensor([timestep]), **inputs(goldens, case)}
        alone = model(**arguments).sample
        assert torch.equal(model(conditioning=shared, **arguments).sample, alone)


@torch.no_grad()
def test_a_runner_of_blocks_stands_between_embedding_and_head(goldens, model):
    arguments = {"timestep": torch.tensor([500.0]), **inputs(goldens, "two")}
    seen = []

    def runner(modulation, tokens, run_blocks):
        seen.append((tuple(modulation.shape), tuple(tokens.shape)))
        contribution = run_blocks(tokens) - tokens
        return tokens + contribution

    dim = model.config.num_attention_heads * model.config.attention_head_dim
    predicted = model(blocks_runner=runner, **arguments).sample
    torch.testing.assert_close(predicted, model(**arguments).sample, **CLOSE)
    assert [shape[0] for shape in seen] == [(1, 6, dim)]
    assert seen[0][1][2] == dim
