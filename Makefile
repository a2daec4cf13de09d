# `make fit` and `make test` work on a machine that has Python 3.11, make and a C compiler, from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Tests start hundreds of processes, and none should compile the modules again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: fit test check fast lint install bench peers-env bench-peers bench-loops bench-sweep replay browser database pictures clean

# The main job on the embedded digits, report included.
fit: install
	$(BIN)/convsmith fit digits --macs 200k --minutes 2.5 --out runs/digits-$$(date +%Y%m%d-%H%M%S)

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# Lint, types, layers and the fast tests, side by side: what one runs all day.
check: install
	@$(MAKE) --no-print-directory --output-sync=target -j 2 lint fast

fast: install
	$(BIN)/python -m pytest -n 2 -m "not slow"

# Everything, as CI runs it.
test: browser database lint
	$(BIN)/python -m pytest -n 2

# Speed and acceptance figures, into benchmarks/results/.
bench: install database
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/arithmetic.py
	$(BIN)/python benchmarks/solver.py
	$(BIN)/python benchmarks/threads.py
	$(BIN)/python benchmarks/probe.py
	$(BIN)/python benchmarks/augment.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/cache.py
	$(BIN)/python benchmarks/large.py
	$(BIN)/python benchmarks/resume.py
	PYTHONPATH=. $(BIN)/python benchmarks/study.py

# The tools that count networks, with the torch that timm and torchvision need on x86-64; never part of the project.
peers-env: $(PEERS)/.installed

$(PEERS)/.installed:
	$(PYTHON) -m venv $(PEERS)
	echo '*' >$(PEERS)/.gitignore
	$(PEERS)/bin/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1 timm==1.0.31
	$(PEERS)/bin/python -m pip install --quiet fvcore==0.1.5.post20221221 thop==0.1.1.post2209072238 \
	  ptflops==0.7.5 torchinfo==1.8.0 calflops==0.3.2 transformers setuptools
	$(PEERS)/bin/python -m pip install --quiet --editable .
	touch $@

# The loops that people train with, in the same environment.
$(PEERS)/.loops: $(PEERS)/.installed
	$(PEERS)/bin/python -m pip install --quiet lightning==2.6.1 fastai==2.8.12
	touch $@

# How fast does each loop train, from JPEG files? FOLDER holds a folder of images per class.
bench-loops: $(PEERS)/.loops
	PYTHONPATH=. $(PEERS)/bin/python benchmarks/loops.py $(FOLDER)

# Does each convention give what its tool gives, and how long does each tool take? Minutes.
bench-peers: peers-env
	PYTHONPATH=. $(PEERS)/bin/python benchmarks/peers.py
	PYTHONPATH=. $(PEERS)/bin/python benchmarks/inspector.py

# Every network of timm and torchvision: is it read, and are the counts right? Half an hour.
bench-sweep: peers-env
	PYTHONPATH=. $(PEERS)/bin/python benchmarks/sweep.py

# Has a refactor left every zoo design's text and cost table as they were at the last commit?
replay: install
	$(BIN)/python benchmarks/replay.py HEAD

# The report is opened in a real browser: Debian's chromium, installed where that is allowed.
browser:
	@command -v chromium >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update && \
	  apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || \
	  { echo "make test opens reports in a browser: install Debian's package chromium, then try again"; exit 1; }

# Shared studies are tested in a real PostgreSQL: Debian's, installed where that is allowed; the tests start it.
database:
	@command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update && \
	  apt-get -qq install -y --no-install-recommends postgresql >/dev/null; } || \
	  { echo "make test starts a PostgreSQL server: install Debian's package postgresql, then try again"; exit 1; }

# The pictures of docs/studio.md and the golden regions of the page, anew. RUNS may hold finished runs fit, train, curves.
pictures: browser install
	$(BIN)/python -m tests.studio.pictures $(RUNS)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
