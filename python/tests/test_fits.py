"""Images, distance fields and tangent kernels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gridfield as gf


def picture() -> NDArray[np.uint8]:
    y, x = np.mgrid[:48, :64]
    return np.stack([4 * x, 5 * y, 128 + 100 * np.sin(x / 9.0)], -1).astype(np.uint8)


def sphere(n: int = 24) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a sphere of radius 2 around (10, 0, 0) with outward faces."""
    theta, phi = np.linspace(0, np.pi, n), np.arange(2 * n) * np.pi / n
    t, p = np.meshgrid(theta, phi, indexing="ij")
    points = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(n - 1), np.arange(2 * n), indexing="ij")
    a, b = i * 2 * n + j, i * 2 * n + (j + 1) % (2 * n)
    faces = np.concatenate([np.stack([a, a + 2 * n, b], -1), np.stack([b, a + 2 * n, b + 2 * n], -1)]).reshape(-1, 3)
    return 2 * points + [10, 0, 0], faces


SMALL = {"train.batch_samples": 4096}


def test_an_image_comes_back(tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    image = picture()
    saved = tmp_path / "image.safetensors"
    field = gf.fit_image(image, steps=150, config=SMALL, device="cpu", progress=reports.append, save=saved)
    assert field.shape == (48, 64, 3) and len(reports) == 10 and reports[-1]["step"] == 150
    values = field.render()
    assert values.shape == image.shape and values.dtype == np.float32
    assert np.abs(values - image / 255.0).mean() < 0.02
    crop = field.render(crop=(16, 8, 32, 24))
    assert np.abs(crop - values[8:32, 16:48]).max() < 1e-5
    y, x = np.mgrid[:48, :64]
    centres = np.stack([(x + 0.5) / 64, (y + 0.5) / 48], -1).reshape(-1, 2)
    assert np.abs(field.query(centres).reshape(values.shape) - values).max() < 1e-4
    assert field.render((128, 96)).shape == (96, 128, 3)
    loaded = gf.load(saved, device="cpu")
    assert isinstance(loaded, gf.ImageField) and np.array_equal(loaded.render(), values)


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_images_of_other_types_and_channels(dtype: str) -> None:
    scale = {"uint16": 257, "float32": 1 / 255, "float64": 1 / 255}[dtype]
    image = (picture()[..., 0].astype(np.float64) * scale).astype(dtype)
    trainer = gf.ImageTrainer(image, seed=1, config={**SMALL, "train.max_steps": 200}, device="cpu")
    report = trainer.step(200)
    assert ("psnr" in report) == (dtype == "uint16")
    assert np.abs(trainer.field().render()[..., 0] - picture()[..., 0] / 255).mean() < 0.06
    evaluated = trainer.evaluate()
    assert evaluated is not None and evaluated["psnr"] > 20


def test_a_sphere_comes_back(tmp_path: Path) -> None:
    vertices, faces = sphere()
    saved = tmp_path / "sphere.safetensors"
    field = gf.fit_sdf(vertices, faces, steps=200, config=SMALL, device="cpu", save=saved)
    rng = np.random.default_rng(1)
    points = rng.uniform(-2.4, 2.4, (500, 3)) + [10, 0, 0]
    truth = np.linalg.norm(points - [10, 0, 0], axis=1) - 2
    assert np.abs(field.query(points) - truth).mean() < 0.1
    surface, triangles = field.mesh(resolution=48)
    assert abs(np.linalg.norm(surface - [10, 0, 0], axis=1).mean() - 2) < 0.05 and triangles.max() < len(surface)
    c2w = [[1, 0, 0, 10], [0, 1, 0, 0], [0, 0, 1, 8]]
    k = [[60, 0, 32], [0, 60, 32], [0, 0, 1]]
    out = field.render(c2w, k, (64, 64), ["rgb", "depth"], background=(0, 0, 0))
    assert abs(out["depth"][32, 32, 0] - 6) < 0.1 and out["depth"][0, 0, 0] == 0 and not out["rgb"][0, 0].any()
    loaded = gf.load(saved, device="cpu")
    assert isinstance(loaded, gf.DistanceField) and np.array_equal(loaded.query(points), field.query(points))


def test_spectra_of_kernels() -> None:
    found = gf.gtk.spectrum(["linear", "smoothstep"], n=32)
    assert [result["model"] for result in found["results"]] == ["linear", "smoothstep"]
    matrix = gf.gtk.matrix("linear", n=32)["results"][0]["matrix"]
    values = np.linalg.eigvalsh(np.array(matrix))
    assert np.allclose(values, found["results"][0]["eigenvalues"]["values"], atol=1e-9)
    assert gf.gtk.flow("linear", n=16, steps=50)["largest_deviation"] < 1e-10
