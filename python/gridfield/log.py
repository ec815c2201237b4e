"""Convert the events of a run to TensorBoard or wandb, also while the run goes on.

    python -m gridfield.log RUN --to tensorboard DIR [--follow]
    python -m gridfield.log RUN --to wandb DIR [--follow]

Scalars come from ``metrics.jsonl``, pictures from ``renders/`` (``gridfield eval RUN --save-images`` writes them), and
the configuration from ``config.json``, as text. With ``--follow``, lines are converted as they are written, until the run
is finished. wandb writes to DIR without a network unless WANDB_MODE says otherwise; ``wandb sync`` uploads that.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

# Seconds between two looks at a file that is being written.
LOOK_EVERY = 0.5


class Writer(Protocol):
    """Where events go."""

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write numbers of a step."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Write a PNG file."""

    def text(self, name: str, text: str) -> None:
        """Write a text."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoard:
    """Event files of TensorBoard."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write numbers of a step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """Write a PNG file."""
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        with Image.open(path) as image:
            width, height = image.size
        data = path.read_bytes()
        shown = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
        self._add(Summary(value=[Summary.Value(tag=name, image=shown)]), step)

    def text(self, name: str, text: str) -> None:
        """Write a text."""
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        kind = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=shape)
        self._add(Summary(value=[Summary.Value(tag=f"{name}/text_summary", metadata=kind, tensor=tensor)]), 0)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()


class Wandb:
    """A run of wandb, offline unless the environment says otherwise."""

    def __init__(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._wandb = wandb
        self._run = wandb.init(project="gridfield", name=name, dir=str(folder), config=config, mode=mode)
        # Pictures may be of an earlier step than the last numbers, so the step is a number of its own.
        self._run.define_metric("*", step_metric="train/step")

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write numbers of a step."""
        self._run.log({**values, "train/step": step})

    def picture(self, name: str, path: Path, step: int) -> None:
        """Write a PNG file."""
        self._run.log({name: self._wandb.Image(str(path)), "train/step": step})

    def text(self, name: str, text: str) -> None:
        """Leave the text away: wandb has the configuration itself."""

    def close(self) -> None:
        """Write what is left."""
        self._run.finish()
        # The file is complete when wandb's own process, which writes it, has ended.
        self._wandb.teardown()


def lines(path: Path, follow: bool) -> Iterator[dict[str, Any] | None]:
    """Yield the events of a file, and None whenever there is no more for now; with follow, wait for further ones."""
    waiting = ""
    with path.open(encoding="utf-8") as file:
        while True:
            # A line may be only half written.
            waiting += file.readline()
            if waiting.endswith("\n"):
                yield json.loads(waiting)
                waiting = ""
                continue
            yield None
            if not follow:
                return
            time.sleep(LOOK_EVERY)


def convert(run: Path, writer: Writer, follow: bool) -> int:
    """Convert the events of a run, and return their number. With follow, return when the run is finished."""
    config = (run / "config.json").read_text(encoding="utf-8")
    writer.text("config", f"```json\n{config.strip()}\n```")
    seen: set[Path] = set()
    n, step = 0, 0
    for event in lines(run / "metrics.jsonl", follow):
        if event is None or event["event"] == "finished":
            for path in sorted(set((run / "renders").rglob("*.png")) - seen):
                seen.add(path)
                writer.picture(path.relative_to(run).with_suffix("").as_posix(), path, step)
        if event is None:
            continue
        n += 1
        kind = {"step": "train", "evaluated": "eval"}.get(event["event"])
        step = int(event.get("step", step))
        if kind is not None:
            numbers = {
                f"{kind}/{key}": float(value)
                for key, value in event.items()
                if key != "step" and isinstance(value, int | float)
            }
            writer.scalars(numbers, step)
        if follow and event["event"] == "finished":
            break
    return n


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gridfield.log", description="Convert the events of a run.")
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run")
    parser.add_argument("--to", nargs=2, metavar=("WHAT", "DIR"), required=True, help="tensorboard or wandb, and a folder")
    parser.add_argument("--follow", action="store_true", help="go on until the run is finished")
    args = parser.parse_args(arguments)
    run, (what, folder) = args.run, args.to
    missing = [name for name in ("config.json", "metrics.jsonl") if not (run / name).is_file()]
    if missing:
        print(f"gridfield: error: {run}: not the folder of a run, as it has no {missing[0]}", file=sys.stderr)
        return 2
    try:
        if what == "tensorboard":
            writer: Writer = TensorBoard(Path(folder))
        elif what == "wandb":
            writer = Wandb(Path(folder), run.resolve().name, json.loads((run / "config.json").read_text()))
        else:
            print(f"gridfield: error: --to is {what}, but must be tensorboard or wandb", file=sys.stderr)
            return 2
    except ImportError as error:
        print(f"gridfield: error: {error.name} is missing; pip install 'gridfield[{what}]'", file=sys.stderr)
        return 2
    try:
        n = convert(run, writer, args.follow)
    except KeyboardInterrupt:
        return 130
    finally:
        writer.close()
    print(f"{n} events of {run} are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
