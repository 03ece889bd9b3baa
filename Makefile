# Every target works on a fresh clone: it creates .venv, installs what it needs and runs.
# PYTHON chooses the interpreter that .venv is made with; `make clean` first to change it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
INSTALLING := $(VENV)/installing
PROTOS := $(sort $(shell find protos -name '*.proto'))
PROTO_OUT := protos
OTHER_PROTOS := $(sort $(shell find server -name '*.proto'))
OTHER_PROTO_OUT := server
PRIVATE_POOL := rankserve_server.protocols.messages import private_pool
PEERS := triton mlserver kserve ray
CLIENTS := tritonclient kserve pytriton tensorflow_serving
# Beside the default of 50051, so that the demo does not meet a server that is already running.
DEMO_PORT ?= 50061
DESCRIPTORS ?= build/rankserve.pb
SOAK_CALLS ?= 1000000
TEST_PROCESSES ?= 2

.PHONY: help setup lock data demo test peers ray browser soak reliability envoy check audit bench bench-peers format
.PHONY: protos descriptors docs clean

help:
	@echo "make demo     train on MovieLens 100K, serve, rank user 42's movies, stop"
	@echo "make test     the test suite, without what takes long"
	@echo "make peers    the tests with the client libraries of Triton, KServe, PyTriton and TF Serving (3 GB of environments)"
	@echo "make ray      the tests with clusters of Ray, on this machine"
	@echo "make browser  the playground in Chromium (Debian: chromium-driver); PICTURES=DIR keeps what it looks like"
	@echo "make soak     a million calls among rough clients; some minutes, fewer with SOAK_CALLS=100000"
	@echo "make reliability  the long tests of overload, faults, restarts and hostile clients; see tests/RELIABILITY.md"
	@echo "make envoy    the tests of three servers behind Envoy; two minutes"
	@echo "make check    format, lint, types, protos, stub freshness, dependency rule, lock, wheel, audit"
	@echo "make audit    known vulnerabilities of what is locked; also part of make check"
	@echo "make bench    the benchmarks; writes benchmarks/RESULTS.md (needs h2load)"
	@echo "make bench-peers  the same beside Triton, MLServer, KServe and Ray Serve (4 GB of environments)"
	@echo "make format   reformat the code"
	@echo "make protos   regenerate the stubs"
	@echo "make descriptors  write build/rankserve.pb, by which Envoy turns JSON into gRPC"
	@echo "make docs     write docs/api/ anew, from the protos, docstrings and commands"
	@echo "make lock     write requirements.lock anew, after a change of dependencies in pyproject.toml"
	@echo "make setup    only install what the others need, into .venv"
	@echo "make clean    remove the virtual environment and caches"

# $(INSTALLING) stands until all is installed. Where it is found, an earlier set-up was cut short, which pip can mistake
# for a complete one: then .venv is made anew. Renaming keeps the time at which set-up began, so that a later change of
# pyproject.toml counts. The lock has hashes of every release's files for every platform, and uv, which installs the rest,
# is among them; the checkout itself, which has none, is installed by what the lock has brought.
$(INSTALLED): pyproject.toml requirements.lock client/rankserve_client/version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "rankserve needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV): some minutes and 3 GB with TensorFlow"
	@if [ -e $(INSTALLING) ]; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements.lock >$(INSTALLING)
	$(PYTHON) -m venv $(VENV)
	.ci/install $(BIN)/python --require-hashes --requirement $(INSTALLING)
	.ci/install $(BIN)/python --require-hashes --requirement requirements.lock
	.ci/install $(BIN)/python --no-deps --no-build-isolation --editable .
	@mv $(INSTALLING) $@

setup: $(INSTALLED)

# Keeps the versions that are locked where pyproject.toml still allows them; without the file, all become the newest. One
# version of each for every Python, so that it is the one that the tests ran with.
lock: $(INSTALLED)
	$(BIN)/uv --no-config pip compile --quiet pyproject.toml --extra server --extra training --extra dev --universal \
		--fork-strategy fewest \
		--python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' \
		--output-file requirements.lock
	$(BIN)/uv --no-config pip compile --quiet pyproject.toml --extra server --extra tracing --universal \
		--constraint requirements.lock \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		--output-file deploy/container/requirements.lock
	$(BIN)/uv --no-config pip compile --quiet deploy/container/build.in --universal --constraint requirements.lock \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		--output-file deploy/container/build.lock

# The tests read MovieLens from disk; after set-up this is the one step that needs the network.
data: $(INSTALLED)
	@$(BIN)/python -m rankserve_training.data

demo: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/demo.sh $(DEMO_PORT)

# Without tests/checks: `make check` runs those, and the one of the wheel needs the network. More processes would not be
# faster on two processors: the servers under test want them too.
test: data
	$(BIN)/python -m pytest --ignore=tests/checks --numprocesses=$(TEST_PROCESSES) --dist=worksteal

