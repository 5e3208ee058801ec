# `make demo` enlarges the sample photograph; `make test` runs the tests.
# Both set up .venv on first use. They need Python 3.11 or newer with its venv module (on Debian and
# Ubuntu: apt install python3-venv).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# PyPI's torch for Linux comes with gigabytes of CUDA. For the CPU build:
#   make test INDEX="--extra-index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
INDEX ?=
SPANDREL ?= spandrel==0.4.2

ifeq ($(shell command -v $(PYTHON)),)
PYTHON := python3
endif

.PHONY: demo app test check docs-check proof results clean

demo: $(VENV)/.base
	@mkdir -p out
	@$(BIN)/enlarge samples/photo.jpg -o out/photo_x4.png --overwrite

app: $(VENV)/.app
	@$(BIN)/enlarge app

# Most desktops have AVX2 and no bf16: the second run caps the instruction set at that.
CAPPED := OV_CPU_MAX_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX2

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal
	$(CAPPED) $(BIN)/python -m pytest -n 2 --dist worksteal tests/engines tests/picture \
	    tests/test_upscaler.py tests/training/test_devices.py

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

# Runs the examples of README.md and docs/ as they are written.
docs-check: $(VENV)/.dev
	ENLARGE_DOCUMENTS=1 $(BIN)/python -m pytest -n 2 tests/documents

proof: $(VENV)/.dev
	$(BIN)/python -m benchmarks.proofs

results: $(VENV)/.dev
	$(BIN)/python -m benchmarks.results

$(VENV)/.base: pyproject.toml
	@$(PIP) --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || { \
	    $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than 3.11; use another one: make PYTHON=..."; exit 1; }; \
	    rm -rf $(VENV); $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }
	@echo "installing enlarge into $(VENV) (once, about 350 MB)"
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.app: $(VENV)/.base
	@echo "installing the web app into $(VENV) (once, about 450 MB)"
	@$(PIP) install --quiet --editable ".[app]"
	@touch $@

# torch is installed first, at a fixed version, so that no other package chooses the version.
# spandrel is installed without its dependencies: torchvision would replace torch, and what spandrel
# takes from it is in src/enlarge/weights/spandrel_networks.py.
$(VENV)/.dev: $(VENV)/.base
	@echo "installing the test dependencies into $(VENV) (once)"
	@$(PIP) install --quiet $(INDEX) "$(TORCH)"
	@$(PIP) install --quiet --editable ".[train,dev]"
	@$(PIP) install --quiet --no-deps "$(SPANDREL)"
	@touch $@

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
