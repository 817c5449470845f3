#!/usr/bin/env bash
# Renders the chart with the shipped packs into deploy/manifests, for whoever applies without Helm: deploy/render.sh HELM
set -euo pipefail
helm=${1:-helm}
cd "$(dirname "$0")/.."
files=()
for file in rules/*.yaml; do
    case $file in *_test.yaml) ;; *) files+=(--set-file "rules.$(basename "$file" .yaml)=$file") ;; esac
done
"$helm" template medevac deploy/chart --kube-version 1.36.0 --namespace medevac --set serviceMonitor.enabled=true "${files[@]}"
