"""LoRAs beside a network: what their weights are held in, and that nothing else is made."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from toy import toy_transformer

from multitalk.engines.diffusion.lora import AttachedLoras, ModuleChange


@pytest.mark.parametrize("storage", ["int8", "float8_e4m3fn", None])
def test_loras_are_held_in_the_network_s_own_dtype_and_taken_as_they_are(storage):
    model = toy_transformer(weight_storage=storage)
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not set(model._keep_in_fp32_modules) & set(
            name.split(".")
        ):
            parameter.data = parameter.data.bfloat16()
    changes = {}
    for name in ("blocks.0.attn1.to_q", "blocks.1.ffn.net.2"):
        layer = model.get_submodule(name)
        changes[name] = ModuleChange(
            down=torch.ones(2, layer.in_features), up=torch.full((layer.out_features, 2), 0.5)
        )
    before = torch.get_rng_state()
    attached = AttachedLoras(model)
    attached.add(changes, scale=0.5)
    attached.add(changes, scale=2.0)
    assert torch.equal(torch.get_rng_state(), before)  # nothing was made first, to be overwritten
    loras = {name: values for name, values in model.named_parameters() if "lora_" in name}
    assert len(loras) == 2 * 2 * len(changes)
    assert {values.dtype for values in loras.values()} == {torch.bfloat16}
    largest = {values.detach().max().item() for name, values in loras.items() if "lora_B" in name}
    assert largest == {0.25, 1.0}
