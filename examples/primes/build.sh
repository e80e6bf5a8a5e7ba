#!/bin/sh
# build.sh ARCHIVE: the image, from scratch, as `docker save` would write it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/layer/bin" "$work/layer/tmp" "$work/layer/files"
cp "$(command -v busybox)" "$work/layer/bin/busybox"
for word in sh cat wc mkdir mv; do ln -s busybox "$work/layer/bin/$word"; done
cp "$here/step" "$work/layer/"
tar -C "$work/layer" --owner=0 --group=0 -cf "$work/layer.tar" .
case $(uname -m) in aarch64 | arm64) machine=arm64 ;; *) machine=amd64 ;; esac
cat > "$work/config.json" <<JSON
{"architecture": "$machine", "os": "linux",
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)"]},
 "config": {"Env": ["PATH=/bin"], "Entrypoint": ["/step"]}}
JSON
echo '[{"Config": "config.json", "RepoTags": ["primes:1"], "Layers": ["layer.tar"]}]' > "$work/manifest.json"
tar -C "$work" -cf "$1" manifest.json config.json layer.tar
