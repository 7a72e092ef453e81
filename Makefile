# Quorum. `make help` shows all that a newcomer needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# More options for pip, such as the index of PyTorch's CPU builds:
#   make demo PIP_OPTIONS="--extra-index-url URL"
PIP_OPTIONS ?=
EXTRAS ?= console,postgres,web
# Of `make soak`: the engine (prism, flink), how long, the seed of a run to repeat, and further options.
ENGINE ?= prism
SECONDS ?= 3600
SEED ?=
SOAK ?=
# Of `make test`: processes. Many tests wait, so that three keep two cores busy.
WORKERS ?= 3
# Of `make flink`: the cluster's files.
FLINK_FILES = -f deploy/compose.yaml -f deploy/compose.flink.yaml
# Of `make fuzz`: how many files.
FILES ?= 10000

# Beam downloads Prism, its local streaming engine, at the first run; where it lies ready, it is
# taken from there.
ifneq ($(wildcard ../shared/tools/prism),)
export QUORUM_PRISM ?= $(abspath ../shared/tools/prism)
endif
# A Flink cluster of this machine, for its tests and benchmarks.
ifneq ($(wildcard ../shared/tools/flink),)
export QUORUM_FLINK ?= $(abspath ../shared/tools/flink)
endif
export HF_HUB_OFFLINE = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo console test test-long check smoke flink pages soak fuzz bench lock papers clean

help: ## Show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

PIP_INSTALL = $(BIN)/python -m pip install --quiet $(PIP_OPTIONS) -c requirements.lock

$(BIN)/quorum: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Quorum needs Python 3.11 or newer; give one: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e ".[$(EXTRAS)]"
	@touch $(BIN)/quorum

$(VENV)/dev: $(BIN)/quorum
	$(PIP_INSTALL) -e ".[dev]"
	@touch $(VENV)/dev

setup: $(VENV)/dev ## Make a virtual environment with all that tests and development need

demo: $(BIN)/quorum ## Watch shipped uploads become verdicts
	$(BIN)/quorum demo

console: $(BIN)/quorum ## Look at the reviewers' console with a few hundred made-up cases
	$(BIN)/quorum console --demo

flink: ## Watch the shipped uploads become verdicts on a small Flink cluster (needs Docker)
	@docker compose version > /dev/null 2>&1 || { echo "make flink needs Docker with Compose:" \
		"https://docs.docker.com/compose/install/; without it, start a cluster by hand: docs/flink.md"; exit 69; }
	docker compose $(FLINK_FILES) up --build --detach publish watch
	docker compose $(FLINK_FILES) logs --follow --no-log-prefix publish watch
	@echo "It runs on: http://127.0.0.1:8081. To end it: docker compose $(FLINK_FILES) down --volumes"

test: setup ## Run the tests; what this machine lacks is skipped with a reason
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-long: setup ## Run the tests that take minutes each, too
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --long -m long

check: setup ## Lint, format, types, the import rule and current schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/quorum schemas --check

smoke: setup ## Run every benchmark, example and documented command at its smallest size
	$(BIN)/python -m benchmarks.smoke

pages: setup ## Follow every page of the docs in an empty folder, and compare what it prints
	$(BIN)/python -m benchmarks.pages

soak: setup ## Run the stream for an hour under faults, and check what was recorded (ENGINE=, SECONDS=, SEED=, SOAK=)
	$(BIN)/python -m benchmarks.soak --engine $(ENGINE) --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(SOAK)

fuzz: setup ## Read damaged media files, and look for faults (FILES=, SEED=)
	$(BIN)/python -m tests.models.media.fuzz --files $(FILES) $(if $(SEED),--seed $(SEED))

bench: setup ## Measure, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks.stream
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.decisions
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.web

lock: setup ## Compile requirements.lock and requirements.hashes anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	{ printf '%s\n' "# Digests of what requirements.lock pins, for builds that refuse anything else (Dockerfile," \
		"# REQUIRE_HASHES). Made by: make lock"; \
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-annotate --no-header -c requirements.lock pyproject.toml; } > requirements.hashes

papers: $(BIN)/quorum ## Write the bill of materials and the licences of what is installed to dist/papers
	sh deploy/papers.sh $(abspath $(BIN))/python dist/papers

clean: ## Remove the virtual environment and what was made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
