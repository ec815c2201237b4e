//! Photographs that are both in the training split and in another one: scores on them say nothing about new views.

use super::{Split, Splits, View};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Returns a note for each of the splits `val` and `test` that shares photographs with the training split.
///
/// Two views show the same photograph if they name the same file, or if they have the same pose and their files have
/// the same bytes, as copies have.
pub(super) fn notes(splits: &Splits) -> Vec<String> {
    if splits.val.is_empty() && splits.test.is_empty() {
        return Vec::new();
    }
    let train = Photographs::of(&splits.train);
    let note = |split: Split| {
        let views = splits.views(split);
        let shared: Vec<&View> = views.iter().filter(|view| train.hold(view)).collect();
        let first = shared.first()?;
        let (n, of, split) = (shared.len(), views.len(), split.as_str());
        Some(format!(
            "{n} of {of} {split} images are training images too, the first of them {}; figures over them do not tell how well \
             new views are rendered",
            first.name
        ))
    };
    [Split::Val, Split::Test].into_iter().filter_map(note).collect()
}

/// A camera pose, bit by bit.
type Pose = [[u32; 4]; 3];

struct Photographs<'v> {
    files: HashSet<PathBuf>,
    by_pose: HashMap<Pose, Vec<&'v View>>,
}

impl<'v> Photographs<'v> {
    fn of(views: &'v [View]) -> Self {
        let mut by_pose: HashMap<Pose, Vec<&View>> = HashMap::new();
        views.iter().for_each(|view| by_pose.entry(pose(view)).or_default().push(view));
        Photographs { files: views.iter().map(file).collect(), by_pose }
    }

    fn hold(&self, view: &View) -> bool {
        let is_copy = |other: &&View| have_same_bytes(other.image_path(), view.image_path());
        self.files.contains(&file(view)) || self.by_pose.get(&pose(view)).is_some_and(|views| views.iter().any(is_copy))
    }
}

fn pose(view: &View) -> Pose {
    view.camera.camera_to_world.map(|row| row.map(f32::to_bits))
}

/// Returns the path of the photograph's largest file, with links and `..` resolved.
fn file(view: &View) -> PathBuf {
    view.image_path().canonicalize().unwrap_or_else(|_| view.image_path().to_path_buf())
}

/// Returns whether both files can be read and are equal. Contents are compared only where sizes are equal.
fn have_same_bytes(a: &Path, b: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map(|found| found.len());
    let have_same_size = matches!((size(a), size(b)), (Ok(a), Ok(b)) if a == b);
    have_same_size && matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}
