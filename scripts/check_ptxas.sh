#!/bin/sh
# Compiles every kernel for the GPU architectures that matter and prints what ptxas says of each; fails where a kernel
# spills registers or keeps a stack frame, both of which are memory traffic that the source does not show.
#
#   scripts/check_ptxas.sh [sm_80 sm_90 ...]
#
# Dynamic shared memory is not ptxas's to know: it comes from <kernel>_shared_bytes, here read from the PTX.
set -eu

cd "$(dirname "$0")/.."
nvcc=${NVCC:-}
for candidate in "${CUDA_HOME:-}/bin/nvcc" .cuda/nvidia/cu13/bin/nvcc nvcc; do
    [ -n "$nvcc" ] && break
    "$candidate" --version 2>/dev/null | grep -q "release 13.0" && nvcc=$candidate
done
[ -n "$nvcc" ] || { echo "check_ptxas.sh: no nvcc of CUDA 13.0; scripts/fetch-nvcc.sh gets one" >&2; exit 2; }
[ $# -gt 0 ] || set -- sm_80 sm_90

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for arch; do
    for source in $(find kernels -name "*.cu" | sort); do
        stem=$work/$(basename "$source" .cu).$arch
        mkdir "$stem"
        "$nvcc" -std=c++17 -O3 -Ikernels -arch="$arch" -cubin -Xptxas -v --keep --keep-dir "$stem" "$source" -o "$stem.cubin" \
            2>"$stem/log" || { cat "$stem/log" >&2; exit 1; }
    done
done

cat "$work"/*/*.ptx "$work"/*/log | awk '
    / _?[a-z0-9_]+_shared_bytes = [0-9]+;/ {
        name = $(NF - 2); sub(/_shared_bytes$/, "", name); bytes = $NF; sub(/;/, "", bytes); dynamic[name] = bytes
    }
    /Compiling entry function/ { split($0, part, "\047"); kernel = part[2]; arch = part[4] }
    /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
        for (i = 1; i <= NF; ++i) if ($i == "Used") registers = $(i + 1)
        shared = 0
        for (i = 3; i <= NF; ++i) if ($i ~ /^smem/) shared = $(i - 2)
        row = sprintf("%-28s %-6s %9d %8d %6d %13d %12d", kernel, arch, registers, shared + dynamic[kernel], stack, stores, loads)
        rows[++n] = row
        if (stack + stores + loads > 0) bad[++n_bad] = kernel " (" arch ")"
    }
    END {
        if (n == 0) { print "check_ptxas.sh: ptxas reported no kernel"; exit 1 }
        printf "%-28s %-6s %9s %8s %6s %13s %12s\n", "kernel", "arch", "registers", "shared", "stack", "spill stores", "spill loads"
        for (i = 1; i <= n; ++i) print rows[i] | "sort"
        close("sort")
        for (i = 1; i <= n_bad; ++i) print "spills or keeps a stack frame: " bad[i]
        exit n_bad > 0
    }'
