"""Radiance fields: the same bits as the program, rendering, queries, meshes, saving."""

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SCENE, program
from numpy.typing import NDArray

import gridfield as gf

STEPS = 12


def tensors(path: Path) -> dict[str, bytes]:
    """Return the tensors of a checkpoint by name: type and shape, then bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    begin = 8 + length
    return {
        name: f"{info['dtype']} {info['shape']}".encode()
        + data[begin + info["data_offsets"][0] : begin + info["data_offsets"][1]]
        for name, info in header.items()
    }


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_gives_the_bits_of_the_program(tmp_path: Path, seed: int) -> None:
    command = [
        str(program()), "train", str(SCENE), "--device", "cpu", "--quiet", "--seed", str(seed), "--downscale", "4",
        "--max-steps", str(STEPS), "--set", "train.batch_samples=4096", "--run-name", "it", "--output-dir", "runs",
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True)
    run = tmp_path / "runs" / "orrery" / "hash" / "it"
    by_program = run / "checkpoints" / f"step-{STEPS:09}.safetensors"

    config = {"scene": {"downscale": 4}, "train": {"batch_samples": 4096, "max_steps": STEPS}}
    trainer = gf.Trainer(gf.Scene(SCENE), model="hash", seed=seed, config=config, device="cpu")
    trainer.step(5)
    trainer.step(100)
    assert trainer.is_done and trainer.n_steps == STEPS
    by_package = Path(trainer.save(tmp_path / "own.safetensors"))

    expected, found = tensors(by_program), tensors(by_package)
    assert expected.keys() == found.keys() and len(expected) > 5
    assert [name for name in expected if expected[name] != found[name]] == []
    other = gf.Trainer(gf.Scene(SCENE), model="hash", seed=seed + 1, config=config, device="cpu")
    other.step(STEPS)
    assert tensors(Path(other.save(tmp_path / "other.safetensors"))) != expected

    view = trainer_view()
    loaded = gf.load(run, device="cpu")
    by_both = [f.render(view.c2w, view.K, view.size)["rgb"] for f in (loaded, trainer.field())]
    assert np.array_equal(by_both[0], by_both[1])


def trainer_view() -> gf.View:
    return gf.Scene(SCENE).views("test", downscale=4)[0]


def test_steps_report_and_learn(scene: gf.Scene) -> None:
    config = {"scene.downscale": 4, "train.batch_samples": 8192, "train.max_steps": 120}
    trainer = gf.Trainer(scene, config=config, device="cpu")
    first, last = trainer.step(20), trainer.step(100)
    assert (first["step"], last["step"]) == (20, 120)
    assert last["loss"] < 0.8 * first["loss"] and last["psnr"] > first["psnr"] + 1.0
    assert last["rays_per_second"] > 0 and trainer.is_done
    with pytest.raises(ValueError, match="has all of its 120 steps"):
        trainer.step(1)


def test_rendering_shows_the_photograph(field: gf.Field) -> None:
    view = trainer_view()
    out = field.render(view.c2w, view.K, view.size, ["rgb", "depth", "opacity", "normal", "occupancy"])
    (width, height), image = view.size, view.image()
    assert {name: array.shape for name, array in out.items()} == {
        "rgb": (height, width, 3), "depth": (height, width, 1), "opacity": (height, width, 1),
        "normal": (height, width, 3), "occupancy": (height, width, 3),
    }  # fmt: skip
    assert all(array.dtype == np.float32 for array in out.values())
    alpha = image[..., 3:] / 255.0
    truth = image[..., :3] / 255.0 * alpha + 1.0 - alpha
    assert -10 * np.log10(np.mean((out["rgb"] - truth) ** 2)) > 15
    mirrored = -10 * np.log10(np.mean((out["rgb"] - truth[:, ::-1]) ** 2))
    assert mirrored < -10 * np.log10(np.mean((out["rgb"] - truth) ** 2)) - 0.5
    lengths = np.linalg.norm(out["normal"], axis=-1)
    assert np.all((lengths == 0) | (abs(lengths - 1) < 1e-3)) and lengths.any()


def test_poses_of_four_rows_and_other_backgrounds(field: gf.Field) -> None:
    view = trainer_view()
    four = np.vstack([view.c2w, [0, 0, 0, 1]])
    over_white = field.render(four, view.K, view.size, background=(1, 1, 1), outputs=["rgb", "opacity"])
    over_black = field.render(view.c2w.tolist(), view.K, view.size, background=(0, 0, 0))
    difference = over_white["rgb"] - over_black["rgb"]
    assert np.abs(difference - (1 - over_white["opacity"])).max() < 1e-5


def test_a_pixel_is_where_the_camera_matrix_says(field: gf.Field) -> None:
    view = trainer_view()
    whole = field.render(view.c2w, view.K, view.size)["rgb"]
    part = view.K.copy()
    part[:2, 2] -= [20, 10]
    assert np.abs(field.render(view.c2w, part, (15, 20))["rgb"] - whole[10:30, 20:35]).max() < 2e-3


def test_lenses_bend_and_panoramas_see_all_around(field: gf.Field) -> None:
    view = trainer_view()
    straight, none, bent = (
        field.render(view.c2w, view.K, view.size, lens=lens, distortion=distortion)["rgb"]
        for lens, distortion in [("perspective", []), ("opencv", [0.0] * 4), ("opencv", [0.3, 0.0, 0.0, 0.0])]
    )
    assert np.array_equal(straight, none) and np.abs(straight - bent).max() > 0.05
    k = np.array([[32.0, 0, 32], [0, 32.0, 16], [0, 0, 1]])
    assert field.render(view.c2w, k, (64, 32), lens="equirectangular")["rgb"].shape == (32, 64, 3)


def composited(field: gf.Field, view: gf.View, x: int, y: int) -> NDArray[Any]:
    """Render one pixel by hand, from `query` alone."""
    k, c2w = view.K, view.c2w
    d = np.array([(x + 0.5 - k[0, 2]) / k[0, 0], -(y + 0.5 - k[1, 2]) / k[1, 1], -1.0])
    d = c2w[:, :3] @ d
    d /= np.linalg.norm(d)
    t = np.linspace(0, 10, 8001)[:-1] + 10 / 16000
    points = c2w[:, 3] + t[:, None] * d
    density, rgb = field.query(points.astype(np.float32), np.broadcast_to(d, points.shape))
    tau = density * 10 / 8000
    seen = np.exp(-(np.cumsum(tau) - tau))
    weights = seen * (1 - np.exp(-tau))
    color: NDArray[Any] = (weights[:, None] * rgb).sum(0) + seen[-1]
    return color


def test_compositing_queries_gives_the_rendered_pixel(field: gf.Field) -> None:
    view = trainer_view()
    rendered = field.render(view.c2w, view.K, view.size, background=(1, 1, 1))["rgb"]
    middle = [(int(view.size[0] * fx), int(view.size[1] * fy)) for fx in (0.4, 0.5, 0.6) for fy in (0.4, 0.5, 0.6)]
    apart = [np.abs(composited(field, view, x, y) - rendered[y, x]).max() for x, y in middle]
    assert np.median(apart) < 0.02 and max(apart) < 0.08, apart


def test_queries_take_any_array_and_nothing_is_outside(field: gf.Field) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (1000, 3)).astype(np.float32)
    dirs = rng.normal(size=(1000, 3)).astype(np.float32)
    density, rgb = field.query(points, dirs)
    assert density.shape == (1000,) and rgb.shape == (1000, 3) and density.dtype == rgb.dtype == np.float32
    assert density.max() > 0 and rgb.max() > 0 and rgb.min() >= 0 and rgb.max() <= 1
    again = field.query(np.asfortranarray(points.astype(np.float64)), (7 * dirs).tolist())
    assert np.array_equal(density, again[0]) and np.abs(rgb - again[1]).max() < 1e-3
    assert np.array_equal(field.density(points), density)
    far = field.query(points + 100, dirs)
    assert not far[0].any() and not far[1].any()
    assert field.query(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32))[0].shape == (0,)


def test_results_own_their_memory_and_contiguous_points_are_not_copied(field: gf.Field) -> None:
    view = trainer_view()
    rgb = field.render(view.c2w, view.K, view.size)["rgb"]
    # A reshaped vector of the library: NumPy points into it, and may write to it.
    assert rgb.flags.c_contiguous and rgb.flags.writeable
    points = np.zeros((4, 3), np.float32)
    points.flags.writeable = False
    assert field.density(points).shape == (4,)


def test_the_mesh_is_where_density_is(field: gf.Field) -> None:
    vertices, faces, colors = field.mesh(resolution=64, threshold=10)
    assert vertices.shape[1] == faces.shape[1] == colors.shape[1] == 3 and len(vertices) == len(colors)
    assert vertices.dtype == colors.dtype == np.float32 and faces.dtype == np.uint32
    assert faces.max() == len(vertices) - 1 and 0 <= colors.min() and colors.max() <= 1
    low, high = vertices.min(0), vertices.max(0)
    middle = float(np.median(vertices[:, 0]))
    part = field.mesh(64, [low, [middle, high[1], high[2]]], threshold=10)[0]
    assert 0 < len(part) < len(vertices) and part[:, 0].max() <= middle + 1e-6
    assert np.median(field.density(vertices)) > 0


def test_runs_are_saved_loaded_and_resumed(scene: gf.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"scene.downscale": 8, "train.batch_samples": 2048, "train.max_steps": 8}
    trainer = gf.Trainer(scene, config=config, seed=1, device="cpu")
    trainer.step(4)
    saved = Path(trainer.save(run_name="a"))
    assert saved == Path("outputs/orrery/hash/a/checkpoints/step-000000004.safetensors")
    field = gf.load("latest", device="cpu")
    assert isinstance(field, gf.Field) and (field.name, field.step) == ("orrery", 4)
    assert field.config["train"]["seed"] == 1

    resumed = gf.Trainer.resume("latest", device="cpu")
    assert resumed.n_steps == 4
    trainer.step(4)
    resumed.step(4)
    whole, continued = tensors(Path(trainer.save("whole.safetensors"))), tensors(Path(resumed.save()))
    assert whole == continued and (saved.parent / "step-000000008.safetensors").exists()

    longer = gf.Trainer.resume("latest", config={"train": {"max_steps": 10}, "train.save_every": 3}, device="cpu")
    assert longer.step(9)["step"] == 10 and longer.is_done
    longer.save()
    written = json.loads((saved.parents[1] / "config.json").read_text())["train"]
    assert (written["max_steps"], written["save_every"], written["seed"]) == (10, 3, 1)
    with pytest.raises(gf.FileError, match="images of"):
        gf.Trainer.resume("latest", config={"scene.downscale": 4}, device="cpu")
    with pytest.raises(gf.ConfigError, match="train.steps"):
        gf.Trainer.resume("latest", config={"train.steps": 4}, device="cpu")


def test_views_have_their_cameras(scene: gf.Scene) -> None:
    views = scene.views("train")
    assert scene.name == "orrery" and scene.format == "blender" and len(views) > 10
    view = views[0]
    assert view.image().shape == (view.size[1], view.size[0], 4) and view.image().dtype == np.uint8
    assert np.allclose(view.c2w[:, :3].T @ view.c2w[:, :3], np.eye(3), atol=1e-5)
    frames = json.loads((SCENE / "transforms_train.json").read_text())["frames"]
    assert np.allclose(view.c2w, np.array(frames[0]["transform_matrix"])[:3], atol=1e-6)
    half = scene.views("train", downscale=2)[0]
    assert half.size == (view.size[0] // 2, view.size[1] // 2) and half.image().shape[:2] == half.size[::-1]


def test_evaluation_is_that_of_training(trainer: gf.Trainer) -> None:
    evaluated = trainer.evaluate()
    assert evaluated is not None and evaluated["split"] == "val" and evaluated["psnr"] > 15
