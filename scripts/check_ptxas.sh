#!/bin/sh
# Builds the PTX of every kernel, assembles it and prints what ptxas says of each; fails where a kernel spills registers or
# keeps a stack frame, both of which are memory traffic that the source does not show.
#
#   scripts/check_ptxas.sh
#
# PTX for compute_80 is assembled for sm_80, PTX for compute_90 for sm_90. Dynamic shared memory is not ptxas's to know: it
# comes from <kernel>_shared_bytes, here read from the PTX. PTXAS names another assembler, such as that of CUDA 12.1, the
# oldest release that the PTX is for.
set -eu

cd "$(dirname "$0")/.."
# The build script writes the PTX, and the lints run it with all kernels, those of tests and benchmarks included.
out=$(cargo clippy --quiet --all-targets --locked --message-format=json |
    grep '"reason":"build-script-executed"' | grep -o '"out_dir":"[^"]*/gridfield-[0-9a-f]*/out"' | tail -n 1 | cut -d '"' -f 4)
[ -d "$out/ptx" ] || { echo "check_ptxas.sh: no nvcc, so no PTX; scripts/fetch-nvcc.sh gets one" >&2; exit 2; }
ptxas=${PTXAS:-}
for candidate in "$(dirname "${NVCC:-none}")/ptxas" "${CUDA_HOME:-}/bin/ptxas" .cuda/nvidia/cu13/bin/ptxas ptxas; do
    [ -n "$ptxas" ] && break
    command -v "$candidate" >/dev/null && ptxas=$candidate
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As many assemblers run at once as there are processors.
assemble='
    module=$(basename "$2" .ptx)
    "$1" -v -arch="sm_${module##*.}" "$2" -o "$0/$module.cubin" 2>"$0/$module.log" || { cat "$0/$module.log" >&2; exit 255; }'
find "$out" -path "*/ptx*/*.ptx" | sort | xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 sh -c "$assemble" "$work" "$ptxas"

cat "$out"/ptx*/*.ptx "$work"/*.log | awk '
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
