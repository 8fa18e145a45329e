# Each target makes its own virtual environment in .venv: only Python 3.11+ and git are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := examples/endpoint_only
# One worker more than CI has cores: tests of networks wait for timeouts. A file's tests share a lab, and a worker.
TESTS := -m pytest -n 3 --dist loadfile

# Compiled modules are kept: without them every process that a test starts compiles the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint types cover wheel bench soak clean

$(VENV)/.made: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.made  ## the example against the embedded lab: the access matrix, with every claim proven
	cd $(DEMO) && $(CURDIR)/$(BIN)/python -m pytest -p no:cacheprovider --s3vpce-lab

test: $(VENV)/.made  ## all tests
	$(BIN)/python $(TESTS)

check: lint types cover wheel demo  ## what CI runs

lint: $(VENV)/.made
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .

types: $(VENV)/.made
	$(BIN)/python -m mypy

cover: $(VENV)/.made  ## all tests with branch coverage, and its limits
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run $(TESTS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=95
	$(BIN)/python -m coverage report --fail-under=100 \
	  --include='pytest_s3vpce/policy/*,pytest_s3vpce/outcome.py,pytest_s3vpce/vantage/agent.py'

wheel: $(VENV)/.made  ## the built wheel in a clean environment, away from the checkout
	$(BIN)/python tests/wheel_check.py

bench: $(VENV)/.made  ## ratios of medians, side by side in one run
	$(BIN)/python -m tests.bench

soak: $(VENV)/.made  ## long loads, full random counts, kill tests
	S3VPCE_SOAK=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/unit/test_random_worlds.py tests/unit/test_policy_properties.py \
	  tests/unit/test_policy_second.py tests/unit/test_policy_matrix.py tests/unit/test_predict_random.py \
	  tests/unit/test_predict_doubt.py tests/unit/test_snapshot_rights.py \
	  tests/unit/test_lab_server.py tests/unit/test_lab_requests_odd.py tests/conformance tests/acceptance tests/plugin

clean:
	rm -rf $(VENV) dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache
