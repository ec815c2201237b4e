"""Tangent kernels of grid-based models: how fast a model learns what (docs/gtk.md has the formulas)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._gridfield import measure

__all__ = ["bound", "drift", "flow", "matrix", "spectrum"]


def _measure(
    what: str,
    models: str | Sequence[str],
    n: int,
    *,
    set: Sequence[str] = (),
    dim: int | None = None,
    points: str = "regular",
    data: str | Path | None = None,
    labels: str | Path | None = None,
    theta: str = "random",
    seed: int = 0,
    steps: int | None = None,
    device: str = "cpu",
    threads: int = 0,
) -> dict[str, Any]:
    names = [models] if isinstance(models, str) else list(models)
    found = measure(
        what, names, set=list(set), n=n, dim=dim, points=points, data=data, labels=labels, theta=theta, seed=seed,
        steps=steps, device=device, threads=threads,
    )  # fmt: skip
    return found


def spectrum(models: str | Sequence[str] = (), n: int = 256, **options: Any) -> dict[str, Any]:
    """Return the eigenvalues of the kernel G at n points and the Fourier transform of its profile, for each model.

    models: names as ``gridfield gtk`` takes them, such as ``"linear,base_resolution=64"``; by default a choice of all
    kinds. Options: ``set`` (assignments for all models), ``dim`` (1 to 3), ``points`` ("regular" or "random"), ``data``
    (a file or folder with the points), ``labels``, ``theta`` ("random" or "initial"), ``seed``, ``device``,
    ``threads``. The result is what the program writes to ``spectrum.json``; ``["results"][i]["eigenvalues"]["values"]``
    are the ascending eigenvalues of model i.
    """
    return _measure("spectrum", models, n, **options)


def matrix(models: str | Sequence[str] = (), n: int = 64, **options: Any) -> dict[str, Any]:
    """Return the kernel G at n points for each model; its rows are there for up to 64 points."""
    return _measure("matrix", models, n, **options)


def flow(models: str | Sequence[str] = (), n: int = 128, **options: Any) -> dict[str, Any]:
    """Compare gradient descent with the training that G predicts (Theorem 1); option ``steps``."""
    return _measure("flow", models, n, **options)


def drift(models: str | Sequence[str] = (), n: int = 64, **options: Any) -> dict[str, Any]:
    """Measure how far the kernel moves during training (Theorem 2); option ``steps``."""
    return _measure("drift", models, n, **options)


def bound(models: str | Sequence[str] = (), n: int = 24, **options: Any) -> dict[str, Any]:
    """Compute the bound on the error (Theorem 3), and the error."""
    return _measure("bound", models, n, **options)
