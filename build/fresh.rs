//! Keeps build outputs that are current, by the inputs they were made from.
//!
//! Cargo runs the build script once for each profile and set of features, each time with an output folder of its own.
//! What is compiled from the kernels hardly depends on either. It is therefore kept in `kernels` in the target folder
//! as well, and the output folders get hard links to it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Number of versions of an output that are kept for other output folders.
const VERSIONS: usize = 4;

/// Returns a digest of the names and contents of all files below a folder.
pub fn digest(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_folder(folder, &mut hasher);
    hasher.finish()
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) {
    for path in entries(folder) {
        if path.is_dir() {
            hash_folder(&path, hasher);
        } else {
            path.hash(hasher);
            fs::read(&path).expect("kernel sources are readable").hash(hasher);
        }
    }
}

/// Returns the paths of what is in a folder, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.expect("the entries of a folder are readable").path())
        .collect();
    paths.sort();
    paths
}

/// Returns the folder `name` in the output folder `out`, with the files that `make` writes into the folder it is given.
/// `inputs` must determine them completely: `make` is not called if they were made from the same inputs before, by any
/// build in the same target folder. If it fails, nothing is on record, so the next build calls it again.
pub fn folder(out: &Path, name: &str, inputs: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = out.join(name);
    if is_of(&folder, inputs) {
        return folder;
    }
    replace(&folder);
    match shared(out) {
        Some(shared) => link(&version(&shared, name, inputs, make), &folder),
        None => make(&folder),
    }
    fs::write(record(&folder), inputs).expect("OUT_DIR is writable");
    folder
}

/// Returns the folder `kernels` of the target folder, if `out` is where Cargo has it: at
/// `<profile>/build/<package>/out` in the target folder.
fn shared(out: &Path) -> Option<PathBuf> {
    let is_build = out.ancestors().nth(2)?.file_name()? == "build";
    is_build.then(|| out.ancestors().nth(4)).flatten().map(|target| target.join("kernels"))
}

/// Returns the shared folder with what `make` makes from `inputs`.
fn version(shared: &Path, name: &str, inputs: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    let kept = shared.join(format!("{name}-{:016x}", hasher.finish()));
    if is_of(&kept, inputs) {
        return kept;
    }
    // Another build may do the same at this moment. A folder gets its name when it is complete.
    let unfinished = shared.join(format!("unfinished-{name}-{}", std::process::id()));
    replace(&unfinished);
    make(&unfinished);
    fs::write(record(&unfinished), inputs).expect("the target folder is writable");
    if fs::rename(&unfinished, &kept).is_err() {
        assert!(is_of(&kept, inputs), "cannot write {}", kept.display());
        replace(&unfinished);
        fs::remove_dir(&unfinished).expect("the target folder is writable");
    }
    remove_old(shared, name);
    kept
}

/// Removes all but the newest versions of an output.
fn remove_old(shared: &Path, name: &str) {
    let is_version = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.rsplit_once('-').is_some_and(|(of, _)| of == name)
    };
    let age = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let mut versions: Vec<PathBuf> = entries(shared).into_iter().filter(is_version).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(age(path)));
    for old in versions.into_iter().skip(VERSIONS) {
        // Another build may have removed it.
        let _ = fs::remove_dir_all(old);
    }
}

fn record(folder: &Path) -> PathBuf {
    folder.join("inputs")
}

fn is_of(folder: &Path, inputs: &str) -> bool {
    fs::read_to_string(record(folder)).is_ok_and(|recorded| recorded == inputs)
}

/// Makes an empty folder in the place of what is at a path.
fn replace(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("cannot remove {}: {error}", folder.display()),
        _ => fs::create_dir_all(folder).expect("the target folder is writable"),
    }
}

/// Links all files of one folder into another, or copies them where the file system has no links.
fn link(from: &Path, to: &Path) {
    for path in entries(from).into_iter().filter(|path| *path != record(from)) {
        let target = to.join(path.file_name().expect("an entry has a name"));
        if fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).expect("the target folder is writable");
        }
    }
}
