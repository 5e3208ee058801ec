# The two commands that matter: `make demo` runs the main job, `make test` the tests.
# Everything is set up in .venv on first use; nothing is needed before either but Python 3.11 or
# newer, with its venv module (on Debian and Ubuntu: apt install python3-venv).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# PyPI's torch for Linux brings gigabytes of CUDA along. Where pip sees no CPU build of it:
#   make test INDEX="--extra-index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
INDEX ?=
SPANDREL ?= spandrel==0.4.2

ifeq ($(shell command -v $(PYTHON)),)
PYTHON := python3
endif

.PHONY: demo app test check proof results clean

demo: $(VENV)/.base
	@mkdir -p out
	@$(BIN)/enlarge samples/photo.jpg -o out/photo_x4.png --overwrite

app: $(VENV)/.app
	@$(BIN)/enlarge app

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

proof: $(VENV)/.dev
	$(BIN)/python -m benchmarks.proofs

results: $(VENV)/.dev
	$(BIN)/python -m benchmarks.results

$(VENV)/.base: pyproject.toml
	@$(PIP) --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || { \
	    $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=..."; exit 1; }; \
	    rm -rf $(VENV); $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }
	@echo "installing enlarge into $(VENV) (once, about 350 MB)"
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.app: $(VENV)/.base
	@echo "installing the web app into $(VENV) (once, about 450 MB)"
	@$(PIP) install --quiet --editable ".[app]"
	@touch $@

# torch is named first and by version, so that nothing else chooses it.
# spandrel, to compare networks with, comes alone: it asks for torchvision, whose wheels break beside
# the CPU build, and needs it for two of its networks only (benchmarks/others.py).
$(VENV)/.dev: $(VENV)/.base
	@echo "installing what the tests need into $(VENV) (once)"
	@$(PIP) install --quiet $(INDEX) "$(TORCH)"
	@$(PIP) install --quiet --editable ".[train,dev]"
	@$(PIP) install --quiet --no-deps "$(SPANDREL)"
	@touch $@

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
