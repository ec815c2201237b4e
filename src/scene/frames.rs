//! Frames of transforms files, as shared by Blender scenes, nerfstudio and instant-ngp: image, intrinsics, lens.
//!
//! Intrinsics come from `fl_x, fl_y, cx, cy, w, h`, or for the focal length from `x_fov, y_fov` (degrees) or
//! `camera_angle_x, camera_angle_y` (radians), each given for the whole file or for one frame. A frame's own value
//! takes precedence over the file's. Focal lengths and principal points are in pixels of a `w × h` image, or of the
//! image file where `w` and `h` are not given.

use super::json::{Node, checked_pose};
use super::keys::Keys;
use super::load::{ASPECT_TOLERANCE, image_size, turned_when_shown};
use super::{PoseConvention, View, panorama};
use crate::Result;
use crate::geometry::{Camera, Intrinsics, Lens, pose};
use crate::names::{self, IMAGE_EXTENSIONS};
use std::path::{Path, PathBuf};

/// A frame before the size of its image is known.
pub(super) struct Frame<'a> {
    pub node: Node<'a>,
    /// Path of the image as written in the file.
    pub file_path: &'a str,
    /// `None` if the image is missing.
    pub image_path: Option<PathBuf>,
    /// Camera-to-world matrix in the coordinates of the file.
    camera_to_world: [[f64; 4]; 3],
}

/// Reads the frames of a transforms file, whose images may be missing from `folder`.
pub(super) fn read<'a>(folder: &Path, root: &Node<'a>, convention: PoseConvention) -> Result<Vec<Frame<'a>>> {
    let list = root.require("frames", "the list of cameras and images")?;
    let nodes = list.items()?;
    if nodes.is_empty() {
        return Err(list.error("is empty; a split needs at least one frame"));
    }
    nodes.into_iter().enumerate().map(|(i, node)| Frame::read(folder, i, node, convention)).collect()
}

impl<'a> Frame<'a> {
    fn read(folder: &Path, index: usize, node: Node<'a>, convention: PoseConvention) -> Result<Self> {
        let node = node.named(format!("frame {index}"));
        let file_path = node.require("file_path", "the image's path in the scene's folder")?.text()?;
        let node = node.named(format!("frame {index} ({file_path})"));
        let camera_to_world = convention.to_opengl(read_pose(&node)?);
        Ok(Frame { node, file_path, image_path: find_image(folder, file_path), camera_to_world })
    }

    /// Returns the position of the camera in the coordinates of the file.
    pub fn position(&self) -> [f64; 3] {
        pose::position(&self.camera_to_world)
    }

    /// Returns the view of this frame, whose image must exist, in coordinates relative to `origin`.
    pub fn view(&self, folder: &Path, root: &Node, origin: &[f64; 3]) -> Result<View> {
        let Some(image_path) = &self.image_path else { return Err(self.missing(folder)) };
        let name = view_name(self.file_path);
        let size = image_size(image_path, &name)?;
        let keys = Keys { frame: &self.node, file: root };
        let intrinsics = read_intrinsics(&keys, image_path, size)?;
        let crop_radius = read_crop_radius(&keys, &intrinsics)?;
        let camera_to_world = pose::relative_to(origin, &self.camera_to_world);
        let view = View::new(name, image_path, Camera { intrinsics, camera_to_world });
        Ok(View { crop_radius, transparent: read_transparent(root)?, ..view })
    }

    /// Returns the error for a required image that is missing.
    pub fn missing(&self, folder: &Path) -> crate::Error {
        let tried = "as it stands and with .png, .jpg, .jpeg and .webp";
        self.node.error(format!(
            "names an image that is not in {} ({tried}); restore it or remove the frame",
            folder.display()
        ))
    }
}

pub(super) fn find_image(folder: &Path, file_path: &str) -> Option<PathBuf> {
    let with = |extension| names::find(folder, &format!("{file_path}.{extension}"));
    names::find(folder, file_path).or_else(|| IMAGE_EXTENSIONS.iter().find_map(with))
}

/// Returns the name of a view: `./train/r_0.png` → `train/r_0`.
fn view_name(file_path: &str) -> String {
    let path = names::with_slashes(file_path);
    let path = path.trim_start_matches("./");
    match path.rsplit_once('.') {
        Some((stem, extension)) if IMAGE_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) => {
            stem.to_owned()
        }
        _ => path.to_owned(),
    }
}

fn read_pose(frame: &Node) -> Result<[[f64; 4]; 3]> {
    let node = frame.require("transform_matrix", "the 4×4 camera-to-world matrix")?;
    checked_pose(&node, node.matrix()?)
}

/// Reads nerfstudio's `fisheye_crop_radius` in pixels of the image file. nerfstudio draws pixels within that distance
/// of the middle of the image (`PixelSampler.sample_method_fisheye`), and ignores the key for other lenses.
fn read_crop_radius(keys: &Keys, image: &Intrinsics) -> Result<Option<f32>> {
    let given = keys.get("fisheye_crop_radius").filter(|_| matches!(image.lens, Lens::Fisheye { .. }));
    let Some(radius) = given.map(|node| node.positive()).transpose()? else { return Ok(None) };
    let width = keys.positive("w")?.unwrap_or(f64::from(image.width));
    Ok(Some((radius * f64::from(image.width) / width) as f32))
}

