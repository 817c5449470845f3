#!/usr/bin/env bash
# Brings what `terraform validate` needs where Terraform's own registry cannot be reached: the schemas of AWS's provider, as
# they are published for CDK for Terraform, and gRPC for the stand-in that serves them. From npm, at pinned versions.
set -euo pipefail
schemas=@cdktf/provider-aws@21.22.1
target=$1/terraform-aws-21.22.1
if [ -d "$target" ]; then
    exit 0
fi
if ! command -v terraform >/dev/null; then
    exit 0 # There is nobody to ask.
fi
if ! command -v npm >/dev/null; then
    echo "terraform: needs npm for the schemas of AWS's provider, or the registry of Terraform" >&2
    exit 0
fi
rm -rf "$target.part" && mkdir -p "$target.part"
if ! (
    cd "$target.part" &&
        npm pack --silent "$schemas" >/dev/null &&
        npm install --silent --no-audit --no-fund --no-save --ignore-scripts @grpc/grpc-js@1.14.7 @grpc/proto-loader@0.8.1 >/dev/null &&
        tar xzf ./*.tgz && rm ./*.tgz
); then
    rm -rf "$target.part"
    echo "terraform: npm does not bring $schemas: the module is not validated" >&2
    exit 0
fi
mv "$target.part" "$target"
echo "terraform: $schemas"
