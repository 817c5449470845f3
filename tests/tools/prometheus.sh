#!/usr/bin/env bash
# Brings a real Prometheus and promtool from Debian's packages into the cache, without starting any service.
set -euo pipefail
. "$(dirname "$0")/debian.sh"
bring prometheus prometheus "$1/prometheus" prometheus promtool
