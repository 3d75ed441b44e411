#!/bin/sh
# Unpacks a Python of a Debian release into a directory, and installs nothing. It can be another
# Python than this system's, or one of another processor, which qemu-user then runs. For tests.
#
#   tools/debian_python.sh VERSION RELEASE ARCHITECTURE DIRECTORY
#   tools/debian_python.sh 3.14 forky amd64 out/python3.14      (then out/python3.14/usr/bin/python)
#
# It needs apt-get, dpkg and Debian's archive keyring, and for another processor qemu-user-static.
# DEBIAN_MIRROR names another mirror. It ends with 1 and a line where something is not to be had.
set -eu

version=$1 release=$2 architecture=$3
fail() { echo "no Python $version for $architecture: $1" >&2; exit 1; }

case $architecture in
    amd64) triplet=x86_64-linux-gnu machine=x86_64 ;;
    arm64) triplet=aarch64-linux-gnu machine=aarch64 ;;
    *) fail "unknown processor" ;;
esac
emulator=
for tool in apt-get apt-cache dpkg; do
    command -v "$tool" >/dev/null || fail "no $tool here"
done
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keys" ] || fail "no $keys (apt-get install debian-archive-keyring)"
if [ "$(uname -m)" != "$machine" ]; then
    emulator=$(command -v "qemu-$machine-static" || command -v "qemu-$machine") ||
        fail "no qemu-$machine here (apt-get install qemu-user-static)"
fi

rm -rf "$4"
mkdir -p "$4/apt/lists/partial" "$4/apt/archives/partial" "$4/apt/parts"
root=$(cd "$4" && pwd)
: >"$root/apt/status"
echo "deb [signed-by=$keys] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $release main" \
    >"$root/apt/sources.list"

# An apt of its own: nothing counts as installed, so all that this Python needs is fetched.
# A mirror may lag behind; what it has is signed all the same.
of_its_own() {
    apt=$1
    shift
    "$apt" -qq -o Dir::State::lists="$root/apt/lists" -o Dir::State::status="$root/apt/status" \
        -o Dir::Cache="$root/apt" -o Dir::Etc::sourcelist="$root/apt/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- -o Dir::Etc::trustedparts=- \
        -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
        -o Debug::NoLocking=1 "$@"
}
of_its_own apt-get update >"$root/apt/log" 2>&1 || fail "Debian's $release does not answer"
of_its_own apt-cache show "python$version" >"$root/apt/log" 2>&1 || fail "$release has none"
# libstdc++6 is what packages of PyPI find on any system
of_its_own apt-get install --download-only --no-install-recommends --yes "python$version" \
    libstdc++6 >"$root/apt/log" 2>&1 || fail "its packages cannot be fetched"
for package in "$root"/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
rm -rf "$root/apt"
for name in bin lib lib64 sbin; do [ -e "$root/$name" ] || ln -s "usr/$name" "$root/$name"; done

# It starts with its own C library. The name it is called by tells it where its environment is.
# The emulator is told to be a plain processor: SME, which its own "max" has, gives wrong products
# of matrices (QEMU 7.2 with OpenBLAS 0.3.34).
if [ -n "$emulator" ]; then
    start="$emulator -cpu neoverse-n1 -L \"\$root\" -0 \"\$0\""
else
    start="\"\$root\"/usr/lib/$triplet/ld-linux-x86-64.so.2"
    start="$start --library-path \"\$root\"/usr/lib/$triplet --argv0 \"\$0\""
fi
cat >"$root/usr/bin/python" <<EOF
#!/bin/sh
unset PWD  # which the shell adds
root="$root"
exec $start "\$root/usr/bin/python$version" "\$@"
EOF
chmod +x "$root/usr/bin/python"
"$root/usr/bin/python" -c 'import ctypes, ssl, sqlite3' || {
    rm "$root/usr/bin/python"
    fail "it does not run"
}
