"""Print pip's option for PyTorch's own index of CPU builds, where that helps and answers.

    pip install $(python tools/torch_index.py) torch==2.13.0

PyPI's build of PyTorch for Linux carries CUDA, several GB of it, which no test needs. The CPU build
is a tenth of that, and PyTorch's project keeps it in a separate index. A build from there has a
local version (2.13.0+cpu), which pip prefers to the same version from PyPI. Nothing is printed on
other systems, whose builds on PyPI are CPU builds already, or where the index does not answer.
"""

import platform
import sys
import urllib.error
import urllib.request

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 5.0


def index_option(index: str = CPU_INDEX, *, system: str | None = None) -> str:
    """The option of pip, or an empty text.

    Args:
        index: A simple index (PEP 503) that has PyTorch.
        system: As `platform.system()` names it; None: of this machine.
    """
    if (system or platform.system()) != "Linux":
        return ""
    probe = urllib.request.Request(f"{index}/torch/", method="HEAD")  # noqa: S310 - http(s) only
    try:
        with urllib.request.urlopen(probe, timeout=PROBE_SECONDS):  # noqa: S310
            return f"--extra-index-url {index}"
    except OSError as error:  # no network, no such page, no certificate: pip looks elsewhere
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return ""


if __name__ == "__main__":
    print(index_option(*sys.argv[1:2]))
