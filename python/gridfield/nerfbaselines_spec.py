"""Registers the method `gridfield` with NerfBaselines, which loads this module by an entry point of the package."""

from nerfbaselines import register

register(
    {
        "id": "gridfield",
        "method_class": "gridfield.nerfbaselines:Gridfield",
        "backends_order": ["python"],
        "required_features": ["color"],
        "supported_camera_models": ["pinhole", "opencv", "opencv_fisheye", "full_opencv"],
        "supported_outputs": ["color", {"name": "depth", "type": "depth"}, "accumulation"],
        "metadata": {
            "name": "gridfield",
            "description": "Grid-based radiance fields in Rust and CUDA: hash grids and grids with other index and kernel "
            "functions, on NVIDIA GPUs and on CPUs.",
            "licenses": [{"name": "MIT OR Apache-2.0"}],
        },
    }
)
