# Two commands do everything on a machine with Python 3.11+, pip, git and make:
#   make demo    a real run of the main job against an embedded S3 server
#   make test    lint, types, layers and every test that CI runs
# Both make .venv from the committed uv.lock; nothing is installed outside this folder.

PYTHON ?= python3
UV_VERSION := 0.13.9
TOOLS := .tools
UV := $(TOOLS)/bin/uv
RUN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(shell command -v $(PYTHON))
export UV_PROJECT_ENVIRONMENT := .venv
PYTEST_ARGS ?=

.PHONY: demo test lint format check coverage slow bench bench-smoke audit sbom lock clean

demo: .venv/.demo
	$(RUN)/brigade demo

test: .venv/.dev .venv-servers/.ready lint
	$(RUN)/pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: .venv/.dev
	$(RUN)/ruff check src tests
	$(RUN)/ruff format --check src tests
	$(RUN)/mypy
	$(RUN)/lint-imports

format: .venv/.dev
	$(RUN)/ruff check --fix src tests
	$(RUN)/ruff format src tests

slow: .venv/.dev .venv-servers/.ready
	$(RUN)/pytest --slow $(PYTEST_ARGS)

coverage: .venv/.dev .venv-servers/.ready
	$(RUN)/pytest --cov --cov-branch --cov-report=term-missing $(PYTEST_ARGS)

# brigade and its peers on the same work (an hour, an idle machine); bench-smoke: the same harness in a minute or two.
bench: .venv/.demo .bench/.ready
	.bench/bin/python benchmarks/check_null_s3.py
	.bench/bin/python benchmarks/run.py --scale full $(BENCH_ARGS)

bench-smoke: .venv/.demo .bench/.ready
	.bench/bin/python benchmarks/check_null_s3.py
	.bench/bin/python benchmarks/run.py --scale smoke --rounds 1 --peers brigade,s5cmd,rclone,obstore,crt $(BENCH_ARGS)

# Known vulnerabilities of everything that users install (asks PyPI), and the list of it as CycloneDX. Fails where nobody answers.
audit: build/requirements.txt .audit/.ready
	.audit/bin/python .ci/audit/check.py build/requirements.txt build/audit.json

sbom: build/sbom.cdx.json

lock: $(UV)
	$(UV) lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --output-file benchmarks/requirements.txt benchmarks/requirements.in
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --output-file tests/servers/requirements.lock tests/servers/requirements.in
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --output-file .ci/audit/requirements.lock .ci/audit/requirements.in

clean:
	rm -rf .venv .venv-servers .bench .audit $(TOOLS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(TOOLS) uv==$(UV_VERSION)

# MiniStack pins another botocore than aioboto3: an environment of its own, used only to run it as a server.
.venv-servers/.ready: tests/servers/requirements.lock | $(UV)
	$(UV) venv --quiet --clear .venv-servers
	$(UV) pip install --quiet --python .venv-servers --require-hashes -r tests/servers/requirements.lock
	@touch $@

.bench/.ready: benchmarks/requirements.txt benchmarks/install_nginx.sh | $(UV)
	sh benchmarks/install_nginx.sh
	$(UV) venv --quiet --clear .bench
	$(UV) pip install --quiet --python .bench --require-hashes -r benchmarks/requirements.txt
	@touch $@

.venv/.demo: uv.lock pyproject.toml | $(UV)
	$(UV) sync --quiet --frozen --inexact --no-default-groups --extra demo
	@touch $@

.venv/.dev: uv.lock pyproject.toml | $(UV)
	$(UV) sync --quiet --frozen --inexact --extra demo
	@touch $@

build/requirements.txt: uv.lock pyproject.toml | $(UV)
	@mkdir -p build
	$(UV) export --quiet --frozen --no-default-groups --all-extras --no-emit-project --output-file $@

build/sbom.cdx.json: uv.lock pyproject.toml | $(UV)
	@mkdir -p build
	$(UV) export --quiet --frozen --no-default-groups --format cyclonedx1.5 --output-file $@
	@echo "wrote $@"

.audit/.ready: .ci/audit/requirements.lock | $(UV)
	$(UV) venv --quiet --clear .audit
	$(UV) pip install --quiet --python .audit --require-hashes -r .ci/audit/requirements.lock
	@touch $@
