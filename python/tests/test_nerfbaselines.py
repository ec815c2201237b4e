"""The method of NerfBaselines: its command line, the data it hands over, cameras, saving and resuming."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SCENE, program
from numpy.typing import NDArray
from test_radiance import tensors

import gridfield as gf

pytest.importorskip("nerfbaselines", reason="NerfBaselines is not installed; pip install nerfbaselines")
import nerfbaselines as nb
from nerfbaselines import cameras as nb_cameras
from nerfbaselines.datasets import load_dataset
from nerfbaselines.io import get_method_sha
from PIL import Image

from gridfield import nerfbaselines as ours
from gridfield.nerfbaselines import Gridfield

STEPS, EARLIER = 150, 60
SETTINGS = {"train.max_steps": STEPS, "train.batch_samples": 4096, "train.seed": 3}

# The program of NerfBaselines, where PyTorch may be missing: without it LPIPS cannot be measured, and is not a number.
PROGRAM = """
import importlib.util, sys, types
import numpy as np
if importlib.util.find_spec("torch") is None:
    import nerfbaselines.metrics as metrics
    sys.modules["torch"] = types.ModuleType("torch")
    metrics.lpips = metrics.lpips_vgg = lambda a, b: np.full(a.shape[0], np.nan)
from nerfbaselines.cli import main
main()
"""


def run(*arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "NERFBASELINES_NO_UPDATE_CHECK": "1"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundled scene at a quarter of its size with three test images, in the same format."""
    folder = tmp_path_factory.mktemp("scenes") / "orrery"
    for split, most in [("train", 60), ("test", 3)]:
        document = json.loads((SCENE / f"transforms_{split}.json").read_text())
        document["frames"] = document["frames"][:most]
        document.update(w=40, h=40)
        (folder / split).mkdir(parents=True)
        for frame in document["frames"]:
            with Image.open(SCENE / f"{frame['file_path']}.png") as image:
                image.reduce(4).save(folder / f"{frame['file_path']}.png")
        (folder / f"transforms_{split}.json").write_text(json.dumps(document))
    (folder / "nb-info.json").write_text((SCENE / "nb-info.json").read_text())
    return folder


def train(small: Path, output: Path, *more: str) -> Path:
    settings = [argument for key, value in SETTINGS.items() for argument in ("--set", f"{key}={value}")]
    arguments = ["train", "--method", "gridfield", "--backend", "python", "--data", str(small), "--output", str(output)]
    # Nothing is evaluated on the way.
    quiet = ["--logger", "none", "--eval-few-iters", str(10 * STEPS), "--eval-all-iters", str(10 * STEPS)]
    run(*arguments, "--set", "device=cpu", *settings, *quiet, *more, cwd=output.parent)
    return output


@pytest.fixture(scope="session")
def trained(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(small, tmp_path_factory.mktemp("nb") / "out", "--save-iters", f"{EARLIER},{STEPS}")


@pytest.fixture(scope="session")
def checkpoint(trained: Path) -> Path:
    return trained / f"checkpoint-{STEPS}"


@pytest.fixture(scope="session")
def method(checkpoint: Path) -> Gridfield:
    return Gridfield(checkpoint=str(checkpoint), config_overrides={"device": "cpu"})


def weights(checkpoint: Path) -> dict[str, bytes]:
    (file,) = (checkpoint / "checkpoints").glob("*.safetensors")
    return tensors(file)


def dataset_of(folder: Path, split: str = "train") -> Any:
    return load_dataset(str(folder), split=split, supported_camera_models=ours.CAMERA_MODELS)


def elsewhere(dataset: Any) -> Any:
    """Return the dataset as if its images had been changed in memory: their paths no longer exist."""
    root = "/undistorted"
    paths = [path.replace(dataset["image_paths_root"], root) for path in dataset["image_paths"]]
    return {**dataset, "image_paths": paths, "image_paths_root": root}


def camera(model: str = "pinhole", parameters: Any = (), size: tuple[int, int] = (40, 40)) -> Any:
    """Return a camera that looks at the middle of the scene, past it by a little, in NerfBaselines' axes."""
    view = gf.Scene(SCENE).views("test")[3]
    pose = view.c2w.astype(np.float32)
    pose[:, 1:3] *= -1
    return nb.new_cameras(
        poses=pose,
        intrinsics=np.array([44.0, 43.0, 19.0, 21.0], np.float32),
        camera_models=np.array(nb.camera_model_to_int(model), np.int32),
        distortion_parameters=np.array(parameters, np.float32),
        image_sizes=np.array(size, np.int32),
    )


def test_it_is_found_by_the_entry_point_and_says_the_same_twice() -> None:
    (entry,) = [e for e in importlib.metadata.entry_points(group="nerfbaselines.specs") if e.name == "gridfield"]
    assert entry.value == "gridfield.nerfbaselines_spec"
    spec, info = nb.get_method_spec("gridfield"), Gridfield.get_method_info()
    assert frozenset(spec["supported_camera_models"]) == info["supported_camera_models"]
    assert frozenset(spec["required_features"]) == info["required_features"]
    assert tuple(spec["supported_outputs"]) == info["supported_outputs"]
    with nb.build_method_class(spec, backend="python") as built:
        assert issubclass(built, Gridfield) and isinstance(built.__new__(built), nb.Method)
    alone = "import sys, gridfield; sys.exit('nerfbaselines' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", alone]).returncode == 0


