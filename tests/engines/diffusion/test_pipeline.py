"""The pipeline, with its components' real classes at toy sizes."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import toy

from multitalk.engines.diffusion.encoders import LruCache, clean_prompt
from multitalk.engines.diffusion.guidance import Guidance
from multitalk.engines.diffusion.parallel import SingleProcess
from multitalk.engines.diffusion.pipeline import Execution, MultiTalkPipeline
from multitalk.engines.diffusion.sampler import SampleOptions
from multitalk.engines.diffusion.speakers import SpeakerOutOfSight
from multitalk.engines.diffusion.vae import VaeCodec
from multitalk.engines.diffusion.windows import WindowLengths, num_windows

PICTURE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
# What two runs of the same numbers may differ by: the order of sums depends on where memory lies.
ONE_LEVEL = 1


def voice(num_frames, pitch=20):
    return np.sin(np.arange(num_frames * 640, dtype=np.float32) / pitch)


def sampling(steps=2, *, text=1.0, audio=2.0):
    return SampleOptions(Guidance(text, audio), steps, shift=3.0)


def frames_of(pipeline, *voices, prompt="a man talks", **options):
    windows = pipeline(PICTURE, prompt, voices, **{"options": sampling(), **options})
    return np.concatenate([window.frames for window in windows])


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int)).max()


@pytest.fixture(scope="module")
def pipeline():
    return toy.toy_pipeline()


@pytest.mark.parametrize("num_frames", [1, 2, 9, 10, 13, 14, 25])
def test_a_talk_has_as_many_frames_as_its_voice(pipeline, num_frames):
    frames = frames_of(pipeline, voice(num_frames)[:-5], options=sampling(1))
    assert frames.shape == (num_frames, 32, 48, 3)
    assert frames.dtype == np.uint8


def test_windows_come_one_by_one_before_later_ones_are_computed(pipeline):
    told = []
    windows = pipeline(PICTURE, "", [voice(21)], options=sampling(3), watch=told.append)
    assert not told
    number = seen = 0
    for window in windows:
        number += 1
        assert window.window.new == range(seen, seen + len(window.frames))
        shares = [seen + len(window.frames) * piece / 4 for piece in range(4)]
        assert sorted(set(told))[-4:] == shares  # three steps and the decoding
        seen = window.window.new.stop
    assert seen == 21
    assert number == num_windows(21, pipeline.lengths)
    assert told == sorted(told)


@pytest.mark.parametrize("kind", ["multitalk", "infinitetalk"])
def test_the_last_window_is_as_short_as_it_needs(kind):
    pipeline, latents = toy.toy_pipeline(kind=kind), []
    pipeline.transformer.register_forward_pre_hook(
        lambda _, __, given: latents.append(given["hidden_states"].shape[2]), with_kwargs=True
    )
    options = sampling(1, audio=1.0)
    talks = {}
    for shortest in (None, 9):
        lengths = WindowLengths(17, 5, shortest)
        talks[shortest] = frames_of(
            pipeline, voice(20), execution=Execution(lengths), options=options
        )
    assert latents == [5, 5, 5, 3]
    assert [len(frames) for frames in talks.values()] == [20, 20]
    assert difference(talks[None][:17], talks[9][:17]) <= ONE_LEVEL
    assert difference(talks[None][17:], talks[9][17:]) > ONE_LEVEL


class EnoughFramesError(Exception):
    """What a watch may raise."""


WORK = {  # of the components, in order, until the watch is told of the next piece
    "text_encoder": 1,
    "audio_encoder.encoder": 1,
    "vae.encoder.conv_out": 3,  # latent frames
    "image_encoder": 1,
    "transformer": 2,  # branches
    "vae.decoder.conv_out": 3,
}


@pytest.mark.parametrize("part", WORK)
def test_a_talk_can_be_ended_after_each_encoder_step_and_decoding(part):
    pipeline, worked = toy.toy_pipeline(), []
    for name in WORK:
        component, _, inner = name.partition(".")
        module = getattr(pipeline, component).get_submodule(inner)
        module.register_forward_hook(lambda *_, name=name: worked.append(name))

    def end(done):
        if part in worked:
            raise EnoughFramesError

    with pytest.raises(EnoughFramesError):
        list(pipeline(PICTURE, "a man", [voice(13)], options=sampling(), watch=end))
    assert worked[-1] == part
    assert worked.count(part) == WORK[part]


def test_numbers_that_are_not_finite_are_no_video():
    pipeline = toy.toy_pipeline()
    with torch.no_grad():
        pipeline.transformer.proj_out.bias[0] = float("nan")
    with pytest.raises(FloatingPointError, match="not finite"):
        frames_of(pipeline, voice(1))


def test_seed_prompt_and_voice_matter_and_nothing_else(pipeline):
    before = frames_of(pipeline, voice(9))
    assert difference(frames_of(pipeline, voice(9)), before) <= ONE_LEVEL
    assert difference(frames_of(pipeline, voice(9), seed=1), before) > ONE_LEVEL
    assert difference(frames_of(pipeline, voice(9), prompt="a woman"), before) > ONE_LEVEL
    assert difference(frames_of(pipeline, voice(9, pitch=5)), before) > ONE_LEVEL


def test_boxes_place_the_speakers(pipeline):
    voices = voice(9), voice(9, pitch=5)
    left, right = (0.0, 0.0, 35.0, 50.0), (35.0, 0.0, 70.0, 50.0)
    one_way = frames_of(pipeline, *voices, boxes=[left, right])
    assert difference(frames_of(pipeline, *voices, boxes=[right, left]), one_way) > ONE_LEVEL
    swapped = frames_of(pipeline, *voices[::-1], boxes=[left, right])
    assert difference(swapped, one_way) > ONE_LEVEL


def test_saved_and_loaded_it_is_the_same(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    loaded = MultiTalkPipeline.from_pretrained(tmp_path)
    for name, component in pipeline.components.items():
        if isinstance(component, torch.nn.Module):
            state = getattr(loaded, name).state_dict()
            for key, values in component.state_dict().items():
                assert torch.equal(values, state[key]), (name, key)
    assert loaded.lengths == pipeline.lengths
    assert loaded.buckets("480p") == pipeline.buckets("480p")
    assert loaded.scheduler.config.shift == 3.0
    assert difference(frames_of(loaded, voice(9)), frames_of(pipeline, voice(9))) <= ONE_LEVEL


def test_infinitetalk_follows_the_picture_and_not_the_window_before():
    talks = [
        frames_of(toy.toy_pipeline(kind=kind), voice(13)) for kind in ("multitalk", "infinitetalk")
    ]
    assert difference(*talks) > ONE_LEVEL


def test_prompts_and_pictures_are_encoded_once():
    pipeline = toy.toy_pipeline(kind="infinitetalk")
    calls = []
    for encoder in (pipeline.text_encoder, pipeline.image_encoder):
        encoder.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    for scale in (2.0, 2.0, 1.0):
        frames_of(pipeline, voice(17), prompt="a man", options=sampling(1, text=scale))
    assert sorted(calls) == ["CLIPVisionModel", "UMT5EncoderModel", "UMT5EncoderModel"]


def test_what_is_kept_is_bounded():
    kept, made = LruCache(2), []

    def make(name):
        return lambda: made.append(name) or name

    for name in "abacab":
        assert kept.get(name, make(name)) == name
    assert made == ["a", "b", "c", "b"]


def test_text_is_cut_at_what_the_transformer_takes(pipeline):
    states = pipeline.encode_prompt("a man talks " * 50)
    assert states.shape == (toy.SIZES["text_len"], toy.SIZES["text_dim"])
    assert len(pipeline.encode_prompt("a man")) < toy.SIZES["text_len"]


def test_the_image_encoder_sees_the_whole_picture(pipeline):
    picture = torch.rand(3, 40, 24) * 2 - 1
    changed = picture.clone()
    changed[:, :3] = 1.0  # rows which a cut to the centre would lose
    states = pipeline.encode_picture(picture)
    assert states.shape == (5, toy.SIZES["image_dim"])
    assert not torch.allclose(states, pipeline.encode_picture(changed))


def test_pictures_are_described_by_the_last_layer_but_one():
    pipeline, outputs = toy.toy_pipeline(), []
    layers = [
        module
        for module in pipeline.image_encoder.modules()
        if type(module).__name__ == "CLIPEncoderLayer"
    ]
    layers[-2].register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    states = pipeline.encode_picture(torch.zeros(3, 32, 48))
    output = outputs[0][0] if isinstance(outputs[0], tuple) else outputs[0]
    torch.testing.assert_close(states, output.reshape(states.shape))


class Elsewhere:
    """A pipeline whose transformer lies on another device than its other components."""

    transformer = SimpleNamespace(device=torch.device("meta"))


@pytest.fixture
def visitor(monkeypatch):
    """A component for which every copy to the other device is one, as from a CPU to a GPU."""
    network = torch.nn.Linear(2, 2)
    network.device, network.sent = torch.device("cpu"), []

    def to(tensor, device):
        network.sent.append(device)
        if network.room < len(network.sent):
            raise torch.OutOfMemoryError
        return tensor.clone()

    network.room = 99
    monkeypatch.setattr(torch.Tensor, "to", to)
    return network


def places(network):
    return {parameter.data_ptr() for parameter in network.parameters()}


def test_a_component_elsewhere_comes_to_work_and_what_it_left_is_there_again(visitor):
    home = places(visitor)
    with MultiTalkPipeline._onloaded(Elsewhere, visitor) as device:
        assert visitor.sent == [device] * 2
        assert not home & places(visitor)
    assert places(visitor) == home  # not copies
    work = MultiTalkPipeline._onloaded(Elsewhere, visitor)
    with pytest.raises(RuntimeError, match="at work"), work:
        raise RuntimeError("at work")
    assert places(visitor) == home


def test_a_component_that_finds_no_room_is_at_home_again(visitor):
    home, visitor.room = places(visitor), 1
    with pytest.raises(torch.OutOfMemoryError), MultiTalkPipeline._onloaded(Elsewhere, visitor):
        pass
    assert len(visitor.sent) == 2
    assert places(visitor) == home


def test_offloading_that_hides_where_the_transformer_is_is_refused(pipeline):
    with pytest.raises(ValueError, match="model_cpu_offload_seq"):
        pipeline.enable_model_cpu_offload()


class OneOfTwenty(SingleProcess):
    """One of more processes than a small frame has strips."""

    world_size = 20


@pytest.mark.parametrize("shared", [False, True])
def test_what_does_not_fit_is_decoded_in_tiles(monkeypatch, shared):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = toy.toy_vae(num_res_blocks=1)
    for side in ("height", "width"):
        monkeypatch.setattr(vae, f"tile_sample_min_{side}", 32)
        monkeypatch.setattr(vae, f"tile_sample_stride_{side}", 24)
    codec = VaeCodec(vae, torch.device("cpu"), group=OneOfTwenty() if shared else None)
    latents = torch.randn(16, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    sizes = []

    def fits(_, given):
        sizes.append(tuple(given[0].shape[-2:]))
        if given[0].shape[-1] > 4:
            raise torch.OutOfMemoryError

    handle = vae.decoder.register_forward_pre_hook(fits)
    try:
        with torch.no_grad():
            if shared:  # one that decodes otherwise would lose the others
                with pytest.raises(torch.OutOfMemoryError):
                    codec.decode(latents)
                return
            first = codec.decode(latents)
            assert sizes[0] == (6, 8)
            sizes.clear()
            second = codec.decode(latents)
    finally:
        handle.remove()
    assert max(sizes) == (4, 4)  # the later ones do not even try
    assert first.shape == (3, 5, 48, 64)
    torch.testing.assert_close(first, second)
    assert not vae.use_tiling  # of another talk
    with torch.no_grad():
        whole = codec._decoded((latents * codec._deviation + codec._mean)[None])
    assert (first - whole).abs().mean() < 0.1 * whole.std()


def test_latents_of_a_frame_do_not_depend_on_later_frames(pipeline):
    codec = VaeCodec(pipeline.vae, torch.device("cpu"))
    frames = torch.rand(3, 9, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(codec.encode(frames[:, :5]), codec.encode(frames)[:, :2])


def test_latents_have_the_statistics_that_the_vae_tells(pipeline):
    codec = VaeCodec(pipeline.vae, torch.device("cpu"))
    frames = torch.rand(3, 9, 32, 48) * 2 - 1
    with torch.no_grad():
        latents = codec.encode(frames)
        raw = pipeline.vae.encode(frames[None]).latent_dist.mode()[0]
        decoded = codec.decode(latents)
        expected = pipeline.vae.decode(raw[None]).sample[0]
    assert latents.shape == (16, 3, 4, 6)
    mean, deviation = (
        torch.tensor(values)[:, None, None, None]
        for values in (pipeline.vae.config.latents_mean, pipeline.vae.config.latents_std)
    )
    torch.testing.assert_close(latents * deviation + mean, raw)
    assert decoded.shape == frames.shape
    torch.testing.assert_close(decoded, expected.clamp(-1, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("voices", "options"),
    [
        ([], {}),
        ([np.zeros(0, np.float32)], {}),
        ([voice(1), np.full(640, np.nan, np.float32)], {}),
        ([voice(1)], {"num_frames": 0}),
        ([voice(1)], {"options": sampling(0)}),
        ([voice(1)] * 2, {"boxes": [(0.0, 0.0, 9.0, 9.0)]}),
        ([voice(1)] * 2, {"boxes": [(0.0, 0.0, 50.0, 50.0), (8.0, 8.0, 8.0, 9.0)]}),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(pipeline, voices, options):
    with pytest.raises((ValueError, SpeakerOutOfSight)):
        pipeline(PICTURE, "", voices, **options)


@pytest.mark.parametrize("picture", [PICTURE[..., :1], PICTURE[0], PICTURE / 255.0])
def test_a_picture_of_another_form_is_refused(pipeline, picture):
    with pytest.raises(ValueError, match=r"picture: uint8 \[H, W, 3\], not"):
        pipeline(picture, "", [voice(1)])


def test_prompts_are_cleaned():
    assert clean_prompt("  a man\n &amp;amp; a\twoman ") == "a man & a woman"
    assert clean_prompt("\u1112\u1161\u11ab") == "한"
