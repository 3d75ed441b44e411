"""Bakes the diffusion engine's weights into an image, in a build stage without PyTorch.

    pip install pydantic rich typer 'huggingface_hub>=2.4,<3' 'filelock>=3.30'
    PYTHONPATH=src python builder/fetch_models.py int8-fusionx --to /opt/multitalk/weights

The options are those of `multitalk fetch`.
"""

import typer

from multitalk.cli.fetch import fetch

if __name__ == "__main__":
    typer.run(fetch)