def test_its_figures_are_those_of_the_program(small: Path, checkpoint: Path, tmp_path: Path) -> None:
    run(
        "render", "--checkpoint", str(checkpoint), "--data", str(small), "--output", "out", "--backend", "python",
        cwd=tmp_path,
    )  # fmt: skip
    run("evaluate", "out", "--output", "results.json", cwd=tmp_path)
    theirs = json.loads((tmp_path / "results.json").read_text())["metrics"]
    figures = evaluated(checkpoint, tmp_path)
    assert 12 < figures["psnr"] < 40
    assert abs(theirs["psnr"] - figures["psnr"]) < 1e-3 and abs(theirs["ssim"] - figures["ssim"]) < 1e-3
    other = evaluated(checkpoint.parent / f"checkpoint-{EARLIER}", tmp_path)
    assert abs(theirs["psnr"] - other["psnr"]) > 0.02


def evaluated(checkpoint: Path, folder: Path) -> dict[str, float]:
    """Return the figures of the program."""
    arguments = ["--protocol", "nerfbaselines", "--device", "cpu", "--output", "e.json"]
    subprocess.run([str(program()), "eval", str(checkpoint), *arguments], cwd=folder, check=True, capture_output=True)
    results: dict[str, float] = json.loads((folder / "e.json").read_text())["results"]
    return results


def test_the_same_dataset_gives_the_bits_of_the_program(small: Path, checkpoint: Path, tmp_path: Path) -> None:
    command = [
        str(program()), "train", str(small), "--device", "cpu", "--quiet", "--seed", "3", "--max-steps", str(STEPS),
        "--set", "train.batch_samples=4096", "--run-name", "it",
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True)
    assert weights(tmp_path / "outputs" / "orrery" / "hash" / "it") == weights(checkpoint)


def test_a_resumed_training_ends_with_the_same_bits(small: Path, trained: Path, tmp_path: Path) -> None:
    earlier = trained / f"checkpoint-{EARLIER}"
    assert weights(earlier) != weights(trained / f"checkpoint-{STEPS}")
    resumed = train(small, tmp_path / "out", "--checkpoint", str(earlier))
    assert weights(resumed / f"checkpoint-{STEPS}") == weights(trained / f"checkpoint-{STEPS}")


def test_a_resumed_training_can_be_longer(small: Path, trained: Path) -> None:
    longer = {"train.max_steps": str(STEPS + 2), "device": "cpu"}
    method = Gridfield(
        checkpoint=str(trained / f"checkpoint-{STEPS}"), train_dataset=dataset_of(small), config_overrides=longer
    )
    info = method.get_info()
    assert (info["loaded_step"], info["num_iterations"]) == (STEPS, STEPS + 2)
    before = method.render(camera())["color"]
    report = method.train_iteration(STEPS)
    assert {"loss", "psnr", "learning-rate"} <= report.keys() and np.isfinite(list(report.values())).all()
    assert not np.array_equal(method.render(camera())["color"], before)
    with pytest.raises(gf.ConfigError, match=f"step {STEPS} is asked for, but the field stands at step {STEPS + 1}"):
        method.train_iteration(STEPS)


