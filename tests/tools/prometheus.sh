#!/usr/bin/env bash
# Brings a real Prometheus and promtool from Debian's packages into the cache, without starting any service.
set -euo pipefail
cache=$1
target=$cache/prometheus
if [ -x "$target/usr/bin/prometheus" ] && [ -x "$target/usr/bin/promtool" ]; then
    exit 0
fi
command -v apt-get >/dev/null || { echo "prometheus: needs apt-get, or prometheus and promtool in $target/usr/bin" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial"
apt=(apt-get -qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download prometheus)
rm -rf "$target.part" && mkdir -p "$target.part"
dpkg -x "$work"/prometheus_*.deb "$target.part"
rm -rf "$target" && mv "$target.part" "$target"
echo "prometheus: $("$target/usr/bin/prometheus" --version 2>&1 | head -n 1)"
