"""What networks of the real size take of the host's memory before their values are there."""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")


from accelerate import init_empty_weights  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from multitalk.engines.diffusion.transformer import MultiTalkTransformer3DModel  # noqa: E402

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
