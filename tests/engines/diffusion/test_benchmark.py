"""What `benchmarks/diffusion.py` compares with, and reckons with."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_plain_network_is_the_same_network():
    from diffusion import SMALL
    from diffusion_models import Size, forward, make_inputs, make_transformer
    from plain_transformer import PlainTransformer

    model = make_transformer({**SMALL, "num_layers": 2}, "cpu", torch.float32)
    for speakers in (1, 2):
        inputs = make_inputs(model, Size(3, 16, 24), speakers)
        expected = forward(model, inputs)
        for class_by_class in (True, False):
            plain = PlainTransformer(model, class_by_class=class_by_class)
            torch.testing.assert_close(plain(**inputs), expected, atol=2e-5, rtol=1e-4)


def test_the_cost_model_gives_the_operations_of_the_published_network():
    from diffusion_cost import cost_model
    from diffusion_models import Size
    from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel

    with torch.device("meta"):
        config = MultiTalkTransformer3DModel().config
    size = Size(21, 448 // 8, 832 // 8)
    assert size.tokens == 30_576
    one, two = (cost_model(config, size, speakers, 2) for speakers in (1, 2))
    tokens, dim, ffn_dim, layers = 30_576, 5120, 13_824, 40
    linear = 2 * tokens * layers * (8 * dim**2 + 2 * dim * ffn_dim)
    attention = 4 * tokens**2 * dim * layers
    assert round(linear / 1e15, 2) == 0.86
    assert round(attention / 1e15, 2) == 0.77
    rest = sum(part.flops for part in one.values()) - linear - attention
    assert 0 < rest < 0.02 * (linear + attention)
    speaker_map = two["self attention"].flops - one["self attention"].flops
    assert speaker_map == pytest.approx(attention / 21)
