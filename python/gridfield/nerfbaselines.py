"""The method `gridfield` of NerfBaselines (Kulhánek and Sattler, 2024), which finds it by an entry point of the package.

A dataset that gridfield reads from the same files, with the same cameras, is opened where it lies: training then gives
the bits of ``gridfield train``, and the commands of the program find the scene of a run. Any other dataset, such as one
that NerfBaselines has undistorted or reduced in memory, is written as a ``transforms.json`` scene to a temporary folder,
from which the trainer loads it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nerfbaselines import camera_model_from_int
from numpy.typing import NDArray

from . import Field, Scene, Trainer, View, load
from .errors import ConfigError, Error

METHOD = "gridfield"

CAMERA_MODELS = frozenset(("pinhole", "opencv", "opencv_fisheye", "full_opencv"))

# Names of the outputs in NerfBaselines and here.
OUTPUTS = {"color": "rgb", "depth": "depth", "accumulation": "opacity"}

# The file beside config.json that keeps the background of the dataset.
BACKGROUND_FILE = "background.json"

# Settings that say how a scene is read, which follow from the dataset.
OF_READING = frozenset(f"scene.{key}" for key in ("path", "format", "sparse", "allow_missing", "pose_convention"))


@dataclass(frozen=True)
class _Camera:
    """A camera as ``Field.render`` takes it."""

    c2w: NDArray[np.float64]
    K: NDArray[np.float64]
    size: tuple[int, int]
    lens: str
    distortion: list[float]

    @classmethod
    def of(cls, camera: Any) -> "_Camera":
        """Convert a single camera of NerfBaselines, which has OpenCV's axes."""
        lens, distortion = _lens(int(np.asarray(camera.camera_models).item()), camera.distortion_parameters)
        c2w = np.array(camera.poses, np.float64)[:3, :4]
        c2w[:, 1:3] *= -1
        fl_x, fl_y, cx, cy = np.array(camera.intrinsics, np.float64)
        width, height = (int(side) for side in camera.image_sizes)
        return cls(c2w, np.array([[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]]), (width, height), lens, distortion)

    def is_of(self, view: View) -> bool:
        """Whether a view has this camera, but for the rounding of single precision."""
        own, others = _without_zeros(self.lens, self.distortion), _without_zeros(view.lens, view.distortion)
        return (
            self.size == view.size
            and own[0] == others[0]
            and len(own[1]) == len(others[1])
            and np.allclose(own[1], others[1], rtol=1e-5, atol=1e-7)
            and np.allclose(self.K, view.K, rtol=1e-5, atol=1e-4)
            and np.allclose(self.c2w, view.c2w, rtol=1e-5, atol=1e-5)
        )

    def frame(self) -> dict[str, Any]:
        """Return this camera as a frame of a ``transforms.json``, without the image."""
        models = {"perspective": "PINHOLE", "opencv": "OPENCV", "fisheye": "OPENCV_FISHEYE", "full_opencv": "FULL_OPENCV"}
        names = ["k1", "k2", "k3", "k4"] if self.lens == "fisheye" else ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"]
        return {
            "transform_matrix": [*self.c2w.tolist(), [0.0, 0.0, 0.0, 1.0]],
            "w": self.size[0],
            "h": self.size[1],
            "fl_x": self.K[0, 0],
            "fl_y": self.K[1, 1],
            "cx": self.K[0, 2],
            "cy": self.K[1, 2],
            "camera_model": models[self.lens],
            **dict(zip(names, self.distortion, strict=False)),
        }


def _lens(model: int, parameters: Any) -> tuple[str, list[float]]:
    """Return the lens of a camera model of NerfBaselines, whose parameters are k1, k2, p1, p2, k3 … k6."""
    try:
        name = camera_model_from_int(model)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    given = [float(x) for x in np.asarray(parameters).ravel()]
    k = (given + [0.0] * 8)[:8]
    match name:
        case "pinhole":
            return "perspective", []
        case "opencv":
            return "opencv", k[:4]
        case "opencv_fisheye":
            return "fisheye", [k[0], k[1], k[4], k[5]]
        case "full_opencv":
            return "full_opencv", k
    known = ", ".join(sorted(CAMERA_MODELS))
    raise ConfigError(f"the camera model {name} is not supported; gridfield has {known}")


