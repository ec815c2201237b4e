"""Grid-based neural fields: radiance fields, images and signed distance fields.

>>> import gridfield as gf
>>> trainer = gf.Trainer(gf.Scene("scenes/orrery"), model="hash", seed=0)
>>> trainer.step(100)["psnr"]  # doctest: +SKIP
>>> out = trainer.field().render(c2w, K, (800, 800), ["rgb", "depth"])  # doctest: +SKIP

Coordinates are those of the scene's files. Cameras follow OpenGL and Blender: x right, y up, and the camera looks along
-z. The centre of pixel (i, j) is (i + 0.5, j + 0.5).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import ArrayLike, NDArray

from . import gtk
from ._gridfield import (
    DistanceField,
    Field,
    ImageField,
    ImageTrainer,
    Scene,
    SdfTrainer,
    Trainer,
    View,
    __commit__,
    __version__,
    load,
)
from .errors import ConfigError, DeviceError, DivergedError, Error, FileError, MissingFileError

__all__ = [
    "ConfigError",
    "DeviceError",
    "DistanceField",
    "DivergedError",
    "Error",
    "Field",
    "FileError",
    "ImageField",
    "ImageTrainer",
    "MissingFileError",
    "Scene",
    "SdfTrainer",
    "Trainer",
    "View",
    "__commit__",
    "__version__",
    "fit_image",
    "fit_sdf",
    "gtk",
    "load",
]

AnyTrainer = TypeVar("AnyTrainer", ImageTrainer, SdfTrainer)
Progress = Callable[[dict[str, Any]], object]


def fit_image(
    array: NDArray[Any],
    model: str | None = None,
    *,
    steps: int | None = None,
    seed: int | None = None,
    config: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int = 0,
    progress: Progress | None = None,
    save: str | Path | None = None,
) -> ImageField:
    """Fit a field to an image, and return it.

    array: ``[h, w]`` or ``[h, w, c]`` with 1 to 4 channels: uint8 or uint16 are sRGB, floats are linear of any range.
    steps: number of training steps; by default that of the configuration. progress: called about ten times with what
    ``ImageTrainer.step`` returns. save: a file for the checkpoint.
    """
    trainer = ImageTrainer(array, model, seed=seed, config=_with_steps(config, steps), device=device, threads=threads)
    return _trained(trainer, progress, save).field()


def fit_sdf(
    vertices: ArrayLike,
    faces: ArrayLike,
    model: str | None = None,
    *,
    steps: int | None = None,
    seed: int | None = None,
    config: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int = 0,
    progress: Progress | None = None,
    save: str | Path | None = None,
) -> DistanceField:
    """Fit a field to the signed distances around a mesh, and return it.

    vertices: ``[n, 3]``, in any unit. faces: ``[m, 3]``, numbers of vertices. The other arguments are those of
    ``fit_image``.
    """
    trainer = SdfTrainer(
        vertices, faces, model, seed=seed, config=_with_steps(config, steps), device=device, threads=threads
    )
    return _trained(trainer, progress, save).field()


def _with_steps(config: Mapping[str, Any] | None, steps: int | None) -> dict[str, Any]:
    return {**(config or {}), **({} if steps is None else {"train.max_steps": steps})}


def _trained(trainer: AnyTrainer, progress: Progress | None, save: str | Path | None) -> AnyTrainer:
    n = int(trainer.config["train"]["max_steps"])
    while not trainer.is_done:
        report = trainer.step(max(n // 10, 1))
        if progress is not None:
            progress(report)
    if save is not None:
        trainer.save(save)
    return trainer
