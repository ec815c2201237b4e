#!/usr/bin/env bash
# Trains and evaluates every LLFF scene in a folder, and prints PSNR, SSIM and LPIPS beside published PSNR.
#
#   scripts/eval_llff.sh DIR [--lpips VGG.safetensors] [flags of `gridfield train`, such as --max-seconds 300]
#
# Every folder of DIR that holds a poses_bounds.npy is a scene. Images are reduced 4 times, to 1008x756, where no flag says
# otherwise. See scripts/eval_scenes.sh.
set -euo pipefail
. "$(dirname "$0")/eval_scenes.sh"
eval_scenes llff poses_bounds.npy 4 "$@"