# The tests that are marked with it, and that `make test` leaves out: they install what others have published, each
# library beside the list of packages that its environment was made of.
peers: data $(CLIENTS:%=build/clients/%/installed.txt)
	$(BIN)/python -m pytest -m peers

build/clients/%/installed.txt: tests/integration/peers/environments/%.txt | $(INSTALLED)
	$(BIN)/python -m venv build/clients/$*
	.ci/install build/clients/$*/bin/python --requirement $<
	@cp $< $@

# The tests that are marked with it, and that `make test` leaves out. What was asked, and what failed, is printed.
ray: data
	$(BIN)/python -m pytest -m ray --capture=no

# A part of `make test`, which skips it where there is no Chromium.
browser: data
	@command -v chromium chromedriver >/dev/null || { echo "no Chromium; on Debian: apt install chromium-driver" >&2; exit 1; }
	$(BIN)/python -m pytest -m browser

# The tests that are marked with it, and that `make test` leaves out. What each phase has done is printed.
soak: data
	SOAK_CALLS=$(SOAK_CALLS) $(BIN)/python -m pytest -m soak --capture=no

# The other long tests. What was tried, and how often, is printed: of those that run side by side at the end.
reliability: data
	@status=0; \
	set -x; \
	$(BIN)/python -m pytest -m 'reliability and not alone' --numprocesses=$(TEST_PROCESSES) --dist=worksteal -rfEsP \
		--show-capture=stdout || status=1; \
	$(BIN)/python -m pytest -m 'reliability and alone' --capture=no || status=1; \
	exit $$status

# Likewise; with the Envoy that the extra `dev` brings. What was called, and what went on meanwhile, is printed.
envoy: $(INSTALLED)
	$(BIN)/python -m pytest -m envoy --capture=no

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/mypy benchmarks/*.py
	$(BIN)/mypy docs/api/*.py
	$(BIN)/buf lint protos
	$(BIN)/python -m pytest -q tests/checks
	$(BIN)/python .ci/audit.py

audit: $(INSTALLED)
	$(BIN)/python .ci/audit.py

# Trains the tutorial's model to measure with, apart from models/.
bench: $(INSTALLED) descriptors
	$(BIN)/rankserve train --preset tutorial --models-dir build/benchmark-models
	$(BIN)/python benchmarks/run.py build/benchmark-models

# Only this section, to stdout. An environment stands beside the list of packages that it was made of.
bench-peers: $(PEERS:%=build/peers/%/installed.txt)
	$(BIN)/rankserve train --preset tutorial --models-dir build/benchmark-models
	$(BIN)/python benchmarks/run.py build/benchmark-models peers

build/peers/%/installed.txt: benchmarks/peers/%.txt | $(INSTALLED)
	$(BIN)/python -m venv build/peers/$*
	.ci/install build/peers/$*/bin/python --requirement $<
	@cp $< $@

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The plugins are named because protoc looks for them on PATH, where .venv is not. tests/checks generates into another
# PROTO_OUT and OTHER_PROTO_OUT. The messages of other servers' protocols are registered in a pool of their own: see
# private_pool.py.
protos: $(INSTALLED)
	$(BIN)/python -m grpc_tools.protoc --proto_path=protos --python_out=$(PROTO_OUT) --grpc_python_out=$(PROTO_OUT) \
		--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --mypy_out=quiet:$(PROTO_OUT) \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc --mypy_grpc_out=quiet:$(PROTO_OUT) $(PROTOS)
	$(BIN)/python -m grpc_tools.protoc --proto_path=server --python_out=$(OTHER_PROTO_OUT) \
		--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --mypy_out=quiet:$(OTHER_PROTO_OUT) $(OTHER_PROTOS)
	sed -i -E 's/^from google.protobuf(.internal)? import (descriptor_pool|builder) as/from $(PRIVATE_POOL) as/' \
		$(OTHER_PROTOS:server/%.proto=$(OTHER_PROTO_OUT)/%_pb2.py)

# With what errors hold in their details, so that these come out as JSON too.
descriptors: $(INSTALLED)
	@mkdir -p $(dir $(DESCRIPTORS))
	@googleapis=$$($(BIN)/python -c 'from google.rpc import status_pb2; print(status_pb2.__file__.split("/google/rpc/")[0])') \
		&& $(BIN)/python -m grpc_tools.protoc --proto_path=protos --proto_path="$$googleapis" --include_imports \
		--descriptor_set_out=$(DESCRIPTORS) $(PROTOS) google/rpc/error_details.proto google/rpc/status.proto

docs: $(INSTALLED)
	$(BIN)/python docs/api/generate.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