def _without_zeros(lens: str, distortion: list[float]) -> tuple[str, list[float]]:
    """Return the simplest form of a lens: a perspective lens if all coefficients are 0, and none at the end that are."""
    kept = list(distortion)
    while kept and kept[-1] == 0:
        kept.pop()
    return ("perspective" if lens == "opencv" and not kept else lens), kept


class Gridfield:
    """A radiance field, trained and rendered as NerfBaselines asks (``nerfbaselines.Method``)."""

    def __init__(
        self,
        *,
        checkpoint: str | None = None,
        train_dataset: Mapping[str, Any] | None = None,
        config_overrides: Mapping[str, Any] | None = None,
    ) -> None:
        settings = {key: _typed(value) for key, value in _dotted(config_overrides or {})}
        machine: dict[str, Any] = {key: settings.pop(key) for key in ("device", "threads") if key in settings}
        if not isinstance(machine.get("threads", 0), int):
            raise ConfigError(f"threads is {machine['threads']!r}, but must be a number of threads")
        if named := sorted(OF_READING & settings.keys()):
            raise ConfigError(f"{named[0]} cannot be set here, as NerfBaselines reads the dataset; leave it away")
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._trainer: Trainer | None = None
        self._field: Field | None = None
        self._background: list[int] | None = None
        if train_dataset is not None:
            self._background = _background(train_dataset)
            self._trainer = _trainer(self._checkpoint, train_dataset, settings, machine)
        elif self._checkpoint is not None:
            if settings:
                raise ConfigError(f"{min(settings)} is for training, but no training dataset is given; leave it away")
            self._field = _radiance(load(self._checkpoint, **machine))
            if (file := self._checkpoint / BACKGROUND_FILE).exists():
                self._background = json.loads(file.read_text())
        else:
            raise ConfigError("neither a checkpoint nor a training dataset is given; give one of them")
        self._loaded_step = None if self._checkpoint is None else self._n_steps()

    @classmethod
    def get_method_info(cls) -> dict[str, Any]:
        """Return what NerfBaselines must know before it loads a dataset."""
        return {
            "method_id": METHOD,
            "required_features": frozenset(("color",)),
            "supported_camera_models": CAMERA_MODELS,
            "supported_outputs": ("color", {"name": "depth", "type": "depth"}, "accumulation"),
            "can_resume_training": True,
        }

    def get_info(self) -> dict[str, Any]:
        """Return the number of steps, where training stands, and the configuration with dotted keys."""
        config = self._config()
        return {
            **self.get_method_info(),
            "num_iterations": int(config["train"]["max_steps"]),
            "loaded_step": self._loaded_step,
            "loaded_checkpoint": None if self._checkpoint is None else str(self._checkpoint),
            "hparams": dict(_dotted(config)),
        }

    def train_iteration(self, step: int) -> dict[str, float]:
        """Train for one step, the one after `step` others."""
        if self._trainer is None:
            raise ConfigError("the method was opened without a training dataset, so it cannot be trained")
        if step != self._trainer.n_steps:
            raise ConfigError(f"step {step} is asked for, but the field stands at step {self._trainer.n_steps}")
        self._field = None
        report = self._trainer.step(1)
        names = {
            "loss": "loss",
            "psnr": "psnr",
            "learning_rate": "learning-rate",
            "rays_per_second": "rays-per-second",
        }
        return {name: float(report[key]) for key, name in names.items() if report.get(key) is not None}

    def render(self, camera: Any, *, options: Mapping[str, Any] | None = None) -> dict[str, NDArray[Any]]:
        """Render one camera: color `[h, w, 3]`, sRGB over the dataset's background, depth and accumulation `[h, w]`."""
        options = options or {}
        if options.get("embedding") is not None:
            raise ConfigError("an appearance embedding is given, but gridfield has none")
        if len(camera) != 1:
            raise ConfigError(f"{len(camera)} cameras are given, but one is rendered at a time")
        asked = options.get("outputs") or tuple(OUTPUTS)
        if unknown := [name for name in asked if name not in OUTPUTS]:
            raise ConfigError(f"there is no output {unknown[0]}; the outputs are {', '.join(OUTPUTS)}")
        if self._field is None:
            assert self._trainer is not None
            self._field = self._trainer.field()
        seen = _Camera.of(camera.item())
        over = None if self._background is None else tuple(value / 255 for value in self._background)
        rendered = self._field.render(
            seen.c2w,
            seen.K,
            seen.size,
            [OUTPUTS[name] for name in asked],
            background=over,  # type: ignore[arg-type]
            lens=seen.lens,
            distortion=seen.distortion,
        )
        out: dict[str, NDArray[Any]] = {name: rendered[OUTPUTS[name]] for name in asked}
        out = {name: array if name == "color" else array[..., 0] for name, array in out.items()}
        if (options.get("output_type_dtypes") or {}).get("color") == "uint8" and "color" in out:
            # As NerfBaselines converts: truncated.
            out["color"] = np.clip(out["color"] * np.float32(255), 0, 255).astype(np.uint8)
        return out

    def save(self, path: str) -> None:
        """Write the run to a folder, which is also one for the commands of the program."""
        folder = Path(path)
        checkpoints = folder / "checkpoints"
        written = checkpoints / f"step-{self._n_steps():09}.safetensors"
        if later := [other for other in checkpoints.glob("step-*.safetensors") if other.name > written.name]:
            raise ConfigError(f"{later[0]} is of a later step than {self._n_steps()}; save to another folder")
        checkpoints.mkdir(parents=True, exist_ok=True)
        if self._trainer is not None:
            self._trainer.save(written)
        else:
            assert self._checkpoint is not None
            kept = self._checkpoint / "checkpoints" / written.name
            if kept.resolve() != written.resolve():
                shutil.copyfile(kept, written)
        (folder / "config.json").write_text(json.dumps(self._config(), indent=2) + "\n", encoding="utf-8")
        if self._background is not None:
            (folder / BACKGROUND_FILE).write_text(json.dumps(self._background) + "\n", encoding="utf-8")

    def get_train_embedding(self, index: int) -> None:
        """Return no embedding: all photographs have the same appearance."""
        return None

    def optimize_embedding(self, dataset: Any, *, embedding: Any = None) -> Any:
        """Refuse: there are no embeddings."""
        raise NotImplementedError("gridfield has no appearance embeddings")

    def _config(self) -> dict[str, Any]:
        source = self._trainer or self._field
        assert source is not None
        return source.config

    def _n_steps(self) -> int:
        if self._trainer is not None:
            return self._trainer.n_steps
        assert self._field is not None
        return self._field.step


