//! Reader of Blender-format scenes: `transforms_{train,val,test}.json` next to folders of images.

use super::frames::Frame;
use super::json::{self, Node};
use super::load::in_order;
use super::transforms::placement;
use super::{Capture, CaptureKind, Contents, OpenOptions, Splits, View, fit, frames, panorama};
use crate::Result;
use std::path::{Path, PathBuf};

pub(super) fn is_here(folder: &Path, _: &OpenOptions) -> bool {
    transforms(folder, "train").is_file()
}

pub(super) fn read(folder: &Path, options: &OpenOptions) -> Result<Contents> {
    let train_file = transforms(folder, "train");
    let document = json::read(&train_file)?;
    let root = Node::root(&train_file, &document);
    let frames = frames::read(folder, &root, options.pose_convention)?;
    let origin = options.origin_for(frames.iter().map(Frame::position));
    // The other splits are in the coordinates of the training split.
    let options = OpenOptions { origin: Some(origin), ..options.clone() };
    let mut notes = Vec::new();
    let mut optional = |split| match transforms(folder, split) {
        file if file.exists() => read_optional(folder, &file, &options, &mut notes),
        _ => Ok(Vec::new()),
    };
    let (val, test) = (optional("val")?, optional("test")?);
    let splits = Splits { train: views(folder, &root, &frames, &origin, &mut notes)?, val, test };
    let placed = placement(&root, &splits.train, origin)?;
    let (unit_cube, aabb_scale) = placed.unwrap_or_else(|| (fit::usual(&splits.train, origin), None));
    let capture = Capture { aabb_scale, ..Capture::of(CaptureKind::Synthetic, &splits.train) };
    Ok(Contents { splits, unit_cube, capture, points: Vec::new(), notes })
}

fn transforms(folder: &Path, split: &str) -> PathBuf {
    folder.join(format!("transforms_{split}.json"))
}

/// Reads a split that may be empty: the file lists no frames, or none of their images exists. Programs that render
/// training images only write such files.
fn read_optional(folder: &Path, file: &Path, options: &OpenOptions, notes: &mut Vec<String>) -> Result<Vec<View>> {
    let document = json::read(file)?;
    let root = Node::root(file, &document);
    let name = root.file_name();
    if root.get("frames").is_some_and(|frames| frames.is_empty()) {
        notes.push(format!("{name} lists no frames; the split is empty"));
        return Ok(Vec::new());
    }
    let frames = frames::read(folder, &root, options.pose_convention)?;
    if frames.iter().all(|frame| frame.image_path.is_none()) {
        let (n, first) = (frames.len(), frames[0].file_path);
        notes.push(format!("none of the {n} images of {name} is there, the first of them {first}; the split is empty"));
        return Ok(Vec::new());
    }
    let origin = options.origin_for(frames.iter().map(Frame::position));
    views(folder, &root, &frames, &origin, notes)
}

fn views(
    folder: &Path,
    root: &Node,
    frames: &[Frame],
    origin: &[f64; 3],
    notes: &mut Vec<String>,
) -> Result<Vec<View>> {
    notes.extend(frames::passed_over(root, frames));
    notes.extend(panorama::without_lens(root, frames.iter().map(|frame| &frame.node)));
    if let Some(frame) = frames.iter().find(|frame| frame.image_path.is_none()) {
        return Err(frame.missing(folder));
    }
    let views = in_order(frames, |frame| frame.view(folder, root, origin))?;
    notes.extend(frames::crop_without_fisheye(root, &views));
    Ok(views)
}