/// Reads the colours that instant-ngp's keys make transparent (`convert_rgba32` in its loader).
fn read_transparent(root: &Node) -> Result<Vec<[u8; 3]>> {
    let mut colors = Vec::new();
    for (key, color) in [("white_transparent", [255; 3]), ("black_transparent", [0; 3])] {
        if root.get(key).map_or(Ok(false), |node| node.flag())? {
            colors.push(color);
        }
    }
    Ok(colors)
}

/// Reads the intrinsics in pixels of the image file `image`, whose width and height are `size`.
fn read_intrinsics(keys: &Keys, image: &Path, size: (u32, u32)) -> Result<Intrinsics> {
    let (image_width, image_height) = (f64::from(size.0), f64::from(size.1));
    let width = keys.positive("w")?.unwrap_or(image_width);
    let height = keys.positive("h")?.unwrap_or(image_height);
    let (x, y) = (image_width / width, image_height / height);
    if (x / y - 1.0).abs() > ASPECT_TOLERANCE {
        let turned = turned_when_shown(image, size, (width, height));
        let what = format!(
            "has an image of {}×{}, but w and h are {width}×{height}, of another aspect ratio{turned}; correct one of them",
            size.0, size.1
        );
        return Err(keys.frame.error(what));
    }
    refuse_other_cameras(keys)?;
    let (lens, [fl_x, fl_y, cx, cy]) = match panorama::read(keys, (width, height))? {
        Some(panorama) => panorama,
        None => read_perspective(keys, (width, height))?,
    };
    let in_pixels = [fl_x * x, fl_y * y, cx * x, cy * y].map(|value| value as f32);
    if !in_pixels.iter().all(|value| value.is_finite()) || in_pixels[0] == 0.0 || in_pixels[1] == 0.0 {
        let what = "has a focal length or principal point that is not a finite number of pixels; correct w and h";
        return Err(keys.frame.error(what));
    }
    let [fl_x, fl_y, cx, cy] = in_pixels;
    Ok(Intrinsics { width: size.0, height: size.1, fl_x, fl_y, cx, cy, lens })
}

/// Reads the lens, focal lengths and principal point of a frame that is not a panorama, in pixels of a `width × height`
/// image.
fn read_perspective(keys: &Keys, (width, height): (f64, f64)) -> Result<(Lens, [f64; 4])> {
    let lens = read_lens(keys)?;
    let fl_x = keys.focal("x", width)?.ok_or_else(|| {
        keys.frame.error("has no focal length: neither \"camera_angle_x\" nor \"fl_x\" is in the frame or in the file")
    })?;
    let fl_y = keys.focal("y", height)?.unwrap_or(fl_x);
    let centre = |key, extent: f64| keys.get(key).map_or(Ok(0.5 * extent), |node| node.number());
    Ok((lens, [fl_x, fl_y, centre("cx", width)?, centre("cy", height)?]))
}

/// COLMAP's camera models under nerfstudio's names. They differ only in which coefficients they have.
const MODELS: [&str; 6] = ["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE"];
const FISHEYE_MODEL: &str = "OPENCV_FISHEYE";
/// COLMAP's name for OpenCV's rational model, with the coefficients `k1` to `k6`; nerfstudio has none for it.
const RATIONAL_MODEL: &str = "FULL_OPENCV";

/// Keys with which instant-ngp files describe cameras and scenes that are not supported here.
const OTHER_CAMERAS: [&str; 3] = ["ftheta_p0", "orthographic", "normal_mts_args"];

/// Keys that change what nerfstudio (`nerfstudio_dataparser.py`) or instant-ngp (`nerf_loader.cu`) learn or show, and
/// that are not supported here: rolling shutter and motion blur, further lens coefficients, sharpened and discarded
/// images, light directions, environment maps, crop boxes and per-image latent codes.
const PASSED_OVER: [&str; 16] = [
    "rolling_shutter",
    "transform_matrix_start",
    "transform_matrix_end",
    "distortion_params",
    "k5",
    "k6",
    "s1",
    "s2",
    "s3",
    "s4",
    "sharpen",
    "sharpness_discard_threshold",
    "driver_parameters",
    "envmap",
    "render_aabb",
    "n_extra_learnable_dims",
];

