# What the tests need is brought into a cache outside of this folder, at pinned versions.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

MEDEVAC_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/medevac
export MEDEVAC_CACHE

.PHONY: test test-simulations nightly test-cluster bench fuzz lint

# Unit and integration tests: a real Alertmanager and Prometheus, real nats-servers, moto for AWS, no Kubernetes.
test:
	tests/tools/alertmanager.sh "$(MEDEVAC_CACHE)"
	tests/tools/prometheus.sh "$(MEDEVAC_CACHE)"
	tests/tools/nats.sh "$(MEDEVAC_CACHE)"
	tests/tools/moto.sh "$(MEDEVAC_CACHE)"
	tests/tools/terraform.sh "$(MEDEVAC_CACHE)"
	cargo test --locked
	$(MAKE) test-simulations

# The simulator: every scenario, crashes at every call, random worlds, bugs on purpose. Three minutes on two cores.
test-simulations:
	cargo test --locked --profile simulation --features planted --test simulations

# The same with a hundred thousand random worlds.
nightly:
	MEDEVAC_SEEDS=100000 cargo test --locked --profile simulation --features planted --test simulations

# The tests that need a real control plane. Builds it once where it is not there.
test-cluster:
	tests/tools/cluster.sh "$(MEDEVAC_CACHE)"
	tests/tools/moto.sh "$(MEDEVAC_CACHE)"
	cargo test --locked --test cluster

# Ratios, measured side by side on this machine. Builds the release profile first.
bench:
	tests/tools/nats.sh "$(MEDEVAC_CACHE)"
	cargo bench --locked --bench rules
	tests/bench/eda.sh "$(MEDEVAC_CACHE)" "$$(tests/bench/program.sh rules)"
	cargo bench --locked --bench spot
	tests/tools/cluster.sh "$(MEDEVAC_CACHE)"
	tests/tools/moto.sh "$(MEDEVAC_CACHE)"
	cargo bench --locked --bench cordon
	cargo build --locked --release
	python3 tests/bench/agent.py "$${CARGO_TARGET_DIR:-target}/release/medevac"
	cargo bench --locked --bench simulation
	cargo bench --locked --bench webhook

# Whatever parses, under libFuzzer, a minute each.
fuzz:
	tests/tools/fuzz.sh "$(MEDEVAC_CACHE)" 60

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets --features planted -- -D warnings
	cargo clippy --locked -- -D warnings
	tests/tools/deny.sh "$(MEDEVAC_CACHE)"
