#!/bin/sh
# Builds the `cpu` target where there is no Docker and no image registry, and tries it: doctor, and one
# talk through the worker. Packages come from Debian's mirror and from pip's index.
#
#   sudo tools/build_image_offline.sh [DIRECTORY]      (default: out/image; about 3 GB)
#
# It needs root, buildah and debootstrap (apt-get install buildah debootstrap). The base image is
# made by debootstrap of the Debian release that the Dockerfile's base stands on; it has Debian's own
# Python 3.11. DEBIAN_MIRROR names another mirror. This machine's certificates and pip's settings in
# /etc go into the base, so that a mirror of the index works; the image that is built is for trying,
# not for passing on.
set -eu

source_tree=$(cd "$(dirname "$0")/.." && pwd)
place=${1:-$source_tree/out/image}
release=bookworm
packages=python3,python3-venv,ca-certificates
base=localhost/multitalk-base:offline
image=localhost/multitalk:cpu

for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null || { echo "$tool is needed: apt-get install $tool" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "root is needed" >&2; exit 1; }

mkdir -p "$place"
place=$(cd "$place" && pwd)
policy=$place/policy.json
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$policy"
: >"$place/registries.conf"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot CONTAINERS_REGISTRIES_CONF="$place/registries.conf"

store() { buildah --root "$place/storage" --runroot "$place/run" "$@"; }

if [ ! -e "$place/rootfs/.whole" ]; then
    rm -rf "$place/rootfs"
    debootstrap --variant=minbase --include="$packages" "$release" "$place/rootfs" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    cp /etc/ssl/certs/ca-certificates.crt "$place/rootfs/etc/ssl/certs/"
    if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$place/rootfs/etc/"; fi
    touch "$place/rootfs/.whole"
fi

container=$(store from --signature-policy "$policy" scratch)
store copy "$container" "$place/rootfs/" /
store config --env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
store commit --signature-policy "$policy" --rm "$container" "$base"

store bud --signature-policy "$policy" --format docker --layers=false \
    --build-arg BASE="$base" --target cpu --tag "$image" "$source_tree"

container=$(store from --signature-policy "$policy" "$image")
trap 'store rm "$container" >/dev/null' EXIT
inside() { store run "$container" -- /usr/bin/tini -s -- /opt/multitalk/entrypoint.sh "$@"; }

echo "==> user"
store run "$container" -- id
echo "==> doctor"
inside doctor
echo "==> one talk through the worker"
request='{"input": {"prompt": "A person talks", "image_path": "/opt/multitalk/examples/portrait.jpg",
    "audio_paths": {"person1": {"text": "Hello."}}, "resolution": "480p", "engine": "warp"}}'
inside worker --test_input "$request" >"$place/worker.log" 2>&1 || { cat "$place/worker.log"; exit 1; }
grep -q "'status': 'success'" "$place/worker.log" || { cut -c1-400 "$place/worker.log"; exit 1; }
store images
echo "==> $image was built and works"
