"""What networks of the real size take of the host's memory before their values are there."""

import json
import os
import re
import resource
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

pytest.importorskip("transformers")

from accelerate import init_empty_weights
from publish import Publisher, publishable_pipeline, wan_text_names
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toy import toy_pipeline

from multitalk.engines.diffusion.convert_encoders import load_text_encoder
from multitalk.engines.diffusion.loading import load_pipeline
from multitalk.engines.diffusion.network_sizes import network_bytes
from multitalk.engines.diffusion.offload import component_sizes
from multitalk.engines.diffusion.state_dict import open_tensors
from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel
from multitalk.weights.component_files import CheckpointMismatch, find_components

MIB = 2**20


def anonymous_bytes():
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


class WrittenBytes(TorchDispatchMode):
    """Counts what is written to tensors on the CPU; a tensor that is only made is not."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.converted = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.__name__.startswith(("empty", "detach", "alias")):
            made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
            written = sum(tensor.nbytes for tensor in made if tensor.device.type == "cpu")
            self.count += written
            self.converted += written if function.__name__.startswith("_to_copy") else 0
        return result


@pytest.mark.parametrize("storage", ["int8", "float8_e4m3fn"])
def test_a_network_of_the_real_size_is_made_without_memory(storage):
    before = anonymous_bytes()
    with WrittenBytes() as written, init_empty_weights():
        model = MultiTalkTransformer3DModel(weight_storage=storage)
    parameters = list(model.parameters())
    assert sum(parameter.numel() for parameter in parameters) > 18.8e9
    assert {parameter.device.type for parameter in parameters} == {"meta"}
    assert written.count < 100 * MIB
    assert anonymous_bytes() - before < 500 * MIB


def test_a_file_larger_than_the_machines_memory_is_mapped(tmp_path):
    file = tmp_path / "large.safetensors"
    size = 2 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    said = {"a": {"dtype": "I8", "shape": [size], "data_offsets": [0, size]}}
    header = json.dumps(said).encode()
    with file.open("wb") as opened:
        opened.write(len(header).to_bytes(8, "little") + header)
        opened.truncate(8 + len(header) + size)  # a hole, which takes no disk
    before = anonymous_bytes()
    values = open_tensors([file], lambda key: key)["a"].values
    assert values.shape == (size,)
    assert values[-1] == 0
    values[0] = 7  # as a LoRA's difference is added: in memory, not in the file
    with file.open("rb") as opened:
        assert opened.read(8 + len(header) + 1)[-1] == 0
    assert anonymous_bytes() - before < 10 * MIB


def bytes_held(network):
    """Of each tensor once, whatever it is called."""
    return sum(
        {tensor.data_ptr(): tensor.nbytes for tensor in network.state_dict().values()}.values()
    )


def test_what_has_two_names_is_counted_once():
    pipeline = toy_pipeline()
    text_encoder = pipeline.text_encoder
    assert text_encoder.shared.weight is text_encoder.encoder.embed_tokens.weight
    sizes = component_sizes(pipeline)
    assert sizes["text_encoder"] == bytes_held(text_encoder)
    assert sizes["transformer"] >= bytes_held(pipeline.transformer)  # and buffers in no file


def test_what_has_two_names_is_converted_once(tmp_path):
    state = wan_text_names(toy_pipeline().text_encoder.state_dict())
    torch.save({name: values.bfloat16() for name, values in state.items()}, tmp_path / "t5.pth")
    with WrittenBytes() as written:
        model = load_text_encoder(tmp_path / "t5.pth", torch_dtype=torch.float32)
    assert written.converted == bytes_held(model)


def test_a_pickle_that_is_larger_than_the_memory_is_not_called_damaged(tmp_path):
    file = tmp_path / "network.pth"
    with FakeTensorMode():
        state = {"weight": torch.empty(2**30, dtype=torch.int8)}
    with torch.serialization.skip_data(materialize_fake_tensors=True):
        torch.save(state, file)  # takes no disk
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 512 * MIB, hard))
    try:
        with pytest.raises(CheckpointMismatch, match="the host has less memory than its size"):
            open_tensors([file], lambda key: key)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert open_tensors([file], lambda key: key)["weight"].shape == (2**30,)


@pytest.mark.parametrize("name", ["int8-fusionx", "bf16"])
def test_loading_writes_what_headers_say_is_converted_and_no_second_copy(name, tmp_path):
    Publisher(publishable_pipeline(), tmp_path).weight_set(name)
    sizes = network_bytes(find_components(tmp_path), float_bytes=2, vae_float_bytes=2)
    with WrittenBytes() as written:
        load_pipeline(tmp_path, torch_dtype=torch.bfloat16, vae_dtype=torch.bfloat16)
    converted = sum(size.converted for size in sizes.values())
    # Beside it the tables of rotary positions, which are in no file.
    assert converted <= written.converted < 1.2 * converted
