//! Panoramas in transforms files, and a note on panoramas of odd sizes.

use super::Splits;
use super::json::Node;
use super::keys::Keys;
use crate::Result;
use crate::geometry::{Intrinsics, Lens};

/// Tolerance for the angles that a panorama covers, and for its aspect ratio: sizes and focal lengths are rounded.
const TOLERANCE: f64 = 0.01;

/// instant-ngp's flags for panoramas, and their projections. These images always hold the whole sphere.
const FLAGS: [(&str, Lens); 2] = [("latlong", Lens::Equirectangular), ("equirectangular", Lens::EqualArea)];

/// nerfstudio's name of the camera model.
pub(super) const MODEL: &str = "EQUIRECTANGULAR";

/// Keys of lens coefficients.
const COEFFICIENTS: [&str; 6] = ["k1", "k2", "k3", "k4", "p1", "p2"];

/// Reads the projection, focal lengths and principal point of a frame that is a panorama, in pixels of a
/// `width × height` image. A panorama is declared by nerfstudio's `camera_model`, with `fl_x`, `fl_y`, `cx` and `cy`
/// unless it covers the whole sphere, or by one of instant-ngp's flags, with which instant-ngp ignores these keys.
pub(super) fn read(keys: &Keys, (width, height): (f64, f64)) -> Result<Option<(Lens, [f64; 4])>> {
    let whole = [0.5 * width, height, 0.5 * width, 0.5 * height];
    let model = keys.get("camera_model").map(|node| Ok((node.text()?, node))).transpose()?;
    let is_fisheye = keys.is_fisheye()?;
    let mut flagged: Option<(&str, Lens)> = None;
    for (key, lens) in FLAGS {
        let Some(node) = keys.get(key) else { continue };
        if !node.flag()? {
            continue;
        }
        // This is the only pair of names that mean the same in both programs.
        let other_model = model.as_ref().map(|(name, _)| *name).filter(|name| (key, *name) != ("latlong", MODEL));
        let other = flagged.map(|(key, _)| key).or(other_model).or(is_fisheye.then_some("a fisheye"));
        if let Some(other) = other {
            return Err(node.error(format!("is true, but the camera is also said to be {other}; remove one of them")));
        }
        flagged = Some((key, lens));
    }
    let Some((_, node)) = model.filter(|(name, _)| *name == MODEL) else {
        return Ok(flagged.map(|(_, lens)| (lens, whole)));
    };
    if is_fisheye {
        return Err(node.error(format!("is {MODEL}, but is_fisheye is true; remove one of them")));
    }
    let given = covered(keys, whole)?;
    check_cover(&node, (width, height), given)?;
    Ok(Some((Lens::Equirectangular, given)))
}

/// Returns focal lengths and principal point as given, or else those of the whole sphere.
fn covered(keys: &Keys, whole: [f64; 4]) -> Result<[f64; 4]> {
    let focal = |axis: &str, whole: f64| {
        let angle = || keys.get(&format!("camera_angle_{axis}")).or_else(|| keys.get(&format!("{axis}_fov")));
        match (keys.get(&format!("fl_{axis}")), angle()) {
            (Some(node), _) => node.positive(),
            (None, Some(node)) => Err(node.error(format!(
                "has no meaning for a panorama; give fl_{axis} instead, or remove it for a panorama of the whole sphere"
            ))),
            (None, None) => Ok(whole),
        }
    };
    let centre = |key: &str, whole: f64| keys.get(key).map_or(Ok(whole), |node| node.number());
    Ok([focal("x", whole[0])?, focal("y", whole[1])?, centre("cx", whole[2])?, centre("cy", whole[3])?])
}

/// Refuses a panorama that goes around more than once, or beyond straight up or down.
fn check_cover(node: &Node, (width, height): (f64, f64), [fl_x, fl_y, _, cy]: [f64; 4]) -> Result<()> {
    let ends = [-cy / fl_y, (height - cy) / fl_y];
    if width / fl_x <= 2.0 + 2.0 * TOLERANCE && ends.iter().all(|end| end.abs() <= 0.5 + TOLERANCE) {
        return Ok(());
    }
    Err(node.error(format!(
        "is {MODEL}, but by fl_x, fl_y and cy the image of {width}×{height} covers {:.0}° around, and latitudes from \
         {:.0}° to {:.0}°, more than there is; a whole panorama has fl_x = w / 2 and fl_y = h, or none of these keys",
        180.0 * width / fl_x,
        -180.0 * ends[1],
        -180.0 * ends[0]
    )))
}

/// Returns a note on the coefficients of a lens in frames with panoramas, if there are any. Neither nerfstudio nor
/// instant-ngp applies them to panoramas.
pub(super) fn without_lens<'n, 'a: 'n>(
    root: &'n Node<'a>,
    frames: impl Iterator<Item = &'n Node<'a>>,
) -> Option<String> {
    let on = |keys: &Keys, key: &str| keys.get(key).is_some_and(|value| !value.is_off());
    let is_panorama = |keys: &Keys| {
        FLAGS.iter().any(|(key, _)| on(keys, key))
            || keys.get("camera_model").is_some_and(|node| matches!(node.text(), Ok(MODEL)))
    };
    let panoramas: Vec<Keys> = frames.map(|frame| Keys { frame, file: root }).filter(is_panorama).collect();
    let set: Vec<&str> = COEFFICIENTS.into_iter().filter(|key| panoramas.iter().any(|keys| on(keys, key))).collect();
    let file = root.file_name();
    (!set.is_empty())
        .then(|| format!("panoramas have no lens, so these keys of {file} are passed over: {}", set.join(", ")))
}

/// Returns a note on equirectangular panoramas that are not twice as wide as high, if there are any.
pub(super) fn odd_sizes(splits: &Splits) -> Option<String> {
    let is_odd = |k: &Intrinsics| {
        let aspect = f64::from(k.width) / f64::from(k.height);
        k.lens == Lens::Equirectangular && (0.5 * aspect - 1.0).abs() > TOLERANCE
    };
    let all = splits.train.iter().chain(&splits.val).chain(&splits.test);
    let mut odd = all.filter(|view| is_odd(&view.camera.intrinsics));
    let first = odd.next()?;
    let Intrinsics { width, height, fl_x, fl_y, .. } = first.camera.intrinsics;
    let covers = [180.0 * width as f32 / fl_x, 180.0 * height as f32 / fl_y];
    Some(format!(
        "{} panoramas are not twice as wide as high, the first of them {}, of {width}×{height}; it is taken to cover \
         {:.0}° by {:.0}°",
        1 + odd.count(),
        first.name,
        covers[0],
        covers[1]
    ))
}
