# syntax=docker/dockerfile:1
# Two images from one file; docs/deployment.md says how to run them:
#
#   docker build --target cpu --tag multitalk:cpu .
#   docker build --target gpu --tag multitalk:gpu .      (the last stage, so also without --target)
#
# Both stand on the same base. A CUDA base would not help: PyTorch's wheels bring CUDA and cuDNN
# along, and the driver is the host's. Packages, weights and our code are layers of their own, so
# that a new release of this project moves a few MB.
ARG BASE=python:3.11.13-slim-bookworm

# What the warp engine and the worker need ---------------------------------------------------------
FROM ${BASE} AS cpu-packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PATH=/opt/venv/bin:$PATH
WORKDIR /build
RUN python3 -m venv /opt/venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src/multitalk/__init__.py src/multitalk/
# pip installs what a project requires only together with it, so a stub of it goes in and out again.
RUN pip install --constraint constraints.txt '.[speech,worker,serve,cluster,bucket,weights,provenance]' \
    && pip uninstall --yes multitalk-serverless

# Our own code, with nothing below it --------------------------------------------------------------
FROM cpu-packages AS code
COPY src src
RUN pip install --no-deps --target /opt/multitalk/app .

# What every container is made of ------------------------------------------------------------------
FROM ${BASE} AS runtime
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="MultiTalk Serverless" \
      org.opencontainers.image.description="A portrait and voices become a video in which those people speak" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later AND GPL-2.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# tini is process 1: it passes SIGTERM on, and ends what outlives the worker.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini=0.19* \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 multitalk \
    && useradd --uid 1000 --gid 1000 --create-home multitalk
ENV PATH=/opt/venv/bin:/opt/multitalk/app/bin:$PATH \
    PYTHONPATH=/opt/multitalk/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/runpod-volume/huggingface-cache \
    MULTITALK_ALLOWED_ROOTS=/runpod-volume:/opt/multitalk/examples
WORKDIR /opt/multitalk
COPY --chmod=0755 entrypoint.sh ./
COPY handler.py ./
COPY examples/portrait.jpg examples/astronaut.jpg examples/request.json examples/
ENTRYPOINT ["/usr/bin/tini", "--", "/opt/multitalk/entrypoint.sh"]
CMD ["worker"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 \
    CMD ["/opt/multitalk/entrypoint.sh", "health"]

# Without a GPU ------------------------------------------------------------------------------------
FROM runtime AS cpu
ENV IMAGE_TARGET=cpu
COPY --from=cpu-packages /opt/venv /opt/venv
COPY --from=code /opt/multitalk/app /opt/multitalk/app
USER 1000:1000

# With PyTorch -------------------------------------------------------------------------------------
FROM cpu-packages AS gpu-packages
ARG TORCH=torch==2.13.0
# The version is in the argument; another one goes into constraints.txt, too. The wheels on PyPI want a driver for CUDA 13.0; for older drivers name PyTorch's index of wheels for
# CUDA 12.6: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126
ARG TORCH_INDEX=
# hadolint ignore=DL3013
RUN pip install ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} "${TORCH}" \
    && pip install --constraint constraints.txt '.[diffusion]' \
    && pip uninstall --yes multitalk-serverless

# The diffusion engine's weights, if they are to be in the image:
#   docker build --build-arg BAKE_WEIGHTS=1 --secret id=HF_TOKEN,env=HF_TOKEN .
# The token is there while this line runs, and in no layer. The public sets need none.
FROM cpu-packages AS weights
ARG BAKE_WEIGHTS=0
ARG WEIGHT_SET=int8-fusionx
COPY src src
COPY builder/fetch_models.py builder/
RUN --mount=type=secret,id=HF_TOKEN \
    mkdir -p /opt/multitalk/weights \
    && if [ "${BAKE_WEIGHTS}" = 1 ]; then \
        if [ -f /run/secrets/HF_TOKEN ]; then HF_TOKEN="$(cat /run/secrets/HF_TOKEN)"; export HF_TOKEN; fi; \
        PYTHONPATH=src python builder/fetch_models.py "${WEIGHT_SET}" --to /opt/multitalk/weights; \
    fi

FROM runtime AS gpu
# A CUDA base would say this; the container runtime brings the driver in by it.
ENV IMAGE_TARGET=gpu \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTORCH_ALLOC_CONF=expandable_segments:True
COPY --from=gpu-packages /opt/venv /opt/venv
COPY --from=weights /opt/multitalk/weights /opt/multitalk/weights
COPY --from=code /opt/multitalk/app /opt/multitalk/app
# RunPod's volumes belong to root. A worker only reads from them, as a rule; for one that has to write,
# see docs/deployment.md, or build with --build-arg RUN_AS=0:0
ARG RUN_AS=1000:1000
USER ${RUN_AS}
