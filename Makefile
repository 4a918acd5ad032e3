# Cloister. `make` shows the targets; `make run` and `make test` need nothing prepared.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
# Stages are told in order, and a port or a Python tree is for one of them at a time.
.NOTPARALLEL:

PYTHON ?= python3
export PYTHON
# With GATEWAY_OPTIONS=--no-auth the gateway serves other addresses than loopback ones, to everyone.
GATEWAY_OPTIONS ?=
# Such as --rounds 5, or --help.
BENCH_OPTIONS ?=
# Such as --json, --jobs 50, or --help.
SPEC_OPTIONS ?=
# Such as --nodes 10 --table steady, or --help.
SCALE_OPTIONS ?=
# Such as --only programs, --minutes 20, or --help.
COMPAT_OPTIONS ?=
# Such as -k policy, or any other option of pytest.
CLUSTER_OPTIONS ?=
# Such as --layer 4 --seconds 300 --kill-every 60, or --help.
BALANCER_OPTIONS ?=
FUZZ_SECONDS ?= 20
LISTEN := $(or $(CLOISTER_LISTEN),127.0.0.1:8080)
TARGET := $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
VENV := $(TARGET)/test-venv
# kubectl and schemas: large, and asked for by the tests of the manifests alone.
KUBERNETES_VENV := $(TARGET)/kubernetes-venv
RUNTIME := $(or $(CLOISTER_RUNTIME),/var/lib/cloister/python)
# What scripts of the tests import beside it; other users than root have to see it, wherever the checkout lies.
PACKAGES := $(or $(CLOISTER_SCIENTIFIC),/var/lib/cloister/test-packages)
CARGO_OPTIONS := --locked --target-dir $(TARGET)
# Everything is run once, and what fails has failed.
PYTEST := $(VENV)/bin/python -B -m pytest -q -o cache_dir=$(abspath $(TARGET))/pytest-cache
# Files side by side: each service has names, ids and ports of its own, and waits for most of its time.
SUITE := $(PYTEST) --numprocesses 2 --dist loadfile supervisor/suite
# Of the suite what is about the daemons, their sockets and the policy file, however interpreters are started.
EITHER_WAY := escape/test_engine.py page gateway jupyter runtimes spec policy/test_check.py policy/test_learn.py warm/test_everywhere.py warm/test_sets.py warm/test_started.py warm/test_warm_is_cold.py \
	$(addprefix tools/test_,call_attacks.py clock.py connect.py http2.py returns.py tenants.py) \
	$(addprefix contract/test_,http.py manuals.py request.py stream.py) \
	$(addprefix sessions/test_,cell_accounts.py cell_calls.py export.py nodes.py session_ends.py session_files.py turns.py) \
	$(addprefix faults/test_,canary.py doctor.py gateway.py going.py overload.py reader.py reload.py two_supervisors.py unread.py)

.PHONY: help run test build leave-out runtime runtime-science runtime-table runtime-python313 test-runtimes doctor lint audit unit fuzz manifests test-chart test-scaling suite bench soak spec scale compat test-balancer test-examples deb image test-vm test-vm-ci test-vm-images clean root tools test-tools vm-tools test-packages test-cluster

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

run: root runtime build ## Build, prepare Python, start both daemons, serve 127.0.0.1:8080 (CLOISTER_LISTEN)
	@exec $(PYTHON) supervisor/runtime/serve.py --bin $(TARGET)/release --policy policy/policy.toml --listen $(LISTEN) -- $(GATEWAY_OPTIONS)

test: root test-tools lint unit fuzz manifests suite test-examples ## Install what the tests need, then run them all
	@echo "== all passed"

build: tools ## Build the programs
	@echo "== build"
	cargo build --release --workspace $(CARGO_OPTIONS)

