#!/usr/bin/env bash
# Trains and evaluates every Blender scene in a folder and prints the table of PSNR and SSIM.
#
#   scripts/eval_blender.sh DIR [flags of `gridfield train`, such as --max-seconds 300]
#
# Every folder of DIR that holds a transforms_train.json is a scene. Results stay under outputs/<scene>/, which is why
# --output-dir and --run-name are the script's own; evaluation is on all test views over white. GRIDFIELD names the program
# (default: target/release/gridfield, built where it is missing).
set -euo pipefail

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    echo "usage: scripts/eval_blender.sh DIR [flags of gridfield train]; DIR holds the scenes' folders" >&2
    exit 2
fi
folder=$1
shift
for flag; do
    case $flag in
        --output-dir | --output-dir=* | --run-name | --run-name=*)
            echo "eval_blender.sh: ${flag%%=*} is the script's own to set; leave it away, and run from where outputs/ is to be" >&2
            exit 2
            ;;
    esac
done
here=$(cd "$(dirname "$0")/.." && pwd)
gridfield=${GRIDFIELD:-$here/target/release/gridfield}
[ -x "$gridfield" ] || (cd "$here" && cargo build --release)

name=eval-$(date -u +%Y%m%d-%H%M%S)
scenes=()
for scene in "$folder"/*/; do
    [ -f "$scene/transforms_train.json" ] && scenes+=("$(basename "$scene")")
done
[ ${#scenes[@]} -gt 0 ] || { echo "eval_blender.sh: no folder of $folder holds a transforms_train.json" >&2; exit 2; }

# One number of an eval.json.
figure() { sed -n "s/^ *\"$2\": *\([0-9.eE+-]*\),\{0,1\}\$/\1/p" "$1" | head -n 1; }

rows=()
for scene in "${scenes[@]}"; do
    "$gridfield" train "$folder/$scene" --run-name "$name" "$@"
    run=$(ls -d "outputs/$scene"/*/"$name")
    "$gridfield" eval "$run" --split test --background white
    rows+=("$scene $(figure "$run/eval.json" psnr) $(figure "$run/eval.json" ssim)")
done

printf '\n%-12s %8s %8s\n' scene PSNR SSIM
printf '%s\n' "${rows[@]}" | awk '
    { printf "%-12s %8.2f %8.4f\n", $1, $2, $3; psnr += $2; ssim += $3 }
    END { printf "%-12s %8.2f %8.4f\n", "mean", psnr / NR, ssim / NR }'
