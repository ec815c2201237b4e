"""Conversion of a run's events, read back by TensorBoard's own reader."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridfield import log

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db0"
    "0000000049454e44ae426082"
)


def event(step: int, loss: float) -> str:
    return json.dumps({"event": "step", "step": step, "loss": loss, "psnr": 10.0 + step, "eta_seconds": None}) + "\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    (run / "renders" / "eval-test").mkdir(parents=True)
    (run / "renders" / "eval-test" / "r_0.png").write_bytes(PNG)
    (run / "config.json").write_text('{"train": {"seed": 7}}')
    started = json.dumps({"event": "started", "scene": "orrery", "step": 0}) + "\n"
    evaluated = json.dumps({"event": "evaluated", "step": 20, "split": "val", "psnr": 25.5, "ssim": None}) + "\n"
    (run / "metrics.jsonl").write_text(started + event(10, 0.5) + event(20, 0.25) + evaluated)
    return run


def test_tensorboard_reads_scalars_pictures_and_the_configuration(run: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "tb"
    assert log.main([str(run), "--to", "tensorboard", str(folder)]) == 0
    events = EventAccumulator(str(folder))
    events.Reload()
    losses = [(e.step, e.value) for e in events.Scalars("train/loss")]
    assert losses == [(10, 0.5), (20, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("eval/psnr")] == [(20, 25.5)]
    assert "eval/ssim" not in events.Tags()["scalars"]
    (image,) = events.Images("renders/eval-test/r_0")
    assert (image.width, image.height, image.step, image.encoded_image_string) == (1, 1, 20, PNG)
    (text,) = events.Tensors("config/text_summary")
    assert b'"seed": 7' in text.tensor_proto.string_val[0]


def test_a_growing_file_is_followed_to_its_end(run: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "tb"
    command = [sys.executable, "-m", "gridfield.log", str(run), "--to", "tensorboard", str(folder), "--follow"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    metrics = run / "metrics.jsonl"
    line = event(30, 0.125)
    with metrics.open("a") as file:
        file.write(line[:20])
        file.flush()
        time.sleep(1)
        file.write(line[20:])
        file.write(json.dumps({"event": "finished", "step": 30}) + "\n")
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 0 and out.startswith("6 events")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [e.step for e in events.Scalars("train/loss")] == [10, 20, 30]


def test_wandb_writes_an_offline_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'gridfield[wandb]'")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert log.main([str(run), "--to", "wandb", str(tmp_path / "w")]) == 0
    (written,) = (tmp_path / "w").rglob("run-*.wandb")
    assert written.stat().st_size > 0 and b"train/loss" in written.read_bytes()


def test_mistakes_are_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert log.main([str(tmp_path), "--to", "tensorboard", "x"]) == 2
    assert "no config.json" in capsys.readouterr().err
    assert log.main([str(run), "--to", "csv", "x"]) == 2
    assert "tensorboard or wandb" in capsys.readouterr().err
