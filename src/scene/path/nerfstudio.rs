//! Camera paths as saved by nerfstudio's viewer: one entry per frame.

use super::{CameraPath, DEFAULT_FPS, MAX_SIDE, PathOptions, read_fov, read_list};
use crate::Result;
use crate::geometry::{Camera, Intrinsics};
use crate::scene::json::{Node, checked_pose};

pub(super) fn read(root: &Node, options: &PathOptions) -> Result<CameraPath> {
    let is_panorama = is_panorama(root)?;
    let (width, height) = match options.size {
        Some(_) => options.size_or(&Intrinsics::from_fov_y(1, 1, 1.0))?,
        None => (read_side(root, "render_width")?, read_side(root, "render_height")?),
    };
    let frames = read_list(root, "camera_path", "camera_path")?;
    let fps = root.get("fps").map(|node| node.positive()).transpose()?;
    Ok(CameraPath {
        frames: frames.iter().map(|frame| read_frame(frame, (width, height), is_panorama)).collect::<Result<_>>()?,
        fps: options.fps_or(fps.map_or(DEFAULT_FPS, |fps| fps as f32))?,
    })
}

/// Returns whether the cameras are panoramas of the whole sphere, whatever the aspect ratio, as in nerfstudio
/// (`get_path_from_json` in `nerfstudio/cameras/camera_paths.py`), and not perspective. Other kinds are refused.
fn is_panorama(root: &Node) -> Result<bool> {
    let Some(node) = root.get("camera_type") else { return Ok(false) };
    let kind = node.text()?;
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    match (is("perspective"), is("equirectangular")) {
        (false, false) => Err(node.error(format!(
            "is {kind:?}, which is not supported; save the path with \"perspective\" or \"equirectangular\""
        ))),
        (_, is_panorama) => Ok(is_panorama),
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

fn read_frame(frame: &Node, (width, height): (u32, u32), is_panorama: bool) -> Result<Camera> {
    let node = frame.require("camera_to_world", "16 numbers, row by row")?;
    // The last row may be left out.
    let m = match node.items()?.len() {
        12 => node.numbers::<12>()?.to_vec(),
        _ => node.numbers::<16>()?.to_vec(),
    };
    let rows = std::array::from_fn(|row| std::array::from_fn(|column| m[4 * row + column]));
    let intrinsics = match is_panorama {
        true => Intrinsics::panorama(width, height),
        false => Intrinsics::from_fov_y(width, height, read_fov(frame)?),
    };
    Ok(Camera { camera_to_world: checked_pose(&node, rows)?, intrinsics })
}
