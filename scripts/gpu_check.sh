#!/usr/bin/env bash
# Checks gridfield on a machine with an NVIDIA GPU that has neither Rust nor a network.
#
#   scripts/gpu_check.sh pack     on a machine with Rust and nvcc: gathers binaries, tests, a small scene and this script in
#                                 .gpu/; the programs as one archive, since they hold the same library over and over
#   .gpu/gpu_check.sh run [DIR [PART ...]]
#                                 on the machine with the GPU: runs all parts, or those named (tests, sanitizer, stages,
#                                 train, lego, image), and writes DIR/gpu_check.json, with logs and runs in DIR/gpu_check/,
#                                 which is emptied first (default: the script's folder)
#
# `run` needs the folder as it was packed, bash, xz or Python, and a driver. It uses compute-sanitizer where it is on PATH,
# and trains lego and fits an image where GRIDFIELD_DATA names a folder with blender/lego and image/albert.jpg; what it skips
# is named in the output and in the JSON. It fails where a test fails, takes over five minutes, or would have fallen back to
# the CPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# A packed script lies beside what it runs.
if [ -e "$here/commit" ]; then packed=$here; else packed=$(dirname "$here")/.gpu; fi

# Tests that launch kernels: each runs its body on every device there is.
TESTS="targets oracle numerics"
PARTS="tests sanitizer stages train lego image"
MOST_MIB=50

complain() {
    echo "gpu_check.sh: $*" >&2
    exit "${code:-2}"
}

# Builds by a cargo command, and copies each program that it names, as in `Executable tests/oracle/main.rs
# (target/release/deps/oracle-0123)`, to .gpu/bin/PREFIX-oracle.
built() {
    local prefix=$1 said name program
    shift
    said=$("$@" 2>&1) || { echo "$said" >&2; code=1 complain "\`$*\` failed"; }
    sed -n 's/.*Executable.* (\(.*\/\([^/]*\)-[0-9a-f]*\))$/\2 \1/p' <<<"$said" | while read -r name program; do
        cp "$program" ".gpu/bin/$prefix-$name"
    done
}

