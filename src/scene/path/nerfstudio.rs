//! Camera paths as saved by nerfstudio's viewer: one entry per frame, or key cameras alone, which its viewer would
//! interpolate.

use std::path::Path;

use super::camera_path::CameraPath;
use super::file::{fov, read_fov, read_list};
use super::nerfstudio_frame::PathFrame;
use super::options::{DEFAULT_FPS, MAX_SIDE, PathOptions};
use super::spline::{Key, Spline};
use super::{PathTransforms, interpolate, nerfstudio_crop};
use crate::geometry::pose::{self, Pose};
use crate::geometry::{Camera, Intrinsics};
use crate::scene::Scene;
use crate::scene::json::{Node, checked_pose, is_last_row};
use crate::{Error, Result};

/// Key and value that mark a file as saved by this program, whose paths are in the coordinates of the scene.
pub(super) const SOFTWARE: (&str, &str) = ("software", "gridfield");
/// Time from one keyframe to the next where the file does not say.
const SECONDS_BETWEEN_KEYS: f64 = 1.0;

pub(super) fn read(file: &Path, root: &Node, scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    let is_panorama = is_panorama(root)?;
    let size = match options.size {
        Some(_) => options.size_or(&Intrinsics::from_fov_y(1, 1, 1.0))?,
        None => (read_side(root, "render_width")?, read_side(root, "render_height")?),
    };
    let fps = root.get("fps").map(|node| node.positive()).transpose()?;
    let fps = options.fps_or(fps.map_or(DEFAULT_FPS, |fps| fps as f32))?;
    let is_own = is_own(root);
    let transforms = match &options.transforms {
        // There is nothing to guess about gridfield's own files.
        PathTransforms::Beside if is_own => &PathTransforms::None,
        transforms => transforms,
    };
    let (frame, note) = PathFrame::of(file, scene, transforms)?;
    let is_certain = is_own && *transforms == PathTransforms::None;
    let mut notes: Vec<String> = (!is_certain).then_some(note).into_iter().collect();
    let mut crop = None;
    if let Some(wanted) = root.get("crop").filter(|crop| !crop.is_off()) {
        if frame.is_of_scene() {
            crop = nerfstudio_crop::read(&wanted, &scene.unit_cube.origin)?;
        }
        if crop.is_none() {
            notes.push(format!(
                "{} has a crop box that is turned against the scene's axes or given in a frame of nerfstudio's own, which is \
                 not supported; all of the scene is shown",
                file.display()
            ));
        }
    }
    let in_scene = |rows: [[f64; 4]; 3]| pose::relative_to(&scene.unit_cube.origin, &frame.to_scene(&rows));
    let lists_frames = root.get("camera_path").is_some_and(|frames| !frames.is_empty());
    if !lists_frames && root.get("keyframes").is_some_and(|keys| !keys.is_empty()) {
        let spline = read_keys(root, in_scene)?;
        let n_frames = options.n_frames(seconds(root, &spline)?, fps)?;
        notes.push(format!("{} lists key cameras alone, so its frames are interpolated", file.display()));
        let (width, height) = size;
        let intrinsics = |fov_y| match is_panorama {
            true => Intrinsics::panorama(width, height),
            false => Intrinsics::from_fov_y(width, height, fov_y),
        };
        return Ok(CameraPath { frames: spline.frames(n_frames, intrinsics), fps, notes, crop });
    }
    let frames = read_list(root, "camera_path", "camera_path")?;
    let frames =
        frames.iter().map(|frame| read_frame(frame, size, is_panorama, in_scene)).collect::<Result<Vec<_>>>()?;
    let frames = match options.seconds {
        None => frames,
        Some(seconds) => interpolate::resampled(&frames, options.n_frames(seconds, fps)?).ok_or_else(|| {
            Error::file(
                file,
                "has a mirrored camera, to and from which no path can be interpolated; leave --seconds away",
            )
        })?,
    };
    Ok(CameraPath { frames, fps, notes, crop })
}

