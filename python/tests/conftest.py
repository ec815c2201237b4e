"""What the tests share: the bundled scene, a short training, and the program."""

import os
from pathlib import Path
from typing import Any

import pytest

import gridfield as gf

ROOT = Path(__file__).resolve().parents[2]
SCENE = ROOT / "scenes" / "orrery"
# Small enough for two busy cores, and enough for a surface.
CONFIG: dict[str, Any] = {"scene.downscale": 4, "train": {"batch_samples": 8192, "max_steps": 120}}


def program() -> Path:
    """Return the program `gridfield`: GRIDFIELD_PROGRAM, or the newest that was built in this tree."""
    if named := os.environ.get("GRIDFIELD_PROGRAM"):
        return Path(named)
    built = [path for path in (ROOT / "target" / p / "gridfield" for p in ("release", "debug")) if path.exists()]
    if not built:
        pytest.fail("there is no program to compare with; build it (cargo build) or set GRIDFIELD_PROGRAM")
    return max(built, key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="session")
def scene() -> gf.Scene:
    return gf.Scene(SCENE)


@pytest.fixture(scope="session")
def trainer(scene: gf.Scene) -> gf.Trainer:
    trainer = gf.Trainer(scene, "hash", seed=3, config=CONFIG, device="cpu")
    trainer.step(120)
    return trainer


@pytest.fixture(scope="session")
def field(trainer: gf.Trainer) -> gf.Field:
    return trainer.field()
