"""The compiled part of gridfield."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str
__commit__: str

Path = str | PathLike[str]
Floats = NDArray[np.float32]

class View:
    """A photograph and its camera."""

    @property
    def name(self) -> str:
        """Path of the image inside the scene without its extension."""
    @property
    def path(self) -> Any:
        """The image file (pathlib.Path)."""
    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
    @property
    def K(self) -> NDArray[np.float64]:
        """Camera matrix ``[3, 3]`` in pixels; the middle of the image is (width / 2, height / 2)."""
    @property
    def c2w(self) -> NDArray[np.float64]:
        """Camera to world ``[3, 4]``: columns x (right), y (up), z (backwards) and position, in scene coordinates."""
    @property
    def lens(self) -> str:
        """Name of the lens, as ``Field.render`` takes it."""
    @property
    def distortion(self) -> list[float]:
        """Coefficients of the lens, in OpenCV's order."""
    def image(self) -> NDArray[np.uint8]:
        """Decode the image: ``[h, w, 4]``, sRGB with straight alpha."""

class Scene:
    """Photographs with known cameras: a Blender, nerfstudio, instant-ngp, LLFF or COLMAP scene."""

    def __init__(
        self,
        path: Path,
        *,
        format: str | None = None,
        sparse: str | None = None,
        allow_missing: bool = False,
        pose_convention: str | None = None,
    ) -> None:
        """Read and check all cameras; no image is decoded. The options are the flags of ``gridfield train``."""
    @property
    def path(self) -> Any:
        """Folder of the scene (pathlib.Path)."""
    @property
    def name(self) -> str:
        """Name of the folder."""
    @property
    def format(self) -> str:
        """Format in which the scene is stored."""
    @property
    def notes(self) -> list[str]:
        """What the reader noticed, one sentence each."""
    def views(self, split: str = "train", *, downscale: int = 1) -> list[View]:
        """Return the views of a split (train, val or test), with images and cameras reduced by a whole factor."""

class StepReport(TypedDict, total=False):
    """Averages over the steps of one call; what a task does not have is left out."""

    step: int
    loss: float
    psnr: float
    learning_rate: float
    rays_per_second: float
    samples_per_second: float
    samples_per_ray: float
    asked_per_composited: float
    seconds: float
    eta_seconds: float | None

class _AnyTrainer:
    def step(self, n: int = 1) -> Any:
        """Train for n steps, or to the end of the run, and return a StepReport: averages over these steps.

        Other threads run meanwhile. Ctrl-C raises KeyboardInterrupt after the step in progress; training can continue.
        Raises ConfigError if the run is at its end.
        """
    def evaluate(self) -> dict[str, Any] | None:
        """Measure the field in its current state, as ``train.eval_every`` does; None without anything to compare with."""
    def save(self, path: Path | None = None, *, output_dir: Path = "outputs", run_name: str | None = None) -> Any:
        """Write a checkpoint, and return its path.

        Without a path it goes to the folder of a run below output_dir, which is made at the first call and is then
        `latest` for the program and for ``load``.
        """
    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration, as in config.json."""
    @property
    def n_steps(self) -> int:
        """Number of completed steps."""
    @property
    def is_done(self) -> bool:
        """Whether all steps or seconds of the configuration are completed."""

class Trainer(_AnyTrainer):
    """A radiance field in training. The same seed gives the same bits as ``gridfield train`` on a CPU."""

    def __init__(
        self,
        scene: Scene,
        model: str | None = None,
        *,
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
        device: str = "auto",
        threads: int = 0,
    ) -> None:
        """Load the training images and initialize a field.

        model: a name such as "hash". config: settings as in config.json, nested or with dotted keys such as
        {"train.max_steps": 2000}; model and seed take precedence. device: "auto", "cpu" or "cuda". threads: CPU threads,
        0 for one per core.
        """
    @staticmethod
    def resume(
        run: Path,
        *,
        scene: Path | None = None,
        output_dir: Path | None = None,
        config: Mapping[str, Any] | None = None,
        device: str = "auto",
        threads: int = 0,
    ) -> Trainer:
        """Continue a run (its folder, a checkpoint or "latest") where it was saved.

        scene: its folder, if it has moved. config: settings that change, such as {"train.max_steps": 20000}.
        """
    def field(self) -> Field:
        """Return the field in its current state, which later steps do not change."""

class ImageTrainer(_AnyTrainer):
    """A field that is being fitted to an image."""

    def __init__(
        self,
        array: NDArray[Any],
        model: str | None = None,
        *,
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
        name: str = "image",
        device: str = "auto",
        threads: int = 0,
    ) -> None:
        """Copy the image, ``[h, w]`` or ``[h, w, c]`` (uint8 or uint16: sRGB; float: linear), and initialize a field."""
    def field(self) -> ImageField:
        """Return the field in its current state."""

class SdfTrainer(_AnyTrainer):
    """A field that is being fitted to the signed distances around a mesh."""

    def __init__(
        self,
        vertices: ArrayLike,
        faces: ArrayLike,
        model: str | None = None,
        *,
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
        name: str = "mesh",
        device: str = "auto",
        threads: int = 0,
    ) -> None:
        """Copy the mesh, vertices ``[n, 3]`` and faces ``[m, 3]``, and initialize a field."""
    @property
    def notes(self) -> list[str]:
        """What may be wrong with the mesh, one sentence each."""
    def field(self) -> DistanceField:
        """Return the field in its current state."""

class _AnyField:
    @property
    def name(self) -> str:
        """Name of the scene, image or mesh."""
    @property
    def step(self) -> int:
        """Number of training steps."""
    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the run."""

