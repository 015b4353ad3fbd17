# Everything happens in $(VENV). `make help` lists the targets.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUTPUT ?= output/quickstart

# GNU's C library keeps freed memory: a faster training step on CPUs, see docs/performance.md.
export MALLOC_MMAP_MAX_ ?= 0
export MALLOC_TRIM_THRESHOLD_ ?= 1099511627776

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-long coverage docs lint format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## create the virtual environment and install everything into it

# A real Detectron2 always wins: the stand-in is installed only where there is none. OpenCV's
# ordinary wheel needs libGL; where a server lacks it, the headless build of that version serves.
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

quickstart: $(INSTALLED)  ## street scenes: source-only training against the recipe on unseen looks
	$(BIN)/python projects/streets/experiment.py --output $(OUTPUT) --seeds 1 \
		--cells freeze_nothing_no_restyling full --train 200 --val 10 --targets 8 --set train.max_iter=350
	@echo "Table: $(OUTPUT)/table.md. Pictures: predictions.png, mean.png, looks.png beside it"

# A process on every core.
test: $(INSTALLED)  ## run the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test-long: $(INSTALLED)  ## run the tests that take minutes: trainings killed, starved, soaked
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

coverage: $(INSTALLED)  ## run the test suite and list the lines that no test runs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --cov=langdg_d2 \
		--cov-report=term-missing:skip-covered

docs: $(INSTALLED)  ## build the site into output/site; a broken link is an error
	$(BIN)/python -m pip install --quiet "mkdocs>=1.6,<2" "mkdocs-material>=9.5" mkdocs-same-dir \
		"mkdocstrings[python]>=0.26"
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build

lint: $(INSTALLED)  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)  ## format the code and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the virtual environment and all outputs
	rm -rf $(VENV) output
