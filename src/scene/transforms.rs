//! Reader of `transforms.json`, the single file in which nerfstudio and instant-ngp keep a scene.
//!
//! Views are sorted by name. If the file lists splits (`train_filenames`, `val_filenames`, `test_filenames`), these are
//! used; otherwise every 8th view is held out. Frames whose image is missing are skipped, as in both programs.

use super::json::{self, Node};
use super::load::image_files;
use super::load::{self, in_order};
use super::view::{DepthMap, Mask};
use super::{Capture, CaptureKind, Contents, OpenOptions, Splits, View, fit, frames, hold_out, panorama};
use crate::geometry::UnitCube;
use crate::{Error, Result, names};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const FILE: &str = "transforms.json";

/// Largest side of instant-ngp's box, in unit cubes.
const LARGEST_AABB: f64 = 128.0;

/// Default unit of nerfstudio's depth maps: millimetres.
const NERFSTUDIO_DEPTH_UNIT: f64 = 1e-3;

pub(super) fn is_here(folder: &Path, _: &OpenOptions) -> bool {
    folder.join(FILE).is_file()
}

pub(super) fn read(folder: &Path, options: &OpenOptions) -> Result<Contents> {
    let file = folder.join(FILE);
    let document = json::read(&file)?;
    let root = Node::root(&file, &document);
    let frames = frames::read(folder, &root, options.pose_convention)?;
    let (mut there, absent): (Vec<_>, Vec<_>) = frames.iter().partition(|frame| frame.image_path.is_some());
    if there.is_empty() {
        return Err(absent[0].missing(folder));
    }
    there.sort_by_key(|frame| frame.file_path);
    let origin = options.origin_for(there.iter().map(|frame| frame.position()));
    let views = in_order(&there, |frame| {
        let mut view = frame.view(folder, &root, &origin)?;
        view.images = image_files(view.image_path(), &view.name)?;
        view.images.iter().try_for_each(|file| load::check_size(file, &view.camera.intrinsics, &view.name))?;
        view.mask = mask(folder, &frame.node, &view)?;
        view.depth = depth(folder, &frame.node, &root)?;
        Ok(view)
    })?;
    let mut notes: Vec<String> = frames::passed_over(&root, &frames).into_iter().collect();
    notes.extend(panorama::without_lens(&root, frames.iter().map(|frame| &frame.node)));
    notes.extend(frames::crop_without_fisheye(&root, &views));
    notes.extend(files_passed_over(folder, &there));
    if let Some(first) = absent.first() {
        let (n, all) = (absent.len(), frames.len());
        notes.push(format!("{n} of {all} frames have no image and are skipped, the first of them {}", first.file_path));
    }
    let names: Vec<&str> = there.iter().map(|frame| frame.file_path).collect();
    let splits = match listed_splits(&root, &names, &views, &absent)? {
        Some(splits) => splits,
        None => hold_out::every_eighth(views),
    };
    if splits.train.is_empty() {
        return Err(Error::file(&file, "leaves no view to train on; it needs at least two frames with an image"));
    }
    let capture = Capture::of(CaptureKind::Inward, &splits.train);
    let placed = placement(&root, &splits.train, origin)?;
    let aabb_scale = placed.and_then(|(_, aabb_scale)| aabb_scale);
    let unit_cube = placed.map_or_else(|| fit::around_cameras(&splits.train, &[], origin), |(unit_cube, _)| unit_cube);
    Ok(Contents { splits, unit_cube, capture: Capture { aabb_scale, ..capture }, points: Vec::new(), notes })
}

/// Returns the map to the unit cube and the size of the box around it, if the file has any of instant-ngp's keys for
/// them: `aabb`, or else `scale` and `offset`; `aabb_scale`. instant-ngp's loader scales and translates positions
/// before it permutes their axes cyclically, so `offset` is in the axes of the scene. The box is a cube around the unit
/// cube's centre, so the permutation does not affect it. Both are in the coordinates of the file; those of `views` are
/// relative to `origin`.
pub(super) fn placement(root: &Node, views: &[View], origin: [f64; 3]) -> Result<Option<(UnitCube, Option<u32>)>> {
    let [scale, offset, aabb_scale, aabb] = ["scale", "offset", "aabb_scale", "aabb"].map(|key| root.get(key));
    if scale.is_none() && offset.is_none() && aabb_scale.is_none() && aabb.is_none() {
        return Ok(None);
    }
    let scale = scale.map(|node| read_scale(&node)).transpose()?;
    let aabb_scale = aabb_scale.map(|node| read_aabb_scale(&node)).transpose()?;
    if let Some(node) = aabb {
        let (scale, offset) = read_aabb(&node)?;
        return Ok(Some((UnitCube::of_files(scale, offset, origin), aabb_scale)));
    }
    let usual = fit::usual(views, origin);
    let unit_cube = match (scale, offset) {
        (None, None) => usual,
        (Some(scale), None) => usual.with_scale(scale as f32),
        (scale, Some(node)) => {
            // One number is the offset along every axis, as in instant-ngp.
            let offset = if node.is_array() { node.numbers::<3>()? } else { [node.number()?; 3] };
            UnitCube::of_files(scale.unwrap_or(usual.scale.into()), offset, origin)
        }
    };
    Ok(Some((unit_cube, aabb_scale)))
}

/// Reads a scale, which must be above 0 in single precision.
fn read_scale(node: &Node) -> Result<f64> {
    match node.positive()? {
        scale if scale as f32 > 0.0 => Ok(scale),
        _ => Err(node.error("is too small; a number above 0 is needed")),
    }
}

