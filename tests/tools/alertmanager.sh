#!/usr/bin/env bash
# Brings a real Alertmanager from Debian's packages into the cache, without starting any service.
set -euo pipefail
cache=$1
assets=/usr/share/prometheus/alertmanager
if command -v prometheus-alertmanager >/dev/null && [ -e "$assets/default.tmpl" ]; then
    exit 0
fi
target=$cache/alertmanager
if [ ! -x "$target/usr/bin/prometheus-alertmanager" ]; then
    command -v apt-get >/dev/null || { echo "alertmanager: needs apt-get, or prometheus-alertmanager on the PATH" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    # Lists and archives of our own: needs no root and leaves the machine's as they are.
    apt=(apt-get -qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
    "${apt[@]}" update
    (cd "$work" && "${apt[@]}" download prometheus-alertmanager)
    rm -rf "$target.part" && mkdir -p "$target.part"
    dpkg -x "$work"/prometheus-alertmanager_*.deb "$target.part"
    rm -rf "$target" && mv "$target.part" "$target"
    echo "alertmanager: $("$target/usr/bin/prometheus-alertmanager" --version 2>&1 | head -n 1)"
fi
# Debian's build reads its template from this fixed place.
if [ ! -e "$assets/default.tmpl" ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p /usr/share/prometheus
        cp -r "$target$assets" /usr/share/prometheus/
    else
        echo "alertmanager: Debian's build needs $assets; run: sudo apt-get install prometheus-alertmanager" >&2
        exit 1
    fi
fi