def test_it_says_where_it_stands(method: Gridfield, checkpoint: Path) -> None:
    info = method.get_info()
    assert (info["num_iterations"], info["loaded_step"]) == (STEPS, STEPS)
    assert info["loaded_checkpoint"] == str(checkpoint)
    assert info["hparams"]["model.name"] == "hash" and info["hparams"]["train.batch_samples"] == 4096
    assert json.loads(json.dumps(info["hparams"])) == info["hparams"]


def test_saved_and_loaded_it_renders_the_same_bits(
    small: Path, checkpoint: Path, method: Gridfield, tmp_path: Path
) -> None:
    training = Gridfield(checkpoint=str(checkpoint), train_dataset=dataset_of(small), config_overrides={"device": "cpu"})
    first, second = tmp_path / "first", tmp_path / "second"
    training.save(str(first))
    loaded = Gridfield(checkpoint=str(first), config_overrides={"device": "cpu"})
    loaded.save(str(second))
    again = Gridfield(checkpoint=str(second), config_overrides={"device": "cpu"})
    pictures = [m.render(camera()) for m in (training, loaded, again, method)]
    for picture in pictures[1:]:
        assert all(np.array_equal(picture[name], pictures[0][name]) for name in pictures[0])
    assert get_method_sha(loaded) == get_method_sha(again)
    assert weights(second) == weights(checkpoint)
    assert np.array_equal(gf.load(second, device="cpu").render(*plain(camera()))["rgb"], pictures[0]["color"])


def plain(camera: Any) -> tuple[NDArray[Any], NDArray[Any], tuple[int, int]]:
    pose = camera.poses.astype(float)
    pose[:, 1:3] *= -1
    fl_x, fl_y, cx, cy = camera.intrinsics
    return pose, np.array([[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]]), tuple(camera.image_sizes.tolist())


def test_outputs_have_the_shapes_and_backgrounds_asked_for(method: Gridfield, checkpoint: Path, tmp_path: Path) -> None:
    out = method.render(camera(size=(40, 30)))
    assert {name: array.shape for name, array in out.items()} == {
        "color": (30, 40, 3), "depth": (30, 40), "accumulation": (30, 40),
    }  # fmt: skip
    assert all(array.dtype == np.float32 for array in out.values())
    assert 0.5 < out["accumulation"].max() <= 1.001 and 1 < np.median(out["depth"][out["accumulation"] > 0.5]) < 6
    only = method.render(camera(size=(40, 30)), options={"outputs": ("color",), "output_type_dtypes": {"color": "uint8"}})
    assert list(only) == ["color"] and np.array_equal(only["color"], nb_uint8(out["color"]))
    method.save(str(tmp_path))
    (tmp_path / ours.BACKGROUND_FILE).write_text("[0, 51, 255]")
    tinted = Gridfield(checkpoint=str(tmp_path), config_overrides={"device": "cpu"}).render(camera(size=(40, 30)))
    difference = (1 - np.array([0, 0.2, 1])) * (1 - out["accumulation"][..., None])
    assert difference.max() > 0.1 and np.abs(out["color"] - tinted["color"] - difference).max() < 1e-5


def nb_uint8(color: NDArray[Any]) -> NDArray[Any]:
    from nerfbaselines.utils import convert_image_dtype

    converted: NDArray[Any] = convert_image_dtype(color, np.uint8)
    return converted


LENSES = [
    ("pinhole", []),
    ("opencv", [0.15, -0.05, 0.02, -0.01]),
    # NerfBaselines pads the parameters of datasets with several models.
    ("opencv", [0.15, -0.05, 0.02, -0.01, 0.0, 0.0, 0.0, 0.0]),
    ("opencv_fisheye", [0.1, -0.02, 0.0, 0.0, 8.0, -6.0]),
    ("full_opencv", [0.2, 0.1, 0.01, -0.02, 4.0, 0.3, 1.0, 2.0]),
]


