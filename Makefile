# Main commands: `make demo` and `make test`. Both set up everything they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-postgres rolling chaos check setup lint lock clean contract notice sbom audit

demo: setup ## run every scenario on the embedded stack; ARGS=--keep leaves the stack running
	@$(BIN)/cart-encounter demo $(ARGS)

test: setup ## everything that CI runs
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

test-postgres: setup ## the whole suite with every database of the product on PostgreSQL
	@CART_TEST_DATABASE=postgresql $(BIN)/pytest -n 2 --dist loadfile $(ARGS)

rolling: setup ## 200 encounters while the release before and this one replace each other; ARGS="50 --of-each 1" for fewer
	@$(BIN)/python -m tests.stack.rolling $(ARGS)

check: setup ## lint, types, import contract, unit tests: under one minute
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -q -n 2 tests/domain tests/house tests/contract $(ARGS)

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

lock: ## requires uv; the lock file names no index
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet -c requirements.lock -o deploy/requirements.lock

contract: setup ## write docs/contract again from the models
	@$(BIN)/python -m app.tools.contract

chaos: setup ## seeded faults in lots, resumable (docs/reliability.md); SEED=, LOTS=1-22, ARGS=
	@$(BIN)/python -m tests.chaos.lots $(if $(SEED),--seed $(SEED)) $(if $(LOTS),--lots $(LOTS)) $(ARGS)

notice: setup ## write NOTICE again from the lock of the image
	@$(BIN)/python -m deploy.supply_chain.notice

sbom: setup ## write the bill of materials (CycloneDX) to dist/
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m deploy.supply_chain.sbom

audit: setup ## known advisories of the locked packages; needs a network. 0 none, 1 some, 3 the service did not answer
	@$(BIN)/python -m deploy.supply_chain.audit

clean:
	rm -rf $(VENV) data build .mypy_cache .ruff_cache .pytest_cache .hypothesis
