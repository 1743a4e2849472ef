# Each target does all of its own set-up on a machine that has Python 3.11 to 3.13, pip and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo_run

export OPENCV_LOG_LEVEL = ERROR
# Two threads on a small shared machine are slower than one.
export OMP_NUM_THREADS ?= 1
# setuptools warns at length about every editable install.
PIP := PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip install -q --disable-pip-version-check
# Torch brings CUDA's libraries on Linux for x86.
ALL_MB := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),7500,3000)

.PHONY: help gallery demo test node lint bench bench-chat bench-kill bench-acceptance bench-ablation bench-masks bench-gpu bench-forks bench-phoenix bench-viewer pictures-viewer train-tiny pictures clean

help:
	@echo "make demo      make a small defect data set from the bundled good parts, and say where to look"
	@echo "make test      install everything and run the whole test suite"
	@echo "make node      Node 22, the MCP conformance suite and other MCP clients, for the tests (needs npm)"
	@echo "make lint      style, types, layers"
	@echo "make bench     measured times and memory beside their budgets"
	@echo "make bench-chat  50 tasks driven by a tiny random chat model on a local server"
	@echo "make bench-kill  a run killed at 20 random moments and resumed gives the same bytes"
	@echo "make bench-acceptance REAL=DIR ITEM=NAME   acceptance on real photos, and both promises checked"
	@echo "make bench-ablation REAL=DIR ITEM=NAME   each part of the engine switched off once, and what a detector then learns"
	@echo "make bench-gpu [MODEL=folder or id]   images/s of a diffusion model through us and bare, 512 and 1024 px"
	@echo "make bench-masks [SAM=FILE] [SAM2=MODEL]    overlap of each mask_gen backend with what the generator changed"
	@echo "make bench-forks    a fork from every checkpoint of 50 trajectories, each checked"
	@echo "make bench-phoenix  traces load into Phoenix, which is installed into .venv-phoenix"
	@echo "make gallery   every mechanism on three materials, the pictures of docs/gallery.md"
	@echo "make bench-mcp   size of the tool list, start and overhead of the MCP servers"
	@echo "make bench-fuzz  10,000 malformed calls; make bench-clients  8 clients at once, one killed every second"
	@echo "make bundle    wheel, .mcpb, server.json and client snippets in dist/, built and checked"
	@echo "make bench-viewer  first paint of the viewer at 10,000 trajectories, in a real Chromium"
	@echo "make pictures-viewer  the pictures of docs/debugging.md"
	@echo "make train-tiny  the shipped policy again from nothing: imitation, then rewards (CPU, resumable)"
	@echo "make pictures  the pictures of README.md, from what the demo made"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "anomalyagent needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; run: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=24"

$(VENV)/.core: pyproject.toml | $(BIN)/python
	@sh .ci/room $(VENV) 750
	$(PIP) -e .
	@touch $@

$(VENV)/.all: pyproject.toml | $(BIN)/python
	@sh .ci/room $(VENV) $(ALL_MB)
	$(PIP) -e ".[all,dev]"
	# A reader of exports in the tests; its dependencies would put opencv-python over the headless one.
	$(PIP) --no-deps "ultralytics>=8.4"
	@touch $@ $(VENV)/.core

demo: $(VENV)/.core
	$(BIN)/python examples/demo.py --out $(DEMO)

node: $(VENV)/.all
	$(BIN)/python tests/node/install.py

# Without npm or its registry the tests that need them are skipped, and say so.
test: $(VENV)/.all
	-$(BIN)/python tests/node/install.py
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.all
	$(BIN)/python tests/bench/budgets.py

bench-chat: $(VENV)/.all
	$(BIN)/python tests/bench/chat_server.py

bench-kill: $(VENV)/.all
	$(BIN)/python tests/bench/kill.py

bench-acceptance: $(VENV)/.all
	$(BIN)/python tests/bench/acceptance.py --real "$(REAL)" --item "$(ITEM)"

bench-ablation: $(VENV)/.all
	$(BIN)/anomalyagent evaluate ablation --real "$(REAL)" --item "$(ITEM)" --out ablation/table.md

bench-gpu: $(VENV)/.all
	$(BIN)/python tests/bench/gpu.py $(if $(MODEL),--model "$(MODEL)")

bench-masks: $(VENV)/.all
	$(BIN)/python tests/bench/masks.py $(if $(REAL),--normals "$(REAL)") $(if $(SAM),--sam "$(SAM)") $(if $(SAM2),--sam2 "$(SAM2)")

bench-forks: $(VENV)/.all
	$(BIN)/python tests/bench/forks.py

bench-phoenix: $(VENV)/.all
	test -x .venv-phoenix/bin/phoenix || ($(PYTHON) -m venv .venv-phoenix && .venv-phoenix/bin/python -m pip install -q arize-phoenix)
	$(BIN)/python tests/bench/phoenix.py --phoenix .venv-phoenix/bin/phoenix

gallery: $(VENV)/.core
	$(BIN)/python examples/gallery.py --out docs/pictures/gallery

.PHONY: bench-fuzz bench-clients bench-mcp bundle
bench-fuzz: $(VENV)/.all
	$(BIN)/python tests/bench/fuzz.py

bench-clients: $(VENV)/.all
	$(BIN)/python tests/bench/clients.py

bench-mcp: $(VENV)/.all
	$(BIN)/python tests/bench/mcp_overhead.py

# Everything that MCP hosts and the MCP registry need, in dist/, and all of it checked (needs Node programs and uv).
bundle: node
	$(BIN)/python bundles/build.py --out dist
train-tiny: $(VENV)/.all
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/anomalyagent train grpo --config tiny --out runs/tiny

pictures: $(VENV)/.core
	$(BIN)/python examples/pictures.py --run $(DEMO) --out docs/pictures

pictures-viewer: $(VENV)/.all
	$(BIN)/python examples/viewer_pictures.py --out docs/pictures

bench-viewer: $(VENV)/.all
	$(BIN)/python tests/bench/viewer.py

clean:
	rm -rf $(DEMO) build dist *.egg-info .pytest_cache .ruff_cache
