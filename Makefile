# Everything a fresh machine with Python 3.11 to 3.13 needs; each target sets up its own virtual environment.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m

.PHONY: help ticket test test-long test-keras test-torch test-postgres test-hub test-micro test-lowest test-newest dist models arm64 test-arm64 lint format web test-web clean

help:
	@echo "make ticket      find a winning ticket on embedded data, export it, verify it, draw the figure"
	@echo "make test        the tests, on TensorFlow and JAX"
	@echo "make test-long   the checks that take minutes"
	@echo "make test-keras  Keras' own tests of callbacks, trainers and models, with kl.fit for model.fit"
	@echo "make test-torch  the tests of the torch backend (installs torch)"
	@echo "make test-postgres a study by several workers on a PostgreSQL of its own (Debian: postgresql)"
	@echo "make test-hub    backbones of KerasHub, exported (an environment of its own)"
	@echo "make test-micro  the target micro, run in TensorFlow Lite Micro (installs a pre-release)"
	@echo "make test-lowest the tests with the lowest versions that setup.cfg allows (an environment of its own)"
	@echo "make test-newest the same with the newest; PYTHON=python3.13 chooses the Python"
	@echo "make dist        build and check what goes to PyPI, and try the wheel in a fresh environment"
	@echo "make models      networks of keras.applications for every target; takes an hour"
	@echo "make lint        ruff and mypy"
	@echo "make format      what ruff can mend by itself"
	@echo "make web         build and serve the page that runs a ticket in a phone's browser (needs npm)"
	@echo "make test-web    the page in a real headless Chromium (needs npm, chromium, chromedriver)"
	@echo "make arm64       set up LiteRT for arm64 under qemu (Debian; 200 MB in .arm64)"
	@echo "make test-arm64  exported files in it; make test-long does that too once it is set up"
	@echo "make clean       remove all that make has set up and built; runs/ has your results and stays"

# What pip cannot install is asked for first: one line in place of a page of errors or skipped tests.
need-%:
	@command -v $* > /dev/null || { echo "$* is not installed, see make help" >&2; exit 1; }

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/ticket.done: setup.cfg | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[experiments,tflite]'
	@touch $@

$(VENV)/test.done: setup.cfg | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[experiments,study,tflite,tfmot,jax,test]'
	@touch $@

ticket: $(VENV)/ticket.done
	@$(RUN) experiments.find_ticket --seeds=3 --output=runs/ticket --export

# DATA_DIR may name a folder of TensorFlow Datasets with MNIST; without it the page runs on scikit-learn's digits.
# Either has a folder of its own, so that its models are not taken for the other's.
MODELS := export/web/build/$(if $(DATA_DIR),mnist,digits)

$(MODELS)/metadata.json: | $(VENV)/ticket.done
	$(RUN) export.web.train --output=$(@D) $(if $(DATA_DIR),--data_dir=$(DATA_DIR))

export/web/node_modules: export/web/package-lock.json
	cd export/web && npm ci --omit=dev --no-audit --no-fund
	@touch $@

web: need-npm $(VENV)/ticket.done export/web/node_modules $(MODELS)/metadata.json
	$(RUN) export.web.build --models=$(MODELS)
	$(RUN) export.web.serve

test-web: need-npm need-node need-chromium need-chromedriver $(VENV)/test.done export/web/node_modules
	$(BIN)/pip install --quiet --editable '.[web]'
	$(RUN) pytest -q tests/export/web

test: $(VENV)/test.done
	$(RUN) pytest -q -n 2 --dist loadfile -m "not long"
	KERAS_BACKEND=jax $(RUN) pytest -q -n 2 --dist load -m "not long" tests/backends

test-long: $(VENV)/test.done
	$(RUN) pytest -q -m long
	KERAS_BACKEND=jax $(RUN) pytest -q -m long tests/backends
	KERAS_BACKEND=jax $(RUN) pytest -q -n 2 --dist loadfile -m "not long" \
	  tests/masks/test_lottery.py tests/masks/test_masks_of_a_model.py tests/masks/test_rewiring.py \
	  tests/masks/test_strip.py tests/search/test_rounds.py tests/search/test_scored.py \
	  tests/search/test_rewire.py tests/landscape tests/training

