# The two commands: `make run` makes the first picture, `make test` runs the checks and most tests. Both set everything up themselves.
.PHONY: lock run test test-tools check slow nightly mutants texts bench soak setup clean
PYTHON ?= python3
VENV := .venv
# Where this is set, each of hundreds of test processes compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE
BACKEND ?= auto
# As many test processes as processors; each starts servers, so many of them need memory.
WORKERS ?= logical --maxprocesses 6

setup:
	@./install.sh --quiet --backend $(BACKEND) --extras test,clients,pam,video,download,mcp,cluster,c2pa,oidc

run: setup
	@$(VENV)/bin/python -m sdrest.cli.first_run $(ARGS)

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: check
	$(VENV)/bin/python -m pytest -m "not slow and not nightly" -n $(WORKERS) --dist worksteal $(ARGS)

# Browsers, other people's clients, and what takes long; CI runs these before every change too.
slow: setup
	$(VENV)/bin/python -m pytest -m "slow and not nightly" -n $(WORKERS) --dist worksteal $(ARGS)

# What some tests need of the machine (a browser, programs from npm); the end of a test run says what is missing.
test-tools:
	tests/install_tools.sh

nightly: setup
	$(VENV)/bin/python -m pytest -m nightly $(ARGS)

# How many of the small changes to the queue, the channel and the readers of model files the unit tests notice; about half an hour, and it
# goes on where it was stopped. -S: without it, tests would find the installed package, not its mutants.
mutants: setup
	$(VENV)/bin/python -m pip install --quiet mutmut==3.8.1
	packages=$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	    PYTHONPATH=$$packages $(VENV)/bin/python -S -m mutmut run $(ARGS) && PYTHONPATH=$$packages $(VENV)/bin/python -S -m mutmut results

# The texts of the pages into the catalogues of all languages; new ones are left empty, to be translated.
texts: setup
	$(VENV)/bin/python -m babel.messages.frontend --quiet extract --mapping pyproject.toml --add-location file --sort-output --omit-header \
	    --width 132 --output build/pages.pot .
	$(VENV)/bin/python -m babel.messages.frontend --quiet update --domain pages --input-file build/pages.pot --output-dir translations \
	    --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 132

bench: setup
	$(VENV)/bin/python -m benchmarks $(ARGS)

soak: setup
	$(VENV)/bin/python -m benchmarks --soak $(ARGS)

clean:
	rm -rf $(VENV) build mutants .make .mypy_cache .ruff_cache .pytest_cache

# The versions that are installed by `make`; run after a change of the dependencies (needs uv).
lock:
	uv pip compile --quiet --universal --all-extras --no-annotate --no-header --no-emit-package stable-diffusion-cpp-python \
	    --output-file requirements.lock pyproject.toml
