# `make demo`: set up, run the whole pipeline on the demo dataset, print the results.
# `make demo-full`: on twice as many videos, of six subjects; `make demo-intensity`: continuous intensity on these.
# `make docs`: the documentation as a site, results/site/index.html.
# `make test`: set up, check the style, the types and the workflow, run the tests; `make test-all`: the slow ones too.
PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
# One thread per process, the tests of a file in one process: it makes what they share once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(CORES) --dist loadfile

.PHONY: demo demo-full demo-intensity docs test test-all check clean

demo: .venv/ready
	@$(BIN)/pfes run config/demo.yaml --cores $(CORES)
	@$(BIN)/pfes summary results/demo

demo-full: .venv/ready
	@$(BIN)/pfes run config/demo.yaml config/demo_full.yaml --cores $(CORES)
	@$(BIN)/pfes summary results/demo_full

demo-intensity: .venv/ready
	@$(BIN)/pfes run config/demo.yaml config/demo_full.yaml config/demo_intensity.yaml --cores $(CORES)
	@$(BIN)/pfes summary results/demo_full --intensity

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: check
	$(PYTEST) -m "not slow"

test-all: check
	$(PYTEST)

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules workflow/Snakefile
	$(BIN)/mypy
	$(BIN)/snakemake --configfile config/demo.yaml --lint

.venv/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "pfes: Python 3.11 is missing; install it with: apt-get install python3.11 python3.11-venv"; exit 1; }
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || { echo "pfes: the venv module is missing; install it with: apt-get install python3.11-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m pfes.commands.doctor >/dev/null 2>.venv/doctor.log || { tail -n 1 .venv/doctor.log; exit 1; }
	@touch $@

clean:
	rm -rf .venv .snakemake results
