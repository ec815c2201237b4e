"""The notebook runs from its first cell to its last."""

from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOK = ROOT / "python" / "examples" / "train_scene.ipynb"


def test_the_notebook_trains_and_plots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("NOTEBOOK_STEPS", "300")
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