/// Reads `aabb`, two opposite corners of a box. As in instant-ngp, its longest side becomes that of the unit cube, and
/// its middle the centre, whatever `scale` and `offset` are. Returns these as the box gives them.
fn read_aabb(node: &Node) -> Result<(f64, [f64; 3])> {
    let corners = node.items()?;
    let [a, b] = &corners[..] else {
        return Err(node.error(format!("has {} corners, expected 2, as in [[x, y, z], [x, y, z]]", corners.len())));
    };
    let (a, b) = (a.numbers::<3>()?, b.numbers::<3>()?);
    let scale = 1.0 / (0..3).map(|k| (b[k] - a[k]).abs()).fold(0.0, f64::max);
    if !(scale as f32).is_normal() {
        return Err(node.error("is a box without size; correct it or remove the key"));
    }
    Ok((scale, std::array::from_fn(|k| 0.5 - scale * 0.5 * (a[k] + b[k]))))
}

/// Reads `aabb_scale`. instant-ngp accepts powers of two; other values are rounded up to the next one.
fn read_aabb_scale(node: &Node) -> Result<u32> {
    match node.positive()? {
        scale if scale > LARGEST_AABB => Err(node.error(format!("is {scale}; it must be at most {LARGEST_AABB}"))),
        scale => Ok((scale.ceil() as u32).next_power_of_two()),
    }
}

/// Returns a note on files beside images that instant-ngp would read and that are not read here: `rays_<name>.dat`, the
/// rays of the pixels, and `<file_path>.alpha.<extension>`, their alpha.
fn files_passed_over(folder: &Path, frames: &[&frames::Frame]) -> Option<String> {
    let beside = frames.iter().filter_map(|frame| {
        let image = frame.image_path.as_ref()?;
        let rays = image.with_file_name(format!("rays_{}.dat", image.file_stem()?.to_string_lossy()));
        let alpha = folder.join(format!("{}.alpha.{}", frame.file_path, image.extension()?.to_string_lossy()));
        [rays, alpha].into_iter().find(|file| file.is_file())
    });
    let files: Vec<PathBuf> = beside.collect();
    let first = files.first()?.display();
    let n = files.len();
    Some(format!(
        "{n} images have files beside them that instant-ngp reads and that are not read here, such as {first}"
    ))
}

/// Returns nerfstudio's `mask_path`, which is white where the photograph counts, or instant-ngp's
/// `dynamic_mask_<name>.png` next to the image, which is black there.
fn mask(folder: &Path, frame: &Node, view: &View) -> Result<Option<Mask>> {
    if let Some(node) = frame.get("mask_path") {
        return Ok(Some(Mask { path: existing(folder, &node)?, white_counts: true }));
    }
    let image = view.image_path();
    let name = format!("dynamic_mask_{}.png", image.file_stem().unwrap_or_default().to_string_lossy());
    let path = image.with_file_name(name);
    Ok(path.is_file().then_some(Mask { path, white_counts: false }))
}

/// Returns nerfstudio's `depth_file_path`, in millimetres by default, or instant-ngp's `depth_path` in units of
/// `integer_depth_scale`.
fn depth(folder: &Path, frame: &Node, root: &Node) -> Result<Option<DepthMap>> {
    let unit = |key, usual: Option<f64>| match root.get(key) {
        Some(node) => node.positive().map(Some),
        None => Ok(usual),
    };
    if let Some(node) = frame.get("depth_file_path") {
        let unit = unit("depth_unit_scale_factor", Some(NERFSTUDIO_DEPTH_UNIT))?.unwrap_or(NERFSTUDIO_DEPTH_UNIT);
        return Ok(Some(DepthMap { path: depth_file(folder, &node)?, unit: unit as f32 }));
    }
    let (Some(node), Some(unit)) = (frame.get("depth_path"), unit("integer_depth_scale", None)?) else {
        return Ok(None);
    };
    Ok(Some(DepthMap { path: depth_file(folder, &node)?, unit: unit as f32 }))
}

fn existing(folder: &Path, node: &Node) -> Result<PathBuf> {
    let name = node.text()?;
    names::find(folder, name).ok_or_else(|| {
        let path = folder.join(name.trim_start_matches("./"));
        node.error(format!("names {}, which is not there; restore it or remove the key", path.display()))
    })
}

/// Returns the file of a depth map, which is looked for only where depths are used.
fn depth_file(folder: &Path, node: &Node) -> Result<PathBuf> {
    let name = node.text()?;
    Ok(names::find(folder, name).unwrap_or_else(|| folder.join(name.trim_start_matches("./"))))
}

/// Returns the file's own splits, if it lists any; `names` are the names of `views` as written in the file.
fn listed_splits(root: &Node, names: &[&str], views: &[View], absent: &[&frames::Frame]) -> Result<Option<Splits>> {
    let [train, val, test] = ["train_filenames", "val_filenames", "test_filenames"].map(|key| root.get(key));
    if train.is_none() && val.is_none() && test.is_none() {
        return Ok(None);
    }
    let plain = |name: &str| names::with_slashes(name).trim_start_matches("./").to_owned();
    let places: HashMap<String, usize> = names.iter().enumerate().map(|(i, name)| (plain(name), i)).collect();
    let listed = |list: Option<Node>| -> Result<Vec<View>> {
        let items = list.map_or(Ok(Vec::new()), |list| list.items())?;
        let mut split = Vec::with_capacity(items.len());
        for item in &items {
            let name = item.text()?;
            match places.get(&plain(name)) {
                Some(&place) => split.push(views[place].clone()),
                None if absent.iter().any(|frame| plain(frame.file_path) == plain(name)) => {}
                None => {
                    return Err(
                        item.error(format!("is {name}, which is not the file_path of any frame; correct the list"))
                    );
                }
            }
        }
        Ok(split)
    };
    Ok(Some(Splits { train: listed(train)?, val: listed(val)?, test: listed(test)? }))
}
