"""Look at a run in a browser with viser: python examples/viewer.py latest (pip install viser)."""

import sys
import time

import numpy as np
import viser

import gridfield as gf

field = gf.load(sys.argv[1])
server = viser.ViserServer()
server.scene.set_up_direction("+z")
LONG, SHORT = 640, 160


def picture(camera: viser.CameraHandle, height: int) -> None:
    """Show what a browser's camera sees. viser's cameras look along +z with y down."""
    width = max(int(height * camera.aspect), 1)
    focal = 0.5 * height / np.tan(0.5 * camera.fov)
    k = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
    turned = viser.transforms.SO3(camera.wxyz).as_matrix() * [1, -1, -1]
    c2w = np.column_stack([turned, camera.position])
    camera.client.scene.set_background_image(field.render(c2w, k, (width, height))["rgb"])


while True:
    for client in server.get_clients().values():
        picture(client.camera, SHORT if time.time() - client.camera.update_timestamp < 0.5 else LONG)
    time.sleep(0.05)