@pytest.mark.parametrize(("model", "parameters"), LENSES)
def test_its_rays_are_those_of_nerfbaselines(method: Gridfield, model: str, parameters: list[float]) -> None:
    seen = camera(model, parameters)
    picture = method.render(seen, options={"outputs": ("color",)})["color"]
    straight = method.render(camera(), options={"outputs": ("color",)})["color"]
    assert (model == "pinhole") == (np.abs(picture - straight).max() < 1e-3)
    pixels = np.array([[3, 4], [20, 20], [30, 9], [36, 37], [12, 28]])
    # The direction of a pixel's ray in the axes of the camera, as a camera of one pixel.
    here = seen.replace(poses=np.eye(4, dtype=np.float32)[:3])
    _, directions = nb_cameras.get_rays(here[None], pixels)
    for (i, j), (x, y, z) in zip(pixels, directions, strict=True):
        one = camera(size=(1, 1)).replace(intrinsics=np.array([1, 1, 0.5 - x / z, 0.5 - y / z], np.float32))
        assert np.abs(method.render(one)["color"][0, 0] - picture[j, i]).max() < 2e-3, (i, j)


@pytest.mark.parametrize(("model", "parameters"), LENSES)
def test_a_dataset_in_memory_is_written_as_it_is(small: Path, tmp_path: Path, model: str, parameters: list[float]) -> None:
    dataset = elsewhere(dataset_of(small))
    n, lens = len(dataset["images"]), nb.camera_model_to_int(model)
    dataset["cameras"] = dataset["cameras"].replace(
        camera_models=np.full(n, lens, np.int32),
        distortion_parameters=np.tile(np.array(parameters, np.float32), (n, 1)),
        intrinsics=dataset["cameras"].intrinsics * np.float32(1.01),
    )
    dataset["masks"] = [np.ones((40, 40), bool) for _ in range(n)]
    dataset["masks"][1][:, 20:] = False
    cameras = [ours._Camera.of(one) for one in dataset["cameras"]]
    ours._write(dataset, cameras, tmp_path / "scene")
    views = gf.Scene(tmp_path / "scene").views("train")
    assert len(views) == n
    for view, image, one in zip(views, dataset["images"], cameras, strict=True):
        assert np.array_equal(view.image(), image)
        assert np.array_equal(view.c2w, one.c2w) and np.array_equal(view.K, one.K) and one.is_of(view)
    with Image.open(tmp_path / "scene" / "masks" / "000001.png") as mask:
        assert np.array_equal(np.asarray(mask) > 0, dataset["masks"][1])


def test_a_dataset_in_memory_is_trained_and_its_masks_count(small: Path, tmp_path: Path) -> None:
    settings = {"train.max_steps": 8, "train.batch_samples": "2048", "device": "cpu"}

    def trained(dataset: Any) -> Gridfield:
        method = Gridfield(train_dataset=dataset, config_overrides=settings)
        for step in range(4):
            method.train_iteration(step)
        return method

    dataset = elsewhere(dataset_of(small))
    method, again = trained(dataset), trained(dataset)
    masked = trained({**dataset, "masks": [np.eye(40, dtype=bool)] * len(dataset["images"])})
    pictures = [m.render(camera())["color"] for m in (method, again, masked)]
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])
    # The temporary scene is gone, and is not needed to go on.
    scene = Path(method.get_info()["hparams"]["scene.path"])
    assert scene.name == "orrery" and not scene.exists() and not scene.parent.exists()
    method.save(str(tmp_path))
    resumed = Gridfield(checkpoint=str(tmp_path), train_dataset=dataset, config_overrides={"device": "cpu"})
    for m in (method, resumed):
        m.train_iteration(4)
    assert np.array_equal(method.render(camera())["color"], resumed.render(camera())["color"])


