#!/usr/bin/env python3
"""Opens mesh files with trimesh, a reader that knows nothing of gridfield, and prints one JSON object a line for each.

    scripts/check_mesh.py FILE ...

`watertight`: every edge has two triangles that run along it in opposite directions. Vertices at one place are merged first,
as STL has no shared ones. Needs trimesh (and numpy).
"""
import json
import sys

import trimesh


def describe(path):
    loaded = trimesh.load(path, process=True)
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_geometry()
    cloud = isinstance(loaded, trimesh.PointCloud)
    colors = loaded.colors if cloud else getattr(loaded.visual, "vertex_colors", None)
    described = {
        "file": path,
        "vertices": len(loaded.vertices),
        "bounds": [[float(x) for x in corner] for corner in loaded.bounds],
        "mean_color": None if colors is None or len(colors) == 0 else [float(c) for c in colors[:, :3].mean(axis=0)],
    }
    if not cloud:
        described |= {
            "triangles": len(loaded.faces),
            "watertight": bool(loaded.is_watertight),
            "winding_consistent": bool(loaded.is_winding_consistent),
            "volume": float(loaded.volume),
            "euler": int(loaded.euler_number),
        }
    return described


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("check_mesh.py: give mesh files")
    for path in sys.argv[1:]:
        print(json.dumps(describe(path)))
