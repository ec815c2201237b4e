#!/bin/sh
# Builds the library, the program and tests for 64-bit ARM on another Linux machine, and runs them in QEMU.
#
#   scripts/check_aarch64.sh [TEST ...]       by default numerics, oracle, targets and formats
#
# Needs the target of Rust (rustup target add aarch64-unknown-linux-gnu), and of Debian's packages g++-aarch64-linux-gnu and
# qemu-user-static. QEMU emulates each instruction: its times say nothing about those of a processor.
set -eu

cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
for tool in aarch64-linux-gnu-g++ qemu-aarch64-static; do
    command -v "$tool" >/dev/null || { echo "check_aarch64.sh: $tool is needed and not on PATH" >&2; exit 2; }
done
[ $# -gt 0 ] || set -- numerics oracle targets formats

export NVCC=none
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
export CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar

cargo run --target "$target" --locked -- devices
for test; do
    cargo test --target "$target" --locked --test "$test"
done
