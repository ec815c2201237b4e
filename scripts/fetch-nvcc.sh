#!/bin/sh
# Puts NVIDIA's nvcc under .cuda/, where build.rs finds it: no GPU, driver or system-wide CUDA needed, 104 MB to download.
#
#   scripts/fetch-nvcc.sh
#
# All pieces are pinned to one release of CUDA: parts of different releases do not fit. build/nvcc.rs writes the PTX in a
# version that older drivers load.
set -eu

cd "$(dirname "$0")/.."
compiler=.cuda/nvidia/cu13/bin/nvcc
stamp=.cuda/13.0.88

if [ -x "$compiler" ] && [ -e "$stamp" ]; then
    echo "nvcc is there already: $compiler"
    exit 0
fi
for tool in python3 g++; do
    command -v "$tool" >/dev/null || { echo "fetch-nvcc.sh: $tool is needed and not on PATH" >&2; exit 2; }
done
python3 -m pip --version >/dev/null 2>&1 || { echo "fetch-nvcc.sh: python3 has no pip" >&2; exit 2; }

# pip adds nothing to a folder that already holds nvidia/, so that a broken first try must go.
rm -rf .cuda .cuda.part
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-cache-dir \
    --target .cuda.part \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
mv .cuda.part .cuda
touch "$stamp"
# cargo does not see a new compiler by itself.
touch build.rs
"$compiler" --version | tail -n 2