/// Returns a note on the keys of a file and its frames that change the picture and are not supported, if there are any.
/// Keys whose value switches them off do not count.
pub(super) fn passed_over(root: &Node, frames: &[Frame]) -> Option<String> {
    let sets = |node: &Node, key: &str| node.get(key).is_some_and(|value| !value.is_off());
    let is_rational = |frame: &Frame| {
        matches!(
            Keys { frame: &frame.node, file: root }.get("camera_model").map(|node| node.text()),
            Some(Ok(RATIONAL_MODEL))
        )
    };
    let is_read = |frame: &Frame, key: &str| matches!(key, "k5" | "k6") && is_rational(frame);
    let mut keys: Vec<&str> = PASSED_OVER
        .into_iter()
        .filter(|key| frames.iter().any(|frame| !is_read(frame, key) && (sets(root, key) || sets(&frame.node, key))))
        .collect();
    // instant-ngp reads only the first `n_frames` frames.
    let n_frames = root.get("n_frames").and_then(|node| node.number().ok());
    if n_frames.is_some_and(|n| n < frames.len() as f64) {
        keys.push("n_frames");
    }
    let file = root.file_name();
    (!keys.is_empty()).then(|| {
        format!(
            "{file} has keys that change the picture and are not supported, so they are passed over: {}",
            keys.join(", ")
        )
    })
}

/// Returns a note on a `fisheye_crop_radius` that has no effect, as in nerfstudio.
pub(super) fn crop_without_fisheye(root: &Node, views: &[View]) -> Option<String> {
    let crops = views.iter().any(|view| view.crop_radius.is_some());
    let unused = root.get("fisheye_crop_radius").filter(|node| !node.is_off() && !crops)?;
    let file = unused.file_name();
    Some(format!("{file} has a fisheye_crop_radius, which has no effect without a fisheye lens, as in nerfstudio"))
}

fn refuse_other_cameras(keys: &Keys) -> Result<()> {
    let is_on = |node: &Node| !matches!(node.flag(), Ok(false));
    match OTHER_CAMERAS.iter().find_map(|key| keys.get(key).filter(is_on)) {
        None => Ok(()),
        Some(node) => {
            Err(node.error("describes a kind of camera that is not supported; export OpenCV cameras or panoramas"))
        }
    }
}

fn read_lens(keys: &Keys) -> Result<Lens> {
    let is_fisheye = keys.is_fisheye()?;
    let model = keys.get("camera_model").map(|node| Ok((node.text()?, node))).transpose()?;
    let is_fisheye = match model {
        None => is_fisheye,
        Some((FISHEYE_MODEL, _)) => true,
        Some((RATIONAL_MODEL, _)) => false,
        Some((name, _)) if MODELS.contains(&name) => is_fisheye,
        Some((name, node)) => {
            let known = format!("{}, {FISHEYE_MODEL}, {RATIONAL_MODEL}, {}", MODELS.join(", "), panorama::MODEL);
            return Err(node.error(format!("is {name}, which is not supported; expected one of {known}")));
        }
    };
    let coefficient = |key| keys.get(key).map_or(Ok(0.0), |node| node.number());
    let k = [coefficient("k1")?, coefficient("k2")?, coefficient("k3")?, coefficient("k4")?];
    let p = [coefficient("p1")?, coefficient("p2")?];
    if matches!(model, Some((RATIONAL_MODEL, _))) {
        let [k1, k2, k3, k4] = k;
        return Ok(Lens::full_opencv([k1, k2, k3, k4, coefficient("k5")?, coefficient("k6")?], p));
    }
    Ok(if is_fisheye { Lens::Fisheye { k: k.map(|x| x as f32) } } else { Lens::opencv(k, p) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_passed_over_are_named_once_unless_they_are_off() {
        let pose = serde_json::json!([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]);
        let frame = |key: &str, value: serde_json::Value| serde_json::json!({ "file_path": "a", "transform_matrix": pose, key: value });
        let note = |first: serde_json::Value, frames: [serde_json::Value; 2]| {
            let mut document = first;
            document["frames"] = frames.into();
            let root = Node::root(Path::new("scene/transforms.json"), &document);
            passed_over(&root, &read(Path::new("absent"), &root, PoseConvention::OpenGl).unwrap())
        };
        let found = note(
            serde_json::json!({ "sharpen": 2, "envmap": "sky.png", "n_frames": 1, "aabb": [[-1, -1, -1], [1, 1, 1]] }),
            [
                frame("rolling_shutter", serde_json::json!([0, 0, 0, 1])),
                frame("rolling_shutter", serde_json::json!([1, 0, 0])),
            ],
        );
        let expected = "transforms.json has keys that change the picture and are not supported, so they are passed over: \
                        rolling_shutter, sharpen, envmap, n_frames";
        assert_eq!(found.as_deref(), Some(expected));
        let off = serde_json::json!({ "envmap": "", "k5": 0.0, "sharpen": null, "k1": 0.1, "n_frames": 2 });
        let frames = [frame("rolling_shutter", serde_json::json!([0, 0, 0, 0])), frame("sharpness", 3.into())];
        assert_eq!(note(off, frames), None);
    }

    #[test]
    fn names_lose_the_prefix_and_image_extension() {
        assert_eq!(view_name("./train/r_0"), "train/r_0");
        assert_eq!(view_name("images/0.5.JPG"), "images/0.5");
        assert_eq!(view_name("train/r_0.5"), "train/r_0.5");
        assert_eq!(view_name(".\\train\\r_0.Png"), "train/r_0");
    }
}
