"""Mistakes end with one sentence, signals end the work, and other threads go on."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIG, SCENE, program

import gridfield as gf

POSE = np.eye(4)[:3]
K = np.array([[50.0, 0, 20], [0, 50, 20], [0, 0, 1]])
TRIANGLE = ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda f: f.render(np.eye(3), K, (40, 40)), "c2w has the shape [3, 3], but must be [3, 4]"),
        (lambda f: f.render(POSE, np.eye(4), (40, 40)), "K has the shape [4, 4], but must be [3, 3]"),
        (lambda f: f.render(POSE, -K, (40, 40)), "the camera matrix is"),
        (lambda f: f.render(np.zeros((3, 4)), K, (40, 40)), "three axes that span space"),
        (lambda f: f.render(POSE * np.nan, K, (40, 40)), "finite numbers"),
        (lambda f: f.render(POSE, K, (0, 40)), "0×40 pixels"),
        (lambda f: f.render(POSE, K, (40, 40), ["colour"]), "this field has no output `colour`; it has rgb"),
        (lambda f: f.render(POSE, K, (40, 40), lens="pinhole"), "the lenses are perspective, opencv"),
        (lambda f: f.render("x", K, (40, 40)), "c2w is not an array"),
        (lambda f: f.query(np.zeros((4, 2)), np.zeros((4, 2))), "xyz has the shape [4, 2], but must be [n, 3]"),
        (lambda f: f.query(np.zeros((4, 3)), np.ones((5, 3))), "xyz has 4 points, but dirs has 5"),
        (lambda f: f.query(np.zeros((4, 3)), np.zeros((4, 3))), "direction 0 is [0.0, 0.0, 0.0]"),
        (lambda f: f.mesh(4), "resolution is 4, but must be from 8"),
        (lambda f: f.mesh(64, [[0, 0, 0], [0, 1, 1]]), "the box is empty"),
        (lambda f: f.mesh(64, [0, 1]), "box has the shape [2]"),
        (lambda f: f.mesh(64, threshold=1e30), "lower --density-threshold"),
        (lambda _: gf.Trainer(gf.Scene(SCENE), "cash"), "model.name"),
        (lambda _: gf.Trainer(gf.Scene(SCENE), config={"train.steps": 1}), "nearest one is `train.max_steps`"),
        (lambda _: gf.Trainer(gf.Scene(SCENE), config={"train": {"max_steps": "x"}}), "train.max_steps is"),
        (lambda _: gf.Trainer(gf.Scene(SCENE), config={"task": "sdf"}), "another task"),
        (lambda _: gf.Trainer(gf.Scene(SCENE), config={"train.max_steps": float("nan")}), "not like JSON"),
        (lambda _: gf.Trainer(gf.Scene(SCENE), device="tpu"), "the devices are auto, cpu and cuda"),
        (lambda _: gf.fit_image(np.zeros((4, 4, 5), np.uint8)), "the image has 5 channels"),
        (lambda _: gf.fit_image(np.full((4, 4), np.inf)), "not a finite number"),
        (lambda _: gf.fit_image(np.zeros((4, 4), bool)), "array is bool"),
        (lambda _: gf.fit_sdf([[0, 0, 0]], [[0, 1, 2]]), "face 0 names vertex 1"),
        (lambda _: gf.fit_sdf(TRIANGLE[0], [[0, 1, -1]]), "faces has -1"),
        (lambda _: gf.fit_sdf(*TRIANGLE, steps=0), "train.max_steps"),
        (lambda _: gf.gtk.spectrum("quadratic"), "quadratic"),
        (lambda _: gf.Scene(SCENE).views("trial"), "the splits are train, val and test"),
    ],
)
def test_mistakes_are_named(field: gf.Field, call: Callable[[gf.Field], object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        call(field)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, gf.ConfigError)


def test_missing_files_are_named_as_by_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder") as caught:
        gf.Scene("nowhere")
    told = subprocess.run([program(), "train", "nowhere"], capture_output=True, text=True)
    assert told.returncode == 2 and isinstance(caught.value, gf.Error)
    with pytest.raises(FileNotFoundError) as caught:
        gf.load("nowhere")
    told = subprocess.run([program(), "render", "nowhere"], capture_output=True, text=True)
    assert told.stderr == f"gridfield: error: {caught.value}\n"
    (tmp_path / "bad.safetensors").write_bytes(b"12345678901234567890")
    with pytest.raises(OSError, match="not a safetensors file") as caught_other:
        gf.load("bad.safetensors")
    assert not isinstance(caught_other.value, FileNotFoundError)


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_a_missing_gpu_is_an_error_of_its_own() -> None:
    with pytest.raises(gf.DeviceError):
        gf.fit_image(np.zeros((4, 4), np.uint8), device="cuda")


def interrupted(code: str) -> tuple[float, str]:
    """Run Python code, interrupt it once it says so, and return the seconds to its end and what it printed."""
    head = f"import gridfield as gf, numpy as np, sys\nscene = gf.Scene({str(SCENE)!r})\n"
    # Shells start background jobs with SIGINT ignored, and children inherit it.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(
        [sys.executable, "-c", head + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    begun = time.monotonic()
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    return time.monotonic() - begun, out


def test_ctrl_c_ends_a_long_step_and_training_can_go_on() -> None:
    seconds, out = interrupted(
        "trainer = gf.Trainer(scene, config={'scene.downscale': 4, 'train.batch_samples': 8192}, device='cpu')\n"
        "print('ready', flush=True)\n"
        "try:\n    trainer.step(6000)\nexcept KeyboardInterrupt:\n    n = trainer.n_steps\n"
        "    print(0 < n < 6000, trainer.step(2)['step'] == n + 2)\n"
    )
    assert out == "True True\n" and seconds < 3


def test_ctrl_c_ends_a_long_rendering() -> None:
    seconds, out = interrupted(
        "field = gf.Trainer(scene, config={'scene.downscale': 8}, device='cpu').field()\n"
        "view = scene.views('test')[0]\nk = view.K * [[20], [20], [1]]\n"
        "print('ready', flush=True)\n"
        "try:\n    field.render(view.c2w, k, (8000, 8000))\nexcept KeyboardInterrupt:\n"
        "    print(field.render(view.c2w, view.K, (8, 8))['rgb'].shape)\n"
    )
    assert out == "(8, 8, 3)\n" and seconds < 3


def test_other_threads_run_during_a_step(scene: gf.Scene) -> None:
    trainer = gf.Trainer(scene, config=CONFIG, device="cpu", threads=1)
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    trainer.step(40)
    ended = time.monotonic()
    done.set()
    thread.join()
    during = [t for t in ticks if begun < t < ended]
    # Held for the whole step, the lock would leave none.
    assert ended - begun > 0.1 and len(during) > 5


def test_threads_wait_for_each_other(scene: gf.Scene) -> None:
    trainer = gf.Trainer(scene, config=CONFIG, device="cpu")
    threads = [threading.Thread(target=trainer.step, args=(5,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trainer.n_steps == 20