class Field(_AnyField):
    """A radiance field that no longer changes. All methods may be called from several threads."""

    def render(
        self,
        c2w: ArrayLike,
        K: ArrayLike,
        size: tuple[int, int],
        outputs: Sequence[str] = ("rgb",),
        *,
        background: tuple[float, float, float] | None = None,
        lens: str = "perspective",
        distortion: Sequence[float] = (),
        box: ArrayLike | None = None,
    ) -> dict[str, Floats]:
        """Render what a camera sees: float32 arrays ``[h, w, c]``.

        c2w: ``[3, 4]`` or ``[4, 4]``, camera to world, with x right, y up and the view along -z. K: ``[3, 3]`` in pixels.
        size: (width, height). outputs: "rgb" (sRGB over the background), "depth" (along the ray in scene units, 0 where
        nothing is hit), "opacity", "normal" (unit vectors in scene coordinates, 0 without a surface), "occupancy" (a
        picture of the occupied cells). background: sRGB, by default that of training. lens and distortion: "opencv" with
        k1, k2, p1, p2, k3, k4; "full_opencv" with k1, k2, p1, p2, k3 … k6; "fisheye" with k1 … k4; "thin_prism_fisheye"
        with k1, k2, p1, p2, k3, k4, s1, s2; "equirectangular"; "equal_area". box: ``[[x0, y0, z0], [x1, y1, z1]]``,
        outside of which nothing is shown.
        """
    def query(self, xyz: ArrayLike, dirs: ArrayLike) -> tuple[Floats, Floats]:
        """Return density ``[n]`` per scene unit and colour ``[n, 3]`` (sRGB) at points seen along directions.

        xyz and dirs: ``[n, 3]``; dirs point from the camera to the point, of any length. Both are read in place if they
        are contiguous float32. Density and colour are 0 where the occupancy grid is empty and outside of the field.
        """
    def density(self, xyz: ArrayLike) -> Floats:
        """Return the density ``[n]`` per scene unit at points ``[n, 3]``, as ``query`` does."""
    def mesh(
        self,
        resolution: int = 256,
        box: ArrayLike | None = None,
        *,
        threshold: float = 30.0,
        min_component: int = 0,
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.uint32], Floats]:
        """Extract the surface: vertices ``[n, 3]``, faces ``[m, 3]``, colours ``[n, 3]`` (sRGB).

        resolution: cells per axis of the field's box. box: ``[[x0, y0, z0], [x1, y1, z1]]``, to which the surface is cut.
        threshold: density at the surface per side of the unit cube. min_component: drop parts with fewer triangles.
        Vertices are float32, or float64 for scenes with large (georeferenced) coordinates.
        """

class ImageField(_AnyField):
    """A fitted image."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the image."""
    def render(
        self,
        size: tuple[int, int] | None = None,
        *,
        crop: tuple[float, float, float, float] | None = None,
    ) -> Floats:
        """Evaluate at the centres of pixels: ``[h, w, c]``, sRGB, or linear if the image was of floats.

        size: (width, height), by default one pixel for each of the image. crop: the part (x, y, width, height) in pixels
        of the image.
        """
    def query(self, xy: ArrayLike) -> Floats:
        """Return the values ``[n, c]`` at points ``[n, 2]``, from 0 to 1 across the width and down the height."""

class DistanceField(_AnyField):
    """A fitted signed distance field, negative inside."""

    def render(
        self,
        c2w: ArrayLike,
        K: ArrayLike,
        size: tuple[int, int],
        outputs: Sequence[str] = ("rgb",),
        *,
        background: tuple[float, float, float] = (1.0, 1.0, 1.0),
        lens: str = "perspective",
        distortion: Sequence[float] = (),
        box: ArrayLike | None = None,
    ) -> dict[str, Floats]:
        """Render the shaded surface; the arguments are those of ``Field.render``, without the output "occupancy"."""
    def query(self, xyz: ArrayLike) -> Floats:
        """Return the distances ``[n]`` in the mesh's unit at points ``[n, 3]`` within the field's cube."""
    def mesh(
        self, resolution: int = 256, box: ArrayLike | None = None
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.uint32]]:
        """Extract the surface: vertices ``[n, 3]`` and faces ``[m, 3]``."""

def load(run: Path, *, output_dir: Path | None = None, device: str = "auto", threads: int = 0) -> Any:
    """Open a run's folder, a checkpoint or "latest": a Field, ImageField or DistanceField, by what was trained."""

def measure(
    what: str,
    models: list[str],
    *,
    set: list[str],
    n: int,
    dim: int | None,
    points: str,
    data: Path | None,
    labels: Path | None,
    theta: str,
    seed: int,
    steps: int | None,
    device: str,
    threads: int,
) -> dict[str, Any]:
    """Make a measurement of ``gridfield.gtk``."""
