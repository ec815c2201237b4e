#!/usr/bin/env bash
# Checks gridfield on a machine with an NVIDIA GPU that has neither Rust nor a network.
#
#   scripts/gpu_check.sh pack      on a machine with Rust and nvcc: gathers binaries, tests and a small scene in .gpu/
#   scripts/gpu_check.sh run [DIR] on the machine with the GPU: runs everything and writes DIR/gpu_check.json (default .gpu)
#
# `run` needs .gpu/, a driver and python3. It uses compute-sanitizer where it is on PATH, and trains lego where
# GRIDFIELD_DATA names a folder with blender/lego. It fails where a test fails or would have fallen back to the CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD

# Tests that launch kernels: each runs its body on every device there is.
TESTS="targets gradients adam compositing marching occupancy rays oracle_grid oracle_compositing oracle_random oracle_sphere"
MOST_MIB=50

pack() {
    local name binary
    rm -rf .gpu
    mkdir -p .gpu/bin .gpu/scenes
    cargo build --release
    cp target/release/gridfield .gpu/bin/
    for name in $TESTS; do
        binary=$(cargo test --no-run --test "$name" 2>&1 | sed -n 's/.*(\(target[^)]*\)).*/\1/p' | tail -n 1)
        cp "$binary" ".gpu/bin/test-$name"
    done
    binary=$(cargo bench --no-run --bench stages 2>&1 | sed -n 's/.*(\(target[^)]*\)).*/\1/p' | tail -n 1)
    cp "$binary" .gpu/bin/bench-stages
    strip .gpu/bin/*
    cp -r scenes/orrery .gpu/scenes/
    cp -r kernels .gpu/
    git rev-parse HEAD >.gpu/commit
    local mib
    mib=$(du -sm .gpu | cut -f1)
    echo ".gpu holds ${mib} MiB"
    [ "$mib" -le "$MOST_MIB" ] || { echo "gpu_check.sh: more than $MOST_MIB MiB" >&2; exit 1; }
}

# Runs a command with its output in a log, and notes whether it ended well.
failed=()
check() {
    local name=$1
    shift
    echo "== $name"
    if "$@" >"$out/$name.log" 2>&1; then
        tail -n 3 "$out/$name.log"
    else
        failed+=("$name")
        tail -n 30 "$out/$name.log"
    fi
}

run() {
    [ -x .gpu/bin/gridfield ] || { echo "gpu_check.sh: no .gpu/bin; run scripts/gpu_check.sh pack first" >&2; exit 2; }
    mkdir -p "${1:-.gpu}"
    out=$(cd "${1:-.gpu}" && pwd)
    cd .gpu
    export GRIDFIELD_TEST_CUDA=1 # a test that finds no GPU fails
    check devices bin/gridfield devices
    for name in $TESTS; do check "test-$name" "bin/test-$name" --skip layout; done
    if command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck initcheck synccheck; do
            check "sanitizer-$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 bin/test-targets --skip layout \
                --skip training --test-threads 1
        done
    fi
    check stages bin/bench-stages cuda "json=$out/stages.json"
    # The same short training on both devices must come to the same quality.
    for device in cpu cuda; do
        check "train-$device" bin/gridfield train scenes/orrery --device "$device" --output-dir "$out/outputs" \
            --run-name "$device" --max-steps 1000 --set train.batch_samples=65536 --set train.ema_decay=0
        check "eval-$device" bin/gridfield eval "$out/outputs/orrery/hash/$device" --scene scenes/orrery --device "$device" \
            --output "$out/eval-$device.json"
    done
    if [ -d "${GRIDFIELD_DATA:-}/blender/lego" ]; then
        check train-lego bin/gridfield train "$GRIDFIELD_DATA/blender/lego" --device cuda --output-dir "$out/outputs" \
            --run-name lego --max-steps 35000
        for background in white black; do
            check "eval-lego-$background" bin/gridfield eval "$out/outputs/lego/hash/lego" --device cuda \
                --background "$background" --output "$out/eval-lego-$background.json"
        done
    fi
    summary "${failed[@]+"${failed[@]}"}"
    [ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
}

# Everything that was measured, as one JSON file.
summary() {
    python3 - "$out" "$here/.gpu/commit" "$@" <<'PYTHON'
import json
import pathlib
import sys

out, commit, failed = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
report = {"commit": commit.read_text().strip(), "failed": failed}
for path in sorted([*out.glob("eval-*.json"), out / "stages.json"]):
    if path.exists():
        values = json.loads(path.read_text())
        values.pop("per_image", None)
        report[path.stem] = values
psnr = {device: report[f"eval-{device}"]["results"]["psnr"] for device in ("cpu", "cuda") if f"eval-{device}" in report}
if len(psnr) == 2:
    report["psnr_cuda_minus_cpu"] = psnr["cuda"] - psnr["cpu"]
    if abs(report["psnr_cuda_minus_cpu"]) > 0.5:
        report["failed"].append("training on the two devices differs by more than 0.5 dB")
(out / "gpu_check.json").write_text(json.dumps(report, indent=2) + "\n")
print(json.dumps(report, indent=2))
sys.exit(1 if report["failed"] else 0)
PYTHON
}

case "${1:-}" in
    pack) pack ;;
    run) run "${2:-}" ;;
    *) echo "usage: scripts/gpu_check.sh pack | run [DIR]" >&2; exit 2 ;;
esac
