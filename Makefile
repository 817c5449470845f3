# What the tests need is brought into a cache outside of this folder, at pinned versions.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

MEDEVAC_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/medevac
export MEDEVAC_CACHE

.PHONY: test test-cluster bench lint

# Unit and integration tests: a real Alertmanager, real nats-servers, no Kubernetes.
test:
	tests/tools/alertmanager.sh "$(MEDEVAC_CACHE)"
	tests/tools/nats.sh "$(MEDEVAC_CACHE)"
	cargo test --locked

# The tests that need a real control plane. Builds it once where it is not there.
test-cluster:
	tests/tools/cluster.sh "$(MEDEVAC_CACHE)"
	cargo test --locked --test cluster

# Ratios, measured side by side on this machine. Builds the release profile first.
bench:
	tests/tools/nats.sh "$(MEDEVAC_CACHE)"
	cargo bench --locked --bench webhook

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	tests/tools/deny.sh "$(MEDEVAC_CACHE)"
