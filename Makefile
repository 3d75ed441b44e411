# Everything a developer types. `make help` lists it; CI calls the same targets.
# A target sets up what it needs in .venv from nothing: Python 3.10 or newer with pip, or uv.

# uv, where it is on the PATH, does in seconds what takes pip a minute; both install the same
ifeq ($(origin UV),undefined)
UV := $(shell command -v uv)
endif
# Is it 3.$1 or newer, and can it make an environment? Debian has what venv needs apart.
fits = -c 'import sys$(if $(UV),,; import ensurepip); sys.exit(sys.version_info < (3, $1))' 2>/dev/null
# The newest on the PATH, else one that uv keeps
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for p in python3.14 python3.13 python3.12 python3.11 python3.10 python3 \
	$$($(or $(UV),false) python find --managed-python '>=3.10' 2>/dev/null); do \
	$$p $(call fits,10) && echo $$p && break; done)
endif
need_python = $(or $(PYTHON),false) $(call fits,$1) || { echo "Python 3.$1 or newer$(if $(UV),, with venv and pip) is needed$2: \
	$(or $(PYTHON),whatever is on the PATH) is not that. Get it: apt install python3-venv, brew install python, \
	or uv python install; or name one: make PYTHON=/path/to/python3"; exit 1; }
# Where PYTHON=... names another one than an environment was made with, that is made again.
WHICH := import sys; print(sys.version_info[:2], sys.base_prefix)
another = $(if $(filter file,$(origin PYTHON)),,$(shell test ! -x $1/bin/python || \
	test "$$($(PYTHON) -c '$(WHICH)')" = "$$($1/bin/python -c '$(WHICH)')" || echo another-python))
BIN := .venv/bin
MAKE_UV = $(UV) venv --quiet --python $(PYTHON) $(if $(is_another),--clear,--allow-existing)
MAKE_PIP = $(PYTHON) -m venv$(if $(is_another), --clear)
is_another = $(filter another-python,$^)
venv = $(if $(UV),$(MAKE_UV),$(MAKE_PIP)) $1
INSTALL_UV = $(UV) pip install --quiet --index-strategy unsafe-best-match --python $1/bin/python
INSTALL_PIP = $1/bin/python -m pip --disable-pip-version-check install --quiet --no-compile
install = $(if $(UV),$(INSTALL_UV),$(INSTALL_PIP)) --constraint constraints.txt
# Any build of it will do. On Linux the one from PyTorch's index of CPU builds is taken where that
# index answers, unless another is named: make TORCH=... test
TORCH ?= torch==2.13.0
TORCH_INDEX = $(if $(filter file,$(origin TORCH)),$$(.venv-diffusion/bin/python tools/torch_index.py))
TORCH_TESTS := tests/parity tests/engines/diffusion
SERVING_TESTS := tests/serving tests/queue tests/api
PAGE_TESTS := tests/web
AGENT_TESTS := tests/integrations
# Skipped among those of serving, which lack the extra
WEBRTC_TESTS := tests/api/test_live_webrtc.py tests/api/test_live_webrtc_stalls.py

# A part of the tests that fails does not keep the others from being run
MAKEFLAGS += --keep-going

# Several processes test at once: threads of one that wait for each other take time from the others
test-units test-serving test-page test-diffusion test-agents test-newest test-arm: export OMP_NUM_THREADS := 1
test-units test-serving test-page test-diffusion test-agents test-newest test-arm: export OPENBLAS_NUM_THREADS := 1
test-units test-serving test-page test-diffusion test-agents test-newest test-arm: export OPENCV_FOR_THREADS_NUM := 1

# What is imported is compiled once, not by each of a test's processes
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: another-python help demo test test-core test-units test-serving test-page test-diffusion test-agents test-newest test-arm check format serve bench rehearse prove-gpu fuzz clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/.base: pyproject.toml constraints.txt $(call another,.venv)
	@$(call need_python,10)
	@echo "==> Setting up .venv with $(PYTHON) (once; about 140 MB to download, a minute or two)"
	@$(call venv,.venv)
	@$(call install,.venv) --editable '.[speech]'
	@touch $@

.venv/.dev: .venv/.base
	@echo "==> Adding the tools that tests and checks need (once; about 130 MB to download)"
	@$(call install,.venv) --editable '.[speech,japanese,serve,worker,weights,provenance,cluster,dev]'
	@touch $@

# What tests import, before several processes import it at once and compile it each for itself
.venv/.compiled: .venv/.dev
	@echo "==> Compiling what tests import (once; half a minute)"
	@$(BIN)/python -m pytest -qq --collect-only $(TORCH_TESTS:%=--ignore=%) $(AGENT_TESTS:%=--ignore=%) >/dev/null 2>&1 || true
	@touch $@