def _radiance(field: Any) -> Field:
    if not isinstance(field, Field):
        raise ConfigError("the checkpoint is not of a radiance field, which alone NerfBaselines renders")
    return field


def _typed(value: Any) -> Any:
    """Return a setting with its type: `--set` gives text, which is JSON or else a string, as for the program."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _background(dataset: Mapping[str, Any]) -> list[int] | None:
    color = dataset["metadata"].get("background_color")
    return None if color is None else [int(value) for value in np.asarray(color).ravel()]


def _trainer(
    checkpoint: Path | None, dataset: Mapping[str, Any], settings: dict[str, Any], machine: dict[str, Any]
) -> Trainer:
    """Return a trainer on a dataset, which continues from a checkpoint if one is given."""
    if settings.get("train.max_seconds") is not None:
        raise ConfigError("train.max_seconds cannot be set here, as NerfBaselines counts steps; set train.max_steps")
    if dataset["metadata"].get("color_space", "srgb") != "srgb":
        raise ConfigError("the dataset has linear colours, but gridfield is trained on sRGB images of 8 bits")
    cameras = [_Camera.of(camera) for camera in dataset["cameras"]]
    with _scene(dataset, cameras) as (scene, reading):
        if checkpoint is None:
            return Trainer(scene, config={**reading, **settings}, **machine)
        moved = {"scene.path": str(scene.path)}
        return Trainer.resume(checkpoint, scene=scene.path, config={**moved, **settings}, **machine)


@contextmanager
def _scene(dataset: Mapping[str, Any], cameras: list[_Camera]) -> Iterator[tuple[Scene, dict[str, Any]]]:
    """Open the scene of a dataset, where it lies or in a temporary folder, with the settings that read it as it is."""
    if found := _where_it_lies(dataset, cameras):
        scene, factor = found
        yield scene, ({} if factor == 1 else {"scene.downscale": factor})
        return
    with tempfile.TemporaryDirectory(prefix="gridfield-") as above:
        folder = Path(above) / (Path(dataset["metadata"].get("scene") or _root(dataset)).name or "scene")
        _write(dataset, cameras, folder)
        yield Scene(folder), {}


def _where_it_lies(dataset: Mapping[str, Any], cameras: list[_Camera]) -> tuple[Scene, int] | None:
    """Return the scene that holds the images of a dataset with the same cameras, and the factor of their reduction."""
    if dataset.get("masks") is not None:
        return None
    root = _root(dataset)
    for folder in (root, root.parent):
        try:
            scene = Scene(folder.resolve())
        except Error:
            continue
        for factor in (1, 2, 4, 8):
            try:
                views = scene.views("train", downscale=factor)
            except Error:
                break
            if _are_the_same(views, factor, dataset, cameras):
                return scene, factor
    return None


def _root(dataset: Mapping[str, Any]) -> Path:
    return Path(dataset.get("image_paths_root") or os.path.commonpath(dataset["image_paths"]))


def _are_the_same(views: list[View], factor: int, dataset: Mapping[str, Any], cameras: list[_Camera]) -> bool:
    paths = [Path(path).resolve() for path in dataset["image_paths"]]
    if len(views) != len(paths):
        return False

    def place(path: Path) -> tuple[Path, str]:
        folder = path.parent
        reduced = folder.name == f"images_{factor}" and factor > 1
        return (folder.with_name("images") if reduced else folder), path.stem

    # LLFF scenes may have reduced images alone.
    by_place = {place(Path(view.path).resolve()): view for view in views}
    pairs = [(by_place.get(place(path)), camera) for path, camera in zip(paths, cameras, strict=True)]
    if not all(view is not None and camera.is_of(view) for view, camera in pairs):
        return False
    view, shown = pairs[0][0], _image(dataset, 0, cameras[0])
    assert view is not None
    own = view.image()[..., : shown.shape[-1]]
    # Decoders of JPEG differ by a step or two; images that were changed in memory differ by more.
    return own.shape == shown.shape and bool(np.abs(own.astype(int) - shown).mean() < 1)


def _image(dataset: Mapping[str, Any], index: int, camera: _Camera) -> NDArray[np.uint8]:
    width, height = camera.size
    image: NDArray[Any] = np.asarray(dataset["images"][index])[:height, :width]
    if image.dtype != np.uint8 or image.shape not in ((height, width, 3), (height, width, 4)):
        path = dataset["image_paths"][index]
        raise ConfigError(
            f"{path} is an array {list(image.shape)} of {image.dtype}, but [{height}, {width}, 3 or 4] of uint8 is needed"
        )
    return image


def _write(dataset: Mapping[str, Any], cameras: list[_Camera], folder: Path) -> None:
    """Write a dataset as a ``transforms.json`` scene of PNG images, all of them for training."""
    from PIL import Image

    masks = dataset.get("masks")
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()

    def write(index: int) -> dict[str, Any]:
        camera = cameras[index]
        name = f"images/{index:06}.png"
        frame = {"file_path": name, **camera.frame()}
        Image.fromarray(_image(dataset, index, camera)).save(folder / name, compress_level=1)
        if masks is not None:
            width, height = camera.size
            frame["mask_path"] = f"masks/{index:06}.png"
            mask = np.asarray(masks[index])[:height, :width].astype(bool).astype(np.uint8) * 255
            Image.fromarray(mask).save(folder / frame["mask_path"], compress_level=1)
        return frame

    with ThreadPoolExecutor() as pool:
        frames = list(pool.map(write, range(len(cameras))))
    document = {"train_filenames": [frame["file_path"] for frame in frames], "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(document), encoding="utf-8")
