#!/usr/bin/env bash
# Builds the package into target/python-venv, and runs its tests, mypy and ruff. GRIDFIELD_PROGRAM names the program that
# the tests compare with; by default it is the newest in target/.
set -euo pipefail
cd "$(dirname "$0")"
venv=../target/python-venv
test -x "$venv/bin/python" || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2' matplotlib nbclient nbformat ipykernel \
    'pytest>=8' 'mypy>=1.11' 'ruff>=0.6' 'tensorboard>=2.15' 'wandb>=0.16' pillow numpy click tqdm
# Without OpenCV and SciPy, which the tests do not need, and without its limit on NumPy's version: 13 MB instead of 330.
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps 'nerfbaselines>=1.2,<2'
VIRTUAL_ENV=$(cd "$venv" && pwd)
export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"
maturin develop --quiet --release
ruff check .
mypy
python -m pytest
