#!/bin/sh
# Installs a release into a bare Debian without a compiler, and uses it there.
#
#   scripts/check_release.sh [DIR]       DIR: the folder that scripts/release.sh filled, by default target/dist
#
# Needs root and debootstrap. SUITE names the Debian, by default bookworm; MIRROR where its packages are.
set -eu

cd "$(dirname "$0")/.."
dist=${1:-target/dist}
fail() { echo "check_release.sh: $1" >&2; exit 2; }
[ "$(id -u)" = 0 ] || fail "root is needed"
command -v debootstrap >/dev/null || fail "debootstrap is needed and not on PATH"
(cd "$dist" && sha256sum --check --quiet SHA256SUMS) || fail "$dist does not hold what its SHA256SUMS says"

root=$(mktemp -d)
clean() { umount "$root/proc" 2>/dev/null || true; rm -rf "$root"; }
trap clean EXIT
debootstrap --variant=minbase --include=python3,python3-venv "${SUITE:-bookworm}" "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$root.log" ||
    { tail -n 3 "$root.log" >&2; fail "debootstrap failed"; }
rm -f "$root.log"
mount -t proc proc "$root/proc"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 sh -euc "$1"; }

inside '! command -v cc && ! command -v nvcc'
for kind in cpu cuda; do
    echo "== $kind"
    tar -xzf "$dist"/gridfield-*-"$kind".tar.gz -C "$root/usr/local" --strip-components=1
    inside '
        gridfield --version
        gridfield devices
        cd "$(mktemp -d)"
        gridfield train /usr/local/share/doc/gridfield/scenes/orrery --downscale 4 --max-steps 30 --quiet
        gridfield eval latest --max-images 1
        gridfield render latest --output frames/ --width 64 --height 64 --seconds 0.1
        test -s frames/*0000.png
        test -s /usr/local/share/man/man1/gridfield-train.1
        test -s /usr/local/share/bash-completion/completions/gridfield
        grep -q " clap 4" /usr/local/share/doc/gridfield/THIRD-PARTY.txt'
done

echo "== wheel"
# NumPy is fetched outside: the chroot needs no network.
python3 -m pip download --quiet --disable-pip-version-check --dest "$root/wheels" --only-binary :all: \
    --python-version "$(inside 'python3 -c "import sys; print(\"%d.%d\" % sys.version_info[:2])"')" "$dist"/gridfield-*.whl
inside '
    python3 -m venv /venv
    /venv/bin/pip install --quiet --no-index --find-links /wheels gridfield
    /venv/bin/python -c "
import sys
import gridfield as gf
scene = gf.Scene(\"/usr/local/share/doc/gridfield/scenes/orrery\")
trainer = gf.Trainer(scene, seed=0, config={\"scene.downscale\": 4}, device=\"cpu\")
print(\"Python\", sys.version, trainer.step(5))"'
echo "== all of it works"