leave-out: tools
	@echo "== build of what can leave out layers, for tests of the canary"
	# The whole workspace, so that what `make unit` has built is taken: a choice of crates would have others of their features.
	cargo build --workspace --features cloister-command/leave-out,cloister-zygote/leave-out $(CARGO_OPTIONS)
	mkdir -p $(TARGET)/leave-out
	# What has not changed since is the same file by another name, which nothing can be moved onto.
	rm -f $(TARGET)/leave-out/*
	mv $(addprefix $(TARGET)/debug/,cloister libcloister_zygote.so) $(TARGET)/leave-out/

runtime: root ## Prepare the Python that sandboxes see, with numpy, pandas, matplotlib and what else is expected everywhere
	@echo "== Python for the sandboxes"
	$(PYTHON) supervisor/runtime/build.py

runtime-science: root runtime build ## Prepare the packages of a second profile, science: scipy, scikit-learn, polars and others
	@echo "== packages of the profile science"
	$(PYTHON) -B supervisor/runtime/science.py $(TARGET)/release policy/policy.toml

runtime-table: root runtime build ## Try the packages that people ask for, and write into docs/runtimes.md what can be kept warm
	@echo "== what can be kept warm"
	$(PYTHON) -B supervisor/runtime/tried.py $(TARGET)/release policy/policy.toml

runtime-python313: root ## Prepare a second Python, that of Debian 13, beside the first (docs/deploy.md)
	@echo "== Python 3.13 for the sandboxes"
	$(PYTHON) -B supervisor/runtime/other_python.py trixie 3.13 $(RUNTIME)313

test-runtimes: root test-tools test-packages runtime runtime-python313 build leave-out ## Run the tests of isolation and warmth with a second Python, and with packages
	@export CLOISTER_LEAVE_OUT=$(TARGET)/leave-out CLOISTER_BIN=$(TARGET)/release
	echo "== the suite with Python 3.13"
	CLOISTER_RUNTIME=$(RUNTIME)313 $(SUITE)/escape supervisor/suite/warm supervisor/suite/cases
	echo "== an image with Python 3.13"
	CLOISTER_RUNTIME=$(RUNTIME)313 $(PYTEST) image/tests/test_archive.py
	echo "== the tests of isolation in children of zygotes that came to be by use"
	CLOISTER_GROWN=1 $(SUITE)/escape
	echo "== the tests of isolation with the packages of the profile science"
	$(PYTHON) -B supervisor/runtime/science.py $(TARGET)/release policy/policy.toml $(abspath $(TARGET))/science.toml
	CLOISTER_POLICY=$(abspath $(TARGET))/science.toml $(SUITE)/escape

doctor: root runtime build ## Show which layers of the sandbox this machine has and which hold
	@$(TARGET)/release/cloister doctor --policy policy/policy.toml

lint: test-tools ## Check format, lints, and the plan of the house
	@echo "== format and lints"
	cargo fmt --all --check
	cargo fmt --check --manifest-path supervisor/suite/echo/Cargo.toml
	$(VENV)/bin/python -B supervisor/runtime/house.py
	cargo clippy --workspace --all-targets $(CARGO_OPTIONS) -- -D warnings

audit: ## Check the dependencies' licences, sources and known vulnerabilities (cargo install cargo-deny)
	cargo deny --locked check

unit: tools ## Run the tests that need no daemon
	@echo "== unit tests"
	cargo test --workspace $(CARGO_OPTIONS)

fuzz: test-tools ## Fuzz what reads strangers' bytes, each parser for FUZZ_SECONDS (20)
	@echo "== fuzz"
	supervisor/runtime/fuzz.sh $(TARGET) $(FUZZ_SECONDS)

manifests: build ## Check the manifests of pods by the API's schemas and by what the documents promise
	@echo "== manifests"
	$(PYTHON) supervisor/runtime/test_tools.py $(KUBERNETES_VENV) requirements-kubernetes.txt
	CLOISTER_BIN=$(TARGET)/release $(KUBERNETES_VENV)/bin/python -B -m pytest -q kubernetes/tests/test_manifests.py supervisor/bench/tests

test-chart: build ## Compare what Helm makes of the chart with what kubectl makes of the overlays
	$(PYTHON) supervisor/runtime/test_tools.py $(TARGET)/chart-venv requirements-chart.txt
	CLOISTER_BIN=$(TARGET)/release $(TARGET)/chart-venv/bin/python -B -m pytest -q kubernetes/tests/test_chart.py

test-scaling: root test-tools runtime build ## Ask a real Prometheus what docs/deploy.md has scalers ask it
	$(PYTHON) supervisor/runtime/test_tools.py $(VENV) requirements-test.txt prometheus
	CLOISTER_BIN=$(TARGET)/release $(VENV)/bin/python -B -m pytest -q kubernetes/scaling

suite: root test-tools test-packages runtime build leave-out ## Run the black-box suite against the real daemons
	@echo "== the runner and its parts, the Python tree, starting and stopping"
	CLOISTER_BIN=$(TARGET)/release $(PYTEST) supervisor/python/tests supervisor/runtime/tests
	echo "== the images, loaded and run with podman"
	CLOISTER_BIN=$(TARGET)/release CLOISTER_RUNTIME=$(RUNTIME) $(PYTEST) image/tests
	echo "== the policy's schema, by validators of others"
	CLOISTER_BIN=$(TARGET)/release $(PYTEST) policy/tests
	echo "== the black-box suite, with warm interpreters as shipped"
	export CLOISTER_LEAVE_OUT=$(TARGET)/leave-out
	CLOISTER_BIN=$(TARGET)/release $(SUITE)
	echo "== the black-box suite, with cold starts: what does not depend on how a job began has run above"
	CLOISTER_COLD=1 CLOISTER_BIN=$(TARGET)/release $(SUITE) $(addprefix --ignore supervisor/suite/,$(EITHER_WAY))
	echo "== what holds of jobs, of cells of sessions"
	CLOISTER_CELLS=1 CLOISTER_BIN=$(TARGET)/release $(SUITE)/escape $(addprefix supervisor/suite/,limits leftovers)
	echo "== what of the black-box suite is so with every runtime, with one that is not Python"
	CLOISTER_TONGUE=supervisor/suite/echo CLOISTER_BIN=$(TARGET)/release $(SUITE) -m neutral

# Frameworks: large, and of these tests alone.
test-examples: root runtime build ## Run the examples: real frameworks, scripted models, the real daemons
	@echo "== examples"
	$(PYTHON) supervisor/runtime/test_tools.py $(TARGET)/examples-venv $(abspath examples/requirements.txt)
	CLOISTER_BIN=$(TARGET)/release $(TARGET)/examples-venv/bin/python -B -m pytest -q -o cache_dir=$(abspath $(TARGET))/pytest-cache examples/tests

# Pictures, models, workbooks and the mix of imports take packages that the other parts do not.
bench: root runtime build $(if $(findstring --without-used,$(BENCH_OPTIONS)),,test-packages) ## Measure warm and cold jobs beside bare forks and the predecessor's way (BENCH_OPTIONS)
	@echo "== bench"
	$(PYTHON) supervisor/runtime/test_tools.py $(TARGET)/bench-venv requirements-bench.txt wrk
	CLOISTER_BIN=$(TARGET)/release $(TARGET)/bench-venv/bin/python -B supervisor/bench/bench.py --out $(TARGET)/bench $(BENCH_OPTIONS)

soak: root runtime build ## Run 20,000 cells in 50 sessions with failures of each kind, and see that nothing is left (SOAK_OPTIONS)
	@echo "== soak"
	$(PYTHON) supervisor/runtime/test_tools.py $(TARGET)/bench-venv requirements-bench.txt
	CLOISTER_BIN=$(TARGET)/release $(TARGET)/bench-venv/bin/python -B supervisor/bench/soak.py $(SOAK_OPTIONS)

spec: root test-tools runtime build ## Count what a job costs each part, warm, cold and started (SPEC_OPTIONS)
	@echo "== spec"
	CLOISTER_BIN=$(TARGET)/release $(VENV)/bin/python -B supervisor/bench/spec.py $(SPEC_OPTIONS)

scale: ## Simulate 10, 100 and 1,000 nodes from what jobs cost, and print the tables of docs/scale.md (SCALE_OPTIONS)
	@$(PYTHON) -B supervisor/bench/scale.py $(SCALE_OPTIONS)

compat: root test-tools runtime build ## Run Python's tests, numpy's and real programs in the sandbox and outside (COMPAT_OPTIONS)
	@echo "== compat"
	$(PYTHON) supervisor/compat/tree.py $(RUNTIME) $(TARGET)/compat/tree
	CLOISTER_BIN=$(TARGET)/release $(VENV)/bin/python -B supervisor/compat/run.py --tree $(TARGET)/compat/tree --out $(TARGET)/compat $(COMPAT_OPTIONS)

test-balancer: root tools runtime build ## Count what is lost behind HAProxy while nodes restart and die (BALANCER_OPTIONS)
	@echo "== balancer"
	$(PYTHON) supervisor/runtime/test_tools.py $(VENV) requirements-test.txt haproxy ip=iproute2 nsenter=util-linux
	CLOISTER_BIN=$(TARGET)/release $(VENV)/bin/python -B supervisor/balancer/run.py $(BALANCER_OPTIONS)

test-cluster: image ## Run the pods on a real Kubernetes of three nodes, and count what is lost (CLUSTER_OPTIONS)
	@echo "== cluster"
	$(PYTHON) supervisor/runtime/test_tools.py $(TARGET)/chart-venv requirements-chart.txt
	CLOISTER_BIN=$(abspath $(TARGET)/release) $(TARGET)/chart-venv/bin/python -B kubernetes/cluster/run.py $(TARGET)/image $(CLUSTER_OPTIONS)

deb: root runtime build ## Build a Debian package of it all, with the Python tree in it
	@echo "== Debian package"
	systemd/debian/build.sh $(TARGET)/release $(RUNTIME) $(TARGET)/deb

image: root runtime build ## Build container images of it all, as OCI archives with bills of materials (docs/deploy.md)
	@echo "== images"
	$(PYTHON) -B image/build.py $(TARGET)/release $(RUNTIME) $(TARGET)/image

# What building a package, a Debian and a virtual machine takes: programs, and their packages where these are named otherwise.
VM_PROGRAMS := dh=debhelper lintian mmdebstrap qemu-system-x86_64=qemu-system-x86 qemu-img=qemu-utils mke2fs=e2fsprogs ssh=openssh-client

test-vm: vm-tools deb ## Install the package in a virtual Debian (CLOISTER_VM_RELEASE=12 or 13) and test it
	@$(VM_TEST)

test-vm-ci: vm-tools deb ## The part of it that proves the most in a quarter of an hour
	@$(VM_TEST) -m essential

test-vm-images: vm-tools image ## Run the images with podman and crun in a virtual Debian 13
	@echo "== the images in a virtual machine"
	CLOISTER_IMAGES=$(TARGET)/image CLOISTER_TEST_PACKAGES=$$(echo $(VENV)/lib/python3*/site-packages) $(VENV)/bin/python -B -m pytest -q -p no:cacheprovider -s image/machine

define VM_TEST
echo "== the package in a virtual machine"
export CLOISTER_DEB=$$(ls -t $(TARGET)/deb/*.deb | head -n 1) CLOISTER_TEST_PACKAGES=$$(echo $(VENV)/lib/python3*/site-packages)
$(VENV)/bin/python -B -m pytest -q -p no:cacheprovider -s systemd/vm
endef

vm-tools: root tools
	@echo "== test tools"
	$(PYTHON) supervisor/runtime/test_tools.py $(VENV) requirements-test.txt $(VM_PROGRAMS)

test-tools: tools
	@echo "== test tools"
	$(PYTHON) supervisor/runtime/test_tools.py $(VENV) requirements-test.txt 'chromium?' g++ haproxy podman runc

test-packages: root tools
	@$(PYTHON) supervisor/suite/packages/install.py $(PACKAGES)

clean: ## Remove what was built (not the Python tree in /var/lib/cloister)
	cargo clean --target-dir $(TARGET)
	rm -rf $(VENV) $(KUBERNETES_VENV)

# What the machine must have; `root` for what makes or runs sandboxes.
root:
	@supervisor/runtime/preflight.sh root

tools:
	@supervisor/runtime/preflight.sh
