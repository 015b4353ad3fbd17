# All targets use $(VENV). `make help` lists the targets.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUTPUT ?= output/quickstart

# Make GNU's C library keep freed memory, which speeds up training on CPUs (docs/performance.md).
export MALLOC_MMAP_MAX_ ?= 0
export MALLOC_TRIM_THRESHOLD_ ?= 1099511627776

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-long coverage docs lint format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## create the virtual environment and install everything into it

# The stand-in for Detectron2 is only installed if there is no Detectron2. OpenCV's standard wheel
# needs libGL; on servers without it, the headless build of the same version replaces it.
$(INSTALLED): requirements.txt setup.py projects/detectron2_lite/setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install -r requirements.txt
	$(BIN)/python -c "import detectron2" 2>/dev/null || \
		$(BIN)/python -m pip install -e projects/detectron2_lite
	$(BIN)/python -m pip install -e .
	$(BIN)/python -c "import cv2" 2>/dev/null || { \
		version=$$(sed -n 's/^opencv-python==//p' requirements.txt); \
		$(BIN)/python -m pip uninstall -y opencv-python; \
		$(BIN)/python -m pip install "opencv-python-headless==$$version"; }
	touch $@

quickstart: $(INSTALLED)  ## compare source-only training with the recipe on generated street scenes
	$(BIN)/python projects/streets/experiment.py --output $(OUTPUT) --seeds 1 \
		--cells freeze_nothing_no_restyling full --train 200 --val 10 --targets 8 --set train.max_iter=350
	@echo "Table: $(OUTPUT)/table.md. Pictures: predictions.png, mean.png, looks.png beside it"

# One process per core.
test: $(INSTALLED)  ## run the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-long: $(INSTALLED)  ## run the slow tests: killed runs, exhausted resources, long runs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

coverage: $(INSTALLED)  ## run the test suite and list lines without coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --cov=langdg_d2 \
		--cov-report=term-missing:skip-covered

docs: $(INSTALLED)  ## build the site in output/site; broken links are errors
	$(BIN)/python -m pip install --quiet "mkdocs>=1.6,<2" "mkdocs-material>=9.5" mkdocs-same-dir \
		"mkdocstrings[python]>=0.26"
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build

lint: $(INSTALLED)  ## check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)  ## format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the virtual environment and all outputs
	rm -rf $(VENV) output
