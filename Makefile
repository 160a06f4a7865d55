# Everything a fresh machine with Python 3.11 needs; each target sets up its own virtual environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m

.PHONY: help ticket test test-long test-torch lint format web test-web clean

help:
	@echo "make ticket      find a winning ticket on embedded data, export it, verify it, draw the figure"
	@echo "make test        the tests, on TensorFlow and JAX"
	@echo "make test-long   the checks that take minutes"
	@echo "make test-torch  the tests of the torch backend (installs torch)"
	@echo "make lint        ruff and mypy"
	@echo "make web         build and serve the page that runs a ticket in a phone's browser"
	@echo "make test-web    the page in a real headless Chromium"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/ticket.done: setup.cfg | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[experiments,tflite]'
	@touch $@

$(VENV)/test.done: setup.cfg | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[experiments,tflite,tfmot,jax,test]'
	@touch $@

ticket: $(VENV)/ticket.done
	@$(RUN) experiments.find_ticket --output=runs/ticket --export

test: $(VENV)/test.done
	$(RUN) pytest -q -n 2 --dist loadfile -m "not long"
	KERAS_BACKEND=jax $(RUN) pytest -q -m "not long" tests/test_backends.py

test-long: $(VENV)/test.done
	$(RUN) pytest -q -m long

# torch has a virtual environment of its own: beside TensorFlow and JAX it would be one more gigabyte for everybody.
test-torch:
	test -d $(VENV)-torch || $(PYTHON) -m venv $(VENV)-torch
	$(VENV)-torch/bin/pip install --quiet keras numpy safetensors pytest hypothesis torch==2.13.0
	KERAS_BACKEND=torch $(VENV)-torch/bin/python -m pytest -q -m "not long" tests/test_backends.py

lint: $(VENV)/test.done
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy keras_lottery/core

format: $(VENV)/test.done
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean:
	rm -rf $(VENV) $(VENV)-torch build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