pack() {
    local name mib
    cd "$here/.."
    rm -rf .gpu
    mkdir -p .gpu/bin .gpu/scenes
    cargo build --release
    cp target/release/gridfield .gpu/bin/
    # shellcheck disable=SC2086 — a word for each test
    built test cargo test --release --no-run $(printf -- '--test %s ' $TESTS)
    built bench cargo bench --no-run --bench stages
    for name in $TESTS; do
        [ -e ".gpu/bin/test-$name" ] || code=1 complain "cargo built no test $name"
    done
    strip .gpu/bin/*
    if .gpu/bin/gridfield devices | grep -q "no CUDA kernels"; then
        code=1 complain "the binary holds no PTX, as no nvcc was there: scripts/fetch-nvcc.sh gets one"
    fi
    tar -c -C .gpu bin | xz --lzma2=preset=6,dict=128MiB >.gpu/bin.tar.xz
    rm -r .gpu/bin
    cp -r scenes/orrery .gpu/scenes/
    cp -r kernels .gpu/
    cp scripts/gpu_check.sh .gpu/
    git rev-parse HEAD >.gpu/commit
    mib=$(du -sm .gpu | cut -f1)
    echo ".gpu holds ${mib} MiB"
    [ "$mib" -le "$MOST_MIB" ] || code=1 complain "more than $MOST_MIB MiB"
}

failed=()
skipped=()

# Runs a command with its output in a log, and notes whether it ended well.
check() {
    local name=$1 start=$SECONDS
    shift
    if timeout 300 "$@" >"$work/$name.log" 2>&1; then
        echo "== $name, $((SECONDS - start)) s"
        tail -n 3 "$work/$name.log"
    else
        echo "== $name FAILED, $((SECONDS - start)) s"
        failed+=("$name")
        tail -n 30 "$work/$name.log"
    fi
}

skip() {
    echo "== skipped $1"
    skipped+=("$1")
}

# The programs, from their archive.
unpack() {
    [ -e "$packed/bin.tar.xz" ] || return 0
    if command -v xz >/dev/null; then
        xz -dc "$packed/bin.tar.xz" | tar -x -C "$packed"
    else
        python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$packed/bin.tar.xz" "$packed"
    fi
}

run() {
    local part parts=${*:2}
    for part in ${parts:=$PARTS}; do
        [[ " $PARTS " == *" $part "* ]] || complain "there is no part $part, but $PARTS"
    done
    unpack
    [ -x "$packed/bin/gridfield" ] || complain "no $packed/bin/gridfield; run scripts/gpu_check.sh pack first"
    data=${GRIDFIELD_DATA:-}
    if [ -n "$data" ]; then
        data=$(cd "$data" 2>/dev/null && pwd) || complain "GRIDFIELD_DATA is $GRIDFIELD_DATA, and there is no such folder"
    fi
    mkdir -p "${1:-$packed}"
    out=$(cd "${1:-$packed}" && pwd)
    work=$out/gpu_check
    rm -rf "$work" "$out/gpu_check.json"
    mkdir "$work"
    cd "$packed"
    export GRIDFIELD_TEST_CUDA=1 # a test that finds no GPU fails
    check devices bin/gridfield devices
    for part in $parts; do "run_$part"; done
    summary
    [ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
}

run_tests() {
    local name
    for name in $TESTS; do check "test-$name" "bin/test-$name" --skip layout; done
}

run_stages() {
    check stages bin/bench-stages cuda "json=$work/stages.json"
}

run_train() {
    train_on_both hash 1000
    train_on_both mulfagrid 200
    train_on_both cascade_local 200
}

run_sanitizer() {
    if ! command -v compute-sanitizer >/dev/null; then
        skip "sanitizer: compute-sanitizer is not on PATH"
        return
    fi
    local tool
    for tool in memcheck racecheck initcheck synccheck; do
        check "sanitizer-$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 bin/test-targets --skip layout \
            --skip training --test-threads 1
    done
}

# The same short training of a model on both devices must come to the same quality.
train_on_both() {
    local model=$1 steps=$2 device
    for device in cpu cuda; do
        check "train-$model-$device" bin/gridfield train scenes/orrery --model "$model" --device "$device" \
            --output-dir "$work/outputs" --run-name "$device" --max-steps "$steps" --set train.batch_samples=65536 \
            --set train.ema_decay=0
        check "eval-$model-$device" bin/gridfield eval "$work/outputs/orrery/$model/$device" --scene scenes/orrery \
            --device "$device" --output "$work/eval-$model-$device.json"
    done
    local cpu=$work/eval-$model-cpu.json cuda=$work/eval-$model-cuda.json
    [ -e "$cpu" ] && [ -e "$cuda" ] || return 0
    local apart
    apart=$(awk -v a="$(figure "$cpu" psnr)" -v b="$(figure "$cuda" psnr)" 'BEGIN { printf "%.4f", b - a }')
    differences+=", \"psnr_cuda_minus_cpu_$model\": $apart"
    awk -v d="$apart" 'BEGIN { exit !(d > 0.5 || d < -0.5) }' || return 0
    failed+=("$model: training on the two devices differs by $apart dB")
}

run_lego() {
    if [ ! -d "$data/blender/lego" ]; then
        skip "lego: GRIDFIELD_DATA names no folder with blender/lego"
        return
    fi
    check train-lego bin/gridfield train "$data/blender/lego" --device cuda --output-dir "$work/outputs" --run-name lego \
        --max-steps 35000
    local background
    for background in white black; do
        check "eval-lego-$background" bin/gridfield eval "$work/outputs/lego/hash/lego" --device cuda \
            --background "$background" --output "$work/eval-lego-$background.json"
    done
}

# The model of tiny-cuda-nn's sample, 2^18 pixels a step; the log says pixels a second.
run_image() {
    if [ ! -f "$data/image/albert.jpg" ]; then
        skip "image: GRIDFIELD_DATA names no folder with image/albert.jpg"
        return
    fi
    check fit-image bin/gridfield fit-image "$data/image/albert.jpg" --device cuda --output-dir "$work/outputs" \
        --run-name albert --max-steps 5000 --set train.batch_samples=262144 --set model.grid.log2_hashmap_size=15
    check eval-image bin/gridfield eval "$work/outputs/albert/hash/albert" --device cuda --output "$work/eval-image.json"
}

# One number of an eval.json.
figure() { sed -n "s/^ *\"$2\": *\([0-9.eE+-]*\),\{0,1\}\$/\1/p" "$1" | head -n 1; }

# A JSON list of texts, which hold neither quotes nor backslashes.
list() {
    local text joined=
    for text; do joined+="${joined:+, }\"$text\""; done
    printf '[%s]' "$joined"
}

# Everything that was measured, as one JSON file.
summary() {
    local file
    {
        printf '{"commit": "%s"' "$(cat commit)"
        printf ', "failed": %s' "$(list "${failed[@]+"${failed[@]}"}")"
        printf ', "skipped": %s%s' "$(list "${skipped[@]+"${skipped[@]}"}")" "$differences"
        for file in "$work"/eval-*.json "$work/stages.json"; do
            [ ! -e "$file" ] || printf ',\n"%s": %s' "$(basename "$file" .json)" "$(cat "$file")"
        done
        printf '}\n'
    } >"$work/all"
    mv "$work/all" "$out/gpu_check.json"
    echo "figures are in $out/gpu_check.json"
}
differences=

case "${1:-}" in
    pack) pack ;;
    run) run "${@:2}" ;;
    *) code=2 complain "usage: scripts/gpu_check.sh pack, or .gpu/gpu_check.sh run [DIR [PART ...]]" ;;
esac