def test_images_that_differ_from_the_files_are_those_trained_on(small: Path) -> None:
    dataset = dataset_of(small)
    cameras = [ours._Camera.of(one) for one in dataset["cameras"]]
    found = ours._where_it_lies(dataset, cameras)
    assert found is not None and found[0].path == small.resolve() and found[1] == 1
    darker = {**dataset, "images": [image // 2 for image in dataset["images"]]}
    assert ours._where_it_lies(darker, cameras) is None
    turned = [ours._Camera.of(one) for one in dataset["cameras"]]
    turned[5].c2w[0, 3] += 0.01
    assert ours._where_it_lies(dataset, turned) is None
    fewer = {**dataset, "image_paths": dataset["image_paths"][:-1], "images": dataset["images"][:-1]}
    assert ours._where_it_lies(fewer, cameras[:-1]) is None
    assert ours._where_it_lies({**dataset, "masks": [np.ones((40, 40), bool)] * 60}, cameras) is None


def test_llff_scenes_are_opened_where_they_lie(tmp_path: Path) -> None:
    rows = []
    (tmp_path / "sparse").mkdir()
    (tmp_path / "images_4").mkdir()
    for i, view in enumerate(gf.Scene(SCENE).views("train")[:16]):
        right, up, back, position = view.c2w.T
        size = np.array([4 * view.size[1], 4 * view.size[0], 4 * view.K[0, 0]])
        rows.append([*np.stack([-up, right, back, position, size], axis=1).ravel(), 2.0, 6.0])
        Image.fromarray(view.image()[..., :3]).save(tmp_path / "images_4" / f"{i:02}.png")
    np.save(tmp_path / "poses_bounds.npy", np.array(rows))
    (tmp_path / "nb-info.json").write_text(json.dumps({"loader": "nerfbaselines.datasets.llff:load_llff_dataset"}))
    dataset = dataset_of(tmp_path)
    cameras = [ours._Camera.of(one) for one in dataset["cameras"]]
    with ours._scene(dataset, cameras) as (scene, reading):
        assert scene.path == tmp_path.resolve() and scene.format == "llff" and reading == {"scene.downscale": 4}
    smaller = [ours._Camera(one.c2w, one.K, (79, 80), one.lens, one.distortion) for one in cameras]
    assert ours._where_it_lies(dataset, smaller) is None


def test_colmap_scenes_are_opened_where_they_lie(tmp_path: Path) -> None:
    views = gf.Scene(SCENE).views("train")[:16]
    model = tmp_path / "sparse" / "0"
    model.mkdir(parents=True)
    (tmp_path / "images").mkdir()
    lines = []
    for i, view in enumerate(views):
        world_to_camera = (view.c2w[:, :3] * [1, -1, -1]).T
        w, x, y, z = quaternion(world_to_camera)
        t = -world_to_camera @ view.c2w[:, 3]
        lines.append(f"{i + 1} {w} {x} {y} {z} {t[0]} {t[1]} {t[2]} 1 {i:02}.png\n\n")
        Image.fromarray(view.image()[..., :3]).save(tmp_path / "images" / f"{i:02}.png")
    (model / "images.txt").write_text("".join(lines))
    (model / "cameras.txt").write_text("1 OPENCV 160 160 222.0 221.0 80.5 79.5 0.1 -0.02 0.001 0.002\n")
    (model / "points3D.txt").write_text("1 0.1 0.2 0.3 255 255 255 0.5 1 0\n")
    dataset = dataset_of(tmp_path)
    cameras = [ours._Camera.of(one) for one in dataset["cameras"]]
    assert len(cameras) == 14 and cameras[0].lens == "opencv"
    with ours._scene(dataset, cameras) as (scene, reading):
        assert scene.path == tmp_path.resolve() and scene.format == "colmap" and reading == {}
    with ours._scene(elsewhere(dataset), cameras) as (scene, reading):
        assert scene.path != tmp_path.resolve() and scene.format == "transforms" and reading == {}
        written = scene.views("train")
        assert len(written) == 14 and all(c.is_of(view) for c, view in zip(cameras, written, strict=True))


def quaternion(rotation: NDArray[Any]) -> NDArray[Any]:
    """Return the unit quaternion (w, x, y, z) of a rotation: the eigenvector of Bar-Itzhack's matrix for eigenvalue 1."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    matrix = [
        [xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, xx - yy - zz, yx + xy, xz + zx],
        [xz - zx, yx + xy, yy - xx - zz, zy + yz],
        [yx - xy, xz + zx, zy + yz, zz - xx - yy],
    ]
    vector: NDArray[Any] = np.linalg.eigh(np.array(matrix) / 3)[1][:, -1]
    return vector


def test_mistakes_are_told_in_a_sentence(small: Path, checkpoint: Path, method: Gridfield, tmp_path: Path) -> None:
    dataset = dataset_of(small)

    def says(match: str, **arguments: Any) -> None:
        with pytest.raises(gf.ConfigError, match=match):
            Gridfield(**arguments)

    says("neither a checkpoint nor a training dataset is given")
    for key in sorted(ours.OF_READING):
        says(f"{key} cannot be set here", train_dataset=dataset, config_overrides={key: "x"})
    says("train.max_seconds cannot be set here", train_dataset=dataset, config_overrides={"train": {"max_seconds": "5"}})
    says("train.steps", train_dataset=dataset, config_overrides={"train.steps": "5"})
    says("there is no device `tpu`", train_dataset=dataset, config_overrides={"device": "tpu"})
    says("threads is 'two'", train_dataset=dataset, config_overrides={"threads": "two"})
    says("train.max_steps is for training", checkpoint=str(checkpoint), config_overrides={"train.max_steps": 5})
    says("linear colours", train_dataset={**dataset, "metadata": {**dataset["metadata"], "color_space": "linear"}})
    wrong = elsewhere({**dataset, "images": [image.astype(np.float32) for image in dataset["images"]]})
    says(r"is an array \[40, 40, 4\] of float32", train_dataset=wrong)
    strange = dataset["cameras"].replace(camera_models=np.full(60, 9, np.int32))
    says("Unknown camera model", train_dataset={**dataset, "cameras": strange})
    with pytest.raises(gf.FileError, match="other cameras than those|training images"):
        other = elsewhere({**dataset, "cameras": dataset["cameras"].replace(poses=dataset["cameras"].poses[::-1])})
        Gridfield(checkpoint=str(checkpoint), train_dataset=other)
    with pytest.raises(gf.FileError):
        Gridfield(checkpoint=str(tmp_path))

    with pytest.raises(gf.ConfigError, match="Unknown camera model"):
        method.render(camera().replace(camera_models=np.array(9, np.int32)))
    with pytest.raises(gf.ConfigError, match="60 cameras are given"):
        method.render(dataset["cameras"])
    with pytest.raises(gf.ConfigError, match="there is no output normal; the outputs are color, depth, accumulation"):
        method.render(camera(), options={"outputs": ("normal",)})
    with pytest.raises(gf.ConfigError, match="gridfield has none"):
        method.render(camera(), options={"embedding": np.zeros(3)})
    with pytest.raises(gf.ConfigError, match="cannot be trained"):
        method.train_iteration(STEPS)
    earlier = Gridfield(checkpoint=str(checkpoint.parent / f"checkpoint-{EARLIER}"))
    before = weights(checkpoint)
    with pytest.raises(gf.ConfigError, match=f"is of a later step than {EARLIER}; save to another folder"):
        earlier.save(str(checkpoint))
    assert weights(checkpoint) == before
    image = gf.ImageTrainer(np.zeros((16, 16), np.uint8), config={"train.max_steps": 1}, device="cpu")
    image.step(1)
    (tmp_path / "image" / "checkpoints").mkdir(parents=True)
    image.save(tmp_path / "image" / "checkpoints" / "step-000000001.safetensors")
    (tmp_path / "image" / "config.json").write_text("{}")
    says("not of a radiance field", checkpoint=str(tmp_path / "image"))


def test_a_model_that_nerfbaselines_may_get_is_refused(monkeypatch: pytest.MonkeyPatch, method: Gridfield) -> None:
    monkeypatch.setattr(ours, "camera_model_from_int", lambda _: "equirectangular")
    with pytest.raises(ValueError, match="the camera model equirectangular is not supported; gridfield has full_opencv"):
        method.render(camera())
