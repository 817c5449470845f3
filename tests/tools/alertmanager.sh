#!/usr/bin/env bash
# Brings a real Alertmanager from Debian's packages into the cache, without starting any service.
set -euo pipefail
cache=$1
assets=/usr/share/prometheus/alertmanager
if command -v prometheus-alertmanager >/dev/null && [ -e "$assets/default.tmpl" ]; then
    exit 0
fi
target=$cache/alertmanager
. "$(dirname "$0")/debian.sh"
bring alertmanager prometheus-alertmanager "$target" prometheus-alertmanager
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
