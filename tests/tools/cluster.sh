#!/usr/bin/env bash
# Brings what a real control plane needs into the cache and prints where it is: kube-apiserver,
# kube-controller-manager, kube-scheduler, etcd, kwok and helm. What KUBEBUILDER_ASSETS has is taken from there,
# the rest is built from Go modules at the versions that go.mod and go.sum pin (minutes, once).
set -euo pipefail
cache=$1
here=$(cd "$(dirname "$0")" && pwd)
kubernetes=1.36.3 etcd=3.6.8 kwok=0.8.0 helm=3.18.6
target=$cache/k8s-$kubernetes
mkdir -p "$target/bin" "$target/stages"

build() { # name, module folder, package, version flags
    local name=$1 module=$2 package=$3 flags=$4
    if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
        ln -sf "$KUBEBUILDER_ASSETS/$name" "$target/bin/$name"
    fi
    [ -x "$target/bin/$name" ] && return
    if ! command -v go >/dev/null; then
        echo "cluster: NOTHING WAS RUN. $name is missing: set KUBEBUILDER_ASSETS to a folder that has it, or install Go." >&2
        exit 1
    fi
    echo "cluster: building $name from $package" >&2
    (cd "$here/$module" && CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" GOWORK=off GOTOOLCHAIN=local \
        go build -p 2 -trimpath -ldflags "-s -w $flags" -o "$target/bin/$name.part" "$package")
    mv "$target/bin/$name.part" "$target/bin/$name"
}

version=""
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    version+=" -X $package.gitVersion=v$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=36 -X $package.gitTreeState=clean"
done
build etcd k8s go.etcd.io/etcd/server/v3 ""
for name in kube-apiserver kube-controller-manager kube-scheduler; do
    build "$name" k8s "k8s.io/kubernetes/cmd/$name" "$version"
done
build kwok kwok sigs.k8s.io/kwok/cmd/kwok "-X sigs.k8s.io/kwok/pkg/consts.Version=v$kwok"
build helm helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=v$helm"
if [ ! -e "$target/stages/node-initialize.yaml" ]; then
    source=$(cd "$here/kwok" && GOFLAGS=-mod=readonly GOTOOLCHAIN=local go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)
    install -m 644 "$source/kustomize/stage/node/fast/node-initialize.yaml" \
        "$source/kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml" \
        "$target/stages/"
fi
install -m 644 "$here/stages/pods.yaml" "$target/stages/pods.yaml"
echo "$target"
