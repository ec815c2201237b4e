#!/usr/bin/env bash
# Trains and evaluates every Blender scene in a folder, and prints PSNR, SSIM and LPIPS beside published PSNR.
#
#   scripts/eval_blender.sh DIR [--lpips VGG.safetensors] [flags of `gridfield train`, such as --max-seconds 300]
#
# Every folder of DIR that holds a transforms_train.json is a scene. See scripts/eval_scenes.sh.
set -euo pipefail
. "$(dirname "$0")/eval_scenes.sh"
eval_scenes blender transforms_train.json 1 "$@"