.venv-diffusion/.ready: pyproject.toml constraints.txt $(call another,.venv-diffusion)
	@$(call need_python,11, by the diffusion engine's diffusers)
	@echo "==> Setting up .venv-diffusion, with PyTorch and diffusers (once; about 0.5 GB to download with a CPU build of PyTorch)"
	@$(call venv,.venv-diffusion)
	@$(call install,.venv-diffusion) $(TORCH_INDEX) $(TORCH)
	@$(call install,.venv-diffusion) --editable '.[speech,diffusion,test]'
	@touch $@

demo: .venv/.base  ## a real portrait speaks a Korean and an English sentence: out/demo.mp4
	@mkdir -p out
	@echo "==> Rendering examples/request.json (no GPU, no recording: the voice is synthesized)"
	@$(BIN)/multitalk render --request examples/request.json --output out/demo.mp4
	@echo "==> Watch out/demo.mp4"

test: test-core test-diffusion  ## all tests; none needs a GPU or a network

test-core: test-serving test-page test-units  ## everything but the diffusion engine's tests

test-units: .venv/.compiled  ## everything that needs no server or worker
	@$(BIN)/python -m pytest --forks 2 $(TORCH_TESTS:%=--ignore=%) $(SERVING_TESTS:%=--ignore=%) $(PAGE_TESTS:%=--ignore=%) $(AGENT_TESTS:%=--ignore=%)

test-serving: .venv/.compiled  ## worker, queue and server, in processes
	@$(BIN)/python -m pytest --forks 3 $(SERVING_TESTS)

test-page: .venv/.compiled  ## the web page, in one server and a browser
	@$(BIN)/python -m pytest --maxfail 3 $(PAGE_TESTS)

test-diffusion: .venv-diffusion/.ready  ## the diffusion engine's, with PyTorch; parity is among them
	@.venv-diffusion/bin/python -m pytest --forks 2 $(TORCH_TESTS)

# Their packages want versions of their own: no constraints
.venv-agents/.ready: pyproject.toml $(call another,.venv-agents)
	@$(call need_python,11, by pipecat-ai)
	@echo "==> Setting up .venv-agents, with Pipecat, LiveKit Agents and aiortc (once; about 220 MB to download)"
	@$(call venv,.venv-agents)
	@$(subst --constraint constraints.txt,,$(call install,.venv-agents)) --editable '.[speech,serve,pipecat,livekit,live-webrtc,test]'
	@touch $@

test-agents: .venv-agents/.ready  ## the live avatar in Pipecat, LiveKit Agents and WebRTC, in an environment of its own
	@.venv-agents/bin/python -m pytest -W ignore $(AGENT_TESTS) $(WEBRTC_TESTS)

test-newest:  ## a short part on the newest Python, from Debian's packages where it is not here
	@tools/test_elsewhere.sh newest

test-arm:  ## faces on an emulated ARM processor, by qemu-user
	@tools/test_elsewhere.sh arm64

check: .venv/.dev  ## format, lint, types, import contracts, Dockerfile, shell scripts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/shellcheck entrypoint.sh tools/build_image_offline.sh tools/debian_python.sh tools/test_elsewhere.sh .ci/run

format: .venv/.dev  ## rewrite the files in the house style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.venv/.serve: .venv/.base
	@echo "==> Adding what the HTTP server needs (once; about 5 MB to download)"
	@$(call install,.venv) --editable '.[speech,serve]'
	@touch $@

serve: .venv/.serve  ## the server with its web page and a worker: http://127.0.0.1:8000
	@MULTITALK_ALLOWED_ROOTS="$(CURDIR)/examples" $(BIN)/multitalk serve

bench: .venv/.base  ## speed and memory of the CPU engine, one row each for docs/experiments.md
	@$(BIN)/python benchmarks/warp.py

rehearse: .venv-diffusion/.ready  ## the diffusion engine at its real size without a GPU: five minutes, 3 GB of disk
	@.venv-diffusion/bin/python benchmarks/rehearse.py

# What a machine with PyTorch and transformers lacks. Recompressed: wheels are half as large again
GPU_PACKAGES := av diffusers pydantic pydantic-core annotated-types typing-inspection
GPU_PYTHON ?= 3.12
for_the_gpu = --target out/prove-gpu/site --no-deps --only-binary :all: --python-version $(GPU_PYTHON) \
	$(if $(UV),--python-platform x86_64-manylinux_2_28,$(foreach tag,2_28 2_17 2014,--platform \
	$(if $(filter 2014,$(tag)),manylinux2014,manylinux_$(tag))_x86_64))

out/prove-gpu/site.tar.xz: .venv/.base constraints.txt
	@echo "==> Packing what a GPU machine with Python $(GPU_PYTHON) needs (about 45 MB to download, a minute)"
	@rm -rf out/prove-gpu/site
	@$(call install,.venv) $(for_the_gpu) $(GPU_PACKAGES)
	@cd out/prove-gpu/site && $(CURDIR)/$(BIN)/python -m tarfile -c ../site.tar.xz *

prove-gpu: out/prove-gpu/site.tar.xz  ## pack what proves the diffusion engine on a lent GPU; prints what to run there
	@echo "==> Take this tree and $<, $$(du -m $< | cut -f1) MB, to the GPU; no network is needed. There, two calls:"
	@echo "python3 -m tarfile -e $< /tmp/site && PYTHONPATH=/tmp/site python3 benchmarks/prove_gpu.py  # 600 s"
	@echo "python3 -m tarfile -e $< /tmp/site && PYTHONPATH=/tmp/site python3 benchmarks/prove_gpu.py --second  # 250 s"

fuzz: .venv/.dev  ## ten minutes of damaged files and odd texts; what breaks is kept in out/fuzz
	@$(BIN)/python tools/fuzz.py --seconds 600

clean:  ## remove .venv and everything that was made
	@rm -rf .venv .venv-agents .venv-diffusion out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
