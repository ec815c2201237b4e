//! Camera paths as saved by nerfstudio's viewer: one entry per frame.

use super::{CameraPath, DEFAULT_FPS, MAX_SIDE, PathOptions, read_fov, read_list};
use crate::Result;
use crate::geometry::{Camera, Intrinsics, pose};
use crate::scene::Scene;
use crate::scene::json::{Node, checked_pose};

pub(super) fn read(root: &Node, scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    refuse_other_cameras(root)?;
    let (width, height) = match options.size {
        Some(_) => options.size_or(&Intrinsics::from_fov_y(1, 1, 1.0))?,
        None => (read_side(root, "render_width")?, read_side(root, "render_height")?),
    };
    let frames = read_list(root, "camera_path", "camera_path")?;
    let fps = root.get("fps").map(|node| node.positive()).transpose()?;
    Ok(CameraPath {
        frames: frames
            .iter()
            .map(|frame| read_frame(frame, (width, height), &scene.unit_cube.origin))
            .collect::<Result<_>>()?,
        fps: options.fps_or(fps.map_or(DEFAULT_FPS, |fps| fps as f32))?,
    })
}

fn refuse_other_cameras(root: &Node) -> Result<()> {
    let Some(node) = root.get("camera_type") else { return Ok(()) };
    match node.text()? {
        kind if kind.eq_ignore_ascii_case("perspective") => Ok(()),
        kind => Err(node.error(format!("is {kind:?}, which is not supported; save the path with \"perspective\""))),
    }
}

/// Reads a width or height in pixels.
fn read_side(root: &Node, key: &str) -> Result<u32> {
    let node = root.require(key, "pixels of the video")?;
    match node.positive()? {
        side if side.fract() == 0.0 && side <= f64::from(MAX_SIDE) => Ok(side as u32),
        side => Err(node.error(format!("is {side}; expected a whole number of pixels, at most {MAX_SIDE}"))),
    }
}

fn read_frame(frame: &Node, (width, height): (u32, u32), origin: &[f64; 3]) -> Result<Camera> {
    let node = frame.require("camera_to_world", "16 numbers, row by row")?;
    // The last row may be left out.
    let m = match node.items()?.len() {
        12 => node.numbers::<12>()?.to_vec(),
        _ => node.numbers::<16>()?.to_vec(),
    };
    let rows = std::array::from_fn(|row| std::array::from_fn(|column| m[4 * row + column]));
    Ok(Camera {
        camera_to_world: pose::relative_to(origin, &checked_pose(&node, rows)?),
        intrinsics: Intrinsics::from_fov_y(width, height, read_fov(frame)?),
    })
}