/// Returns whether this program has saved the file.
fn is_own(root: &Node) -> bool {
    root.get(SOFTWARE.0).is_some_and(|node| node.text().is_ok_and(|name| name == SOFTWARE.1))
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

fn read_frame(
    frame: &Node,
    (width, height): (u32, u32),
    is_panorama: bool,
    in_scene: impl Fn([[f64; 4]; 3]) -> [[f32; 4]; 3],
) -> Result<Camera> {
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
    Ok(Camera { camera_to_world: in_scene(checked_pose(&node, rows)?), intrinsics })
}

/// Reads the keyframes and how they are joined.
fn read_keys(root: &Node, in_scene: impl Fn([[f64; 4]; 3]) -> [[f32; 4]; 3]) -> Result<Spline> {
    let nodes = read_list(root, "keyframes", "keyframes")?;
    let (mut keys, mut seconds, mut are_texts) = (Vec::new(), Vec::new(), false);
    for node in &nodes {
        let (matrix, rows, is_text) = read_matrix(node)?;
        let pose = Pose::of(&in_scene(rows)).ok_or_else(|| matrix.error("mirrors, which no camera does"))?;
        let fov_y = match (node.get("fov"), root.get("default_fov")) {
            (None, Some(usual)) => fov(&usual)?,
            _ => read_fov(node)?,
        };
        keys.push(Key { pose, fov_y: f64::from(fov_y) });
        seconds.push(transition(node, root)?);
        are_texts = is_text;
    }
    let flag = |key| root.get(key).map_or(Ok(false), |node| node.flag());
    let tension = match root.get("smoothness_value") {
        None => 0.0,
        Some(node) => match node.number()? {
            tension if (0.0..=1.0).contains(&tension) => tension,
            tension => return Err(node.error(format!("is {tension}; it must be from 0 to 1"))),
        },
    };
    // In the first viewers, whose matrices are strings, it is a factor on the tangents of three.js, and ½ gives a
    // Catmull–Rom spline. In later ones it is the tension of a Kochanek–Bartels spline, and 0 gives a Catmull–Rom
    // spline.
    let slack = if are_texts { tension } else { 0.5 * (1.0 - tension) };
    Ok(Spline::new(&keys, &seconds, flag("is_cycle")?, slack))
}

/// Reads the matrix of a keyframe, and whether it is a string. A JSON list is row-major; the first viewers wrote a
/// string that holds a column-major list.
fn read_matrix<'a>(key: &Node<'a>) -> Result<(Node<'a>, [[f64; 4]; 3], bool)> {
    let node = key.require("matrix", "16 numbers")?;
    let text = node.text().ok();
    let m: [f64; 16] = match text {
        None => node.numbers()?,
        Some(text) => serde_json::from_str(text)
            .ok()
            .filter(|m: &[f64; 16]| m.iter().all(|x| (*x as f32).is_finite()))
            .ok_or_else(|| node.error("is not a list of 16 finite numbers; save the path again"))?,
    };
    let by_row = |row: usize| std::array::from_fn(|column| m[4 * row + column]);
    let by_column = |row: usize| std::array::from_fn(|column| m[4 * column + row]);
    let rows = match (is_last_row(&by_row(3)), is_last_row(&by_column(3))) {
        (true, false) => [0, 1, 2].map(by_row),
        (false, true) => [0, 1, 2].map(by_column),
        // For a camera at the origin, both orders fit.
        (true, true) if text.is_none() => [0, 1, 2].map(by_row),
        (true, true) => [0, 1, 2].map(by_column),
        (false, false) => {
            return Err(node.error("is not a camera: neither its last row nor its last column is 0, 0, 0, 1"));
        }
    };
    Ok((node.clone(), checked_pose(&node, rows)?, text.is_some()))
}

/// Returns the seconds from the previous keyframe to this one.
fn transition(key: &Node, root: &Node) -> Result<f64> {
    let is_own = key.get("override_transition_enabled").map_or(Ok(false), |node| node.flag())?;
    let own = key.get("override_transition_sec").filter(|_| is_own);
    own.or_else(|| root.get("default_transition_sec")).map_or(Ok(SECONDS_BETWEEN_KEYS), |node| node.positive())
}

/// Returns the length of a path of keyframes: that of its transitions, or what the file says if it has none.
fn seconds(root: &Node, spline: &Spline) -> Result<f32> {
    let told = root.get("seconds").filter(|_| root.get("default_transition_sec").is_none() || spline.duration() == 0.0);
    let seconds = told.map(|node| node.positive()).transpose()?;
    let usual = if spline.duration() > 0.0 { spline.duration() } else { SECONDS_BETWEEN_KEYS };
    Ok(seconds.unwrap_or(usual) as f32)
}
