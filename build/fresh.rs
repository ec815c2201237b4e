//! Tracks which build outputs are current, by the inputs they were made from.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// Returns a digest of the names and contents of all files below a folder.
pub fn digest(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_folder(folder, &mut hasher);
    hasher.finish()
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the kernels folder is readable")
        .map(|entry| entry.expect("the entries of the kernels folder are readable").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_folder(&path, hasher);
        } else {
            path.hash(hasher);
            fs::read(&path).expect("kernel sources are readable").hash(hasher);
        }
    }
}

/// A file next to an output that records the inputs it was made from.
pub struct Stamp {
    path: PathBuf,
    inputs: String,
}

impl Stamp {
    /// Creates a stamp for the output `name` in the folder `out`; `inputs` must determine the output completely.
    pub fn new(out: &Path, name: &str, inputs: &str) -> Self {
        Self { path: out.join(format!("{name}.inputs")), inputs: inputs.to_string() }
    }

    /// Makes the output unless it was made from the same inputs. If `make` fails halfway, no inputs are on record, so
    /// that the next build makes the output again.
    pub fn refresh(&self, make: impl FnOnce()) {
        if fs::read_to_string(&self.path).is_ok_and(|inputs| inputs == self.inputs) {
            return;
        }
        fs::write(&self.path, "").expect("OUT_DIR is writable");
        make();
        fs::write(&self.path, &self.inputs).expect("OUT_DIR is writable");
    }
}