# A part of test-long, and the same on JAX.
test-keras: $(VENV)/test.done
	$(RUN) pytest -q -s -m long tests/training/test_keras_tests.py
	KERAS_BACKEND=jax $(RUN) pytest -q -s -m long tests/training/test_keras_tests.py

.arm64/python: tests/exporters/tflite/arm64.sh $(VENV)/test.done
	PYTHON=$(BIN)/python tests/exporters/tflite/arm64.sh .arm64

arm64: .arm64/python

test-arm64: .arm64/python
	$(RUN) pytest -q -m long tests/exporters/tflite/test_arm64.py

# torch has a virtual environment of its own: beside TensorFlow and JAX it would be one more gigabyte for everybody.
test-torch:
	test -d $(VENV)-torch || $(PYTHON) -m venv $(VENV)-torch
	$(VENV)-torch/bin/pip install --quiet --editable . pytest hypothesis torch==2.13.0
	KERAS_BACKEND=torch $(VENV)-torch/bin/python -m pytest -q -m "not long" tests/backends tests/training \
	  tests/search/test_rewire.py tests/search/test_scored.py tests/landscape

test-postgres: need-initdb $(VENV)/test.done
	$(BIN)/pip install --quiet 'psycopg[binary]'
	$(RUN) pytest -q -m long tests/experiments/study/test_workers.py

# KerasHub has one too: it brings packages for text that nothing else here needs.
test-hub:
	test -d $(VENV)-hub || $(PYTHON) -m venv $(VENV)-hub
	$(VENV)-hub/bin/pip install --quiet --editable '.[tflite]' pytest keras-hub
	$(VENV)-hub/bin/python -m pytest -q -s -m long tests/exporters/tflite/test_keras_hub.py

test-micro: $(VENV)/test.done
	$(BIN)/pip install --quiet --editable '.[micro]'
	$(RUN) pytest -q tests/exporters/tflite/targets/test_micro.py

# The tests that belong to versions: not those of figures, of the house itself, or of tfmot, which caps others.
VERSIONS := tests/core tests/model tests/landscape tests/masks tests/scorers tests/search tests/tickets tests/training \
  tests/exporters tests/commands tests/backends

test-lowest test-newest: test-%: $(VENV)/test.done
	$(BIN)/pip install --quiet uv
	rm -rf $(VENV)-$*
	$(BIN)/uv venv --quiet --python $(PYTHON) $(VENV)-$*
	$(BIN)/uv pip install --quiet --python $(VENV)-$*/bin/python --prerelease disallow \
	  --resolution $(if $(filter lowest,$*),lowest-direct,highest) --editable '.[experiments,study,tflite,jax,test]'
	$(VENV)-$*/bin/python -m pytest -q -n 2 --dist loadfile -m "not long" $(VERSIONS)
	KERAS_BACKEND=jax $(VENV)-$*/bin/python -m pytest -q -n 2 -m "not long" tests/backends

# The wheel alone, with the extras that the README says, runs the README's first example.
dist: $(VENV)/test.done
	$(BIN)/pip install --quiet build twine check-wheel-contents
	rm -rf build dist $(VENV)-dist
	$(RUN) build --outdir dist .
	$(RUN) twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv $(VENV)-dist
	$(VENV)-dist/bin/pip install --quiet "$$(ls $(CURDIR)/dist/*.whl)[tflite,examples]"
	awk '/^```python/ {inside = 1; next} /^```/ {if (inside) exit} inside' README.md > dist/first_example.py
	cd dist && ../$(VENV)-dist/bin/python first_example.py
	cd dist && ../$(VENV)-dist/bin/keras-lottery --help

models: $(VENV)/test.done
	$(RUN) export.applications_table --output=docs/exporter_models.md

lint: $(VENV)/test.done
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy keras_lottery

format: $(VENV)/test.done
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean:
	rm -rf $(VENV) $(VENV)-* .arm64 export/web/build export/web/dist export/web/node_modules
	rm -rf build dist *.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache
