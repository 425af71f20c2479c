# Every line here also runs by hand. `make digits` and `make test` set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TRAIN := $(VENV)/.train
DEV := $(VENV)/.dev
OLD := .old-runtime
# MediaPipe's own client, in an environment of its own: it brings another OpenCV. Tests without it skip, and name it.
MEDIAPIPE := .mediapipe
# Where research data sets for tests and benchmarks are; tests that need one skip without it.
export CNNKIT_DATA ?=

.PHONY: help setup old-runtime mediapipe digits check test browser test-all bench docs clean

help:  ## Show these targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

setup: $(DEV)  ## Make .venv with everything in it.

$(TRAIN): pyproject.toml
	@echo "Setting up $(VENV) (once, a minute or two) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[train]"
	@touch $@

$(DEV): $(TRAIN)
	@echo "Adding what the tests need ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[train,dev]"
	@touch $@

old-runtime: $(OLD)/.there  ## Make .old-runtime, in which tests run files with the last tflite-runtime (Python 3.11 or older).

$(OLD)/.there: tests/clients/old_runtime.txt
	@echo "Setting up $(OLD) (once) ..."
	@if command -v python3.11 >/dev/null; then \
	  python3.11 -m venv $(OLD) && \
	  $(OLD)/bin/python -m pip install --quiet --disable-pip-version-check -r $<; \
	else mkdir -p $(OLD) && echo "python3.11 is not here: tests with tflite-runtime are left out"; fi
	@touch $@

mediapipe: $(MEDIAPIPE)/.there  ## Make .mediapipe, in which tests run exported files.

$(MEDIAPIPE)/.there: tests/clients/mediapipe.txt
	@echo "Setting up $(MEDIAPIPE) (once) ..."
	@$(PYTHON) -m venv $(MEDIAPIPE) && \
	  $(MEDIAPIPE)/bin/python -m pip install --quiet --disable-pip-version-check -r $< && touch $@ || \
	  echo "MediaPipe cannot be had here: tests with it are left out"

digits: $(TRAIN)  ## Train on the embedded digits, export, pass the gate, read a page.
	$(BIN)/cnnkit digits train
	$(BIN)/cnnkit digits export
	$(BIN)/cnnkit digits read --sample
	@echo "Report: runs/digits/latest/report.html"

check: setup old-runtime mediapipe  ## What a commit must pass: format, lint, types, fast tests.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

test: setup old-runtime mediapipe  ## The fast tests, in a process a core.
	$(BIN)/python -m pytest

browser:  ## Install Chromium, for the tests of the page in the browser (Debian, as root).
	@command -v chromium chromedriver >/dev/null || { apt-get -qq update && apt-get -qq install -y chromium chromium-driver; }

test-all: setup old-runtime mediapipe  ## Every test, the slow ones too; those in a browser need `make browser` before.
	$(BIN)/python -m pytest -m ""

bench: setup  ## Every benchmark that ends within minutes; the long ones are listed in benchmarks/README.md.
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/startup.py

docs: setup  ## Write docs/reference.md from the commands themselves.
	$(BIN)/python docs/make_reference.py

clean:  ## Remove caches and builds; runs stay.
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
