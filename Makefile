PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python -m
INSTALL := $(RUN) pip install --quiet --require-hashes --no-deps
LOWEST := .venv-lowest
LOWEST_PIP = $(VENV)/bin/uv pip install --quiet --python $(LOWEST)/bin/python
COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-browser test-faults test-gpu test-lowest lint lock audit bundle gallery site wheel docker bench clean

TORCH := cpu
GALLERY := quickstart analysis ensembles $(if $(FASHION_MNIST),distillation)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo 'error: sat_exp needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 ...'; exit 1; }
	@echo 'Setting up $(VENV): about 2 GB and some minutes, once.'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --requirement requirements/build.txt
	@$(INSTALL) --requirement requirements/torch-cpu.txt 2>$(VENV)/torch-cpu.log \
		|| { echo "pip finds no CPU build of torch (see $(VENV)/torch-cpu.log) and installs the registry's build."; \
		$(INSTALL) --requirement requirements/torch.txt; }
	@$(INSTALL) --no-build-isolation --requirement requirements/dev.txt
	@$(RUN) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY) ## the virtual environment in .venv, with everything installed

demo: $(READY) ## the similarity of thirteen bundled networks, with a report
	@$(RUN) sat_exp experiment=quickstart

test: $(READY) lint ## lint, types and the quick tests
	@OMP_NUM_THREADS=1 $(RUN) pytest -n auto --dist loadfile --durations=15 --durations-min=5

test-all: $(READY) lint ## all tests except test-faults, including the slow ones
	@OMP_NUM_THREADS=1 $(RUN) pytest -n auto --dist loadfile -m 'not faults'

test-faults: $(READY) ## tests with kills, damaged files, full disks and faulty servers: see docs/faults.md
	@$(RUN) pytest -m faults tests/faults

test-browser: $(READY) ## the tests of the page in a browser; they need Chromium
	@OMP_NUM_THREADS=1 $(RUN) pytest -m browser tests/browser

test-gpu: $(READY) ## the tests that need an NVIDIA GPU
	@$(RUN) pytest -m gpu tests/gpu

test-lowest: $(READY) ## the quick tests with the lowest versions that pyproject.toml allows
	@$(VENV)/bin/uv venv --quiet --clear --python $(VENV)/bin/python $(LOWEST)
	@$(VENV)/bin/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/bin/python \
		--extra dashboard --extra hf --extra imagenet pyproject.toml --output-file $(LOWEST)/lowest.txt
	@$(LOWEST_PIP) --constraints $(LOWEST)/lowest.txt --overrides requirements/overrides.in \
		--editable '.[dev]' --requirement requirements/dev.in
	@OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n auto --dist loadfile

lint: $(READY) ## ruff, mypy and the direction of imports
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(VENV)/bin/lint-imports --no-cache >$(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

lock: $(READY) ## update requirements/ after a change to pyproject.toml or *.in; UPGRADE=yes takes the newest versions
	@$(COMPILE) requirements/build.in --output-file requirements/build.txt
	@$(COMPILE) --extra dev --constraints requirements/build.txt --overrides requirements/overrides.in \
		--excludes requirements/torch.in pyproject.toml requirements/dev.in --output-file requirements/dev.txt
	@$(COMPILE) --constraints requirements/dev.txt --overrides requirements/overrides.in \
		--excludes requirements/torch.in --extra hf --extra dashboard pyproject.toml --output-file requirements/run.txt
	@$(COMPILE) --constraints requirements/dev.txt requirements/torch.in --output-file requirements/torch.txt
	@$(COMPILE) --constraints requirements/dev.txt $(addprefix --find-links ,$(PIP_FIND_LINKS)) \
		requirements/torch-cpu.in --output-file requirements/torch-cpu.txt

audit: $(READY) ## known vulnerabilities of the locked packages
	@$(VENV)/bin/python .ci/audit.py

bundle: $(READY) ## train the bundled networks again: make bundle FASHION_MNIST=FOLDER
	@test -n '$(FASHION_MNIST)' || { echo 'error: give FASHION_MNIST=FOLDER with the four gzipped files'; exit 1; }
	@$(RUN) sat_exp experiment=bundle 'dataset.root=$(FASHION_MNIST)'

gallery: $(READY) ## update the figures and tables in experiments/; with FASHION_MNIST=FOLDER also the distillation
	@$(RUN) sat_exp experiment=quickstart
	@$(RUN) sat_exp task=attack pool=bundled attack=noise attack.epsilon=24 name=quickstart_noise
	@$(RUN) sat_exp task=analyze task.run=outputs/quickstart task.control=outputs/quickstart_noise name=analysis
	@$(RUN) sat_exp task=ensemble dataset.size=1500 name=ensembles
	@test -z '$(FASHION_MNIST)' || $(RUN) sat_exp experiment=distill_fashion 'dataset.root=$(FASHION_MNIST)'
	@for study in $(GALLERY); do for file in experiments/$$study/figures/* experiments/$$study/tables/*; do \
		cp "outputs/$${file#experiments/}" "$$file" || exit 1; done; done

site: $(READY) ## the documentation as a site, in site/, with every link checked
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@$(VENV)/bin/python .ci/links.py site
	@echo 'site/index.html'

wheel: $(READY) ## a wheel and a source archive in dist/, checked
	@rm -rf dist
	@$(RUN) hatchling build
	@$(VENV)/bin/twine check --strict dist/*

docker: ## the image sat_exp:cpu, or with TORCH=cuda the image sat_exp:cuda
	@docker build --build-arg TORCH=$(TORCH) $(if $(PIP_EXTRA_INDEX_URL),--build-arg PIP_EXTRA_INDEX_URL) \
		--tag sat_exp:$(TORCH) .

bench: $(READY) ## all benchmarks except that of a GPU, benchmarks/gpu.py
	@for script in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/*.py)); do $(VENV)/bin/python $$script || exit 1; done

clean: ## remove the virtual environment and caches; outputs stay
	@rm -rf $(VENV) $(LOWEST) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist site
