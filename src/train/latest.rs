//! The run that `latest` stands for: the one whose newest checkpoint was written last, among the runs below a folder
//! and the one that a file in this folder points to. Training writes the file, so that a run is found wherever
//! `--output-dir` put it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Run;
use crate::{Error, Result, atomic};

/// Name of the file with the path of the last run: relative to the file's folder, or absolute.
const POINTER: &str = "latest.txt";

/// Records `run` in `output_dir` as the last one, and creates the folder if it is missing.
///
/// # Errors
/// Returns an error if the file cannot be written or the run's path is not text.
pub fn record(output_dir: &Path, run: &Run) -> Result<()> {
    let file = output_dir.join(POINTER);
    let path = match run.folder().strip_prefix(output_dir) {
        Ok(below) => below.to_path_buf(),
        Err(_) => std::path::absolute(run.folder()).map_err(|e| Error::file(run.folder(), e.to_string()))?,
    };
    let text = path.to_str().ok_or_else(|| Error::file(&path, "the path is not UTF-8 text; rename the folder"))?;
    atomic::make_folder_of(&file)?;
    atomic::write(&file, |file| writeln!(file, "{text}"))
}

/// Returns the run that `latest` stands for in `output_dir`. Ties go to the alphabetically later one.
///
/// # Errors
/// Returns an error if there is no run with a checkpoint, or if the run that was recorded is no longer there.
pub(super) fn find(output_dir: &Path) -> Result<Run> {
    let below = newest_below(output_dir);
    let Some(path) = recorded(output_dir)? else {
        let missing = || {
            let what = "no run with a checkpoint is in this folder; train one with `gridfield train SCENE`, or say \
                        where runs are with --output-dir DIR";
            Error::file(output_dir, what)
        };
        return below.map(|(_, run)| run).ok_or_else(missing);
    };
    match Run::open(&path).ok().and_then(written) {
        Some(recorded) => Ok(below.into_iter().chain([recorded]).max_by(later).expect("there is one").1),
        None => {
            let other = below.map_or_else(String::new, |(_, run)| format!(", such as {}", run.folder().display()));
            let what =
                format!("the last run is no longer there, or has no checkpoint; give the folder of another{other}");
            Err(Error::file(path, what))
        }
    }
}

/// Returns the path of the recorded run, if there is one; it is relative to the working folder if it lies below that.
fn recorded(output_dir: &Path) -> Result<Option<PathBuf>> {
    let file = output_dir.join(POINTER);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(Error::file(file, format!("cannot be read ({e}); remove it"))),
    };
    let path = output_dir.join(text.trim_end_matches(['\n', '\r']));
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    Ok(Some(below.unwrap_or(path)))
}

/// A run, and when its newest checkpoint was written.
type Written = (SystemTime, Run);

fn written(run: Run) -> Option<Written> {
    let newest = run.newest_checkpoint().ok()?;
    Some((fs::metadata(newest).ok()?.modified().ok()?, run))
}

fn later(a: &Written, b: &Written) -> std::cmp::Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.folder().cmp(b.1.folder()))
}

fn newest_below(output_dir: &Path) -> Option<Written> {
    let three_deep = subfolders(output_dir).flat_map(|scene| subfolders(&scene)).flat_map(|model| subfolders(&model));
    three_deep.filter_map(|folder| written(Run::open(&folder).ok()?)).max_by(later)
}

fn subfolders(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, Header, Tensor};
    use crate::config::Config;
    use crate::geometry::UnitCube;

    fn run(output_dir: &Path, name: &str) -> Run {
        let run = Run::create(output_dir, "boat", Some(name), &Config::default()).unwrap();
        let header = Header::new(Config::default(), "boat", UnitCube::BLENDER, 1, 0.0);
        run.save(&Checkpoint::new(header, vec![Tensor::new("x", &[1], vec![0.5f32])])).unwrap();
        run
    }

    fn age(run: &Run, seconds: u64) {
        let written = SystemTime::now() - std::time::Duration::from_secs(seconds);
        let checkpoint = fs::File::options().write(true).open(run.newest_checkpoint().unwrap()).unwrap();
        checkpoint.set_modified(written).unwrap();
    }

    #[test]
    fn a_run_elsewhere_is_found_while_it_is_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let (here, elsewhere) = (folder.path().join("outputs"), folder.path().join("elsewhere"));
        let far = run(&elsewhere, "far");
        record(&here, &far).unwrap();
        assert_eq!(find(&here).unwrap(), far, "with no run of its own");
        let near = run(&here, "near");
        age(&near, 60);
        assert_eq!(find(&here).unwrap(), far);
        age(&far, 120);
        assert_eq!(find(&here).unwrap(), near);
        assert_eq!(find(&elsewhere).unwrap(), far, "without a record");
    }

    #[test]
    fn a_run_that_is_gone_is_named_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("outputs");
        let (kept, gone) = (run(&here, "kept"), run(&here, "gone"));
        record(&here, &gone).unwrap();
        assert_eq!(fs::read_to_string(here.join(POINTER)).unwrap(), "boat/hash/gone\n", "relative to the folder");
        fs::remove_dir_all(gone.folder()).unwrap();
        let error = find(&here).unwrap_err().to_string();
        let says = format!("such as {}", kept.folder().display());
        assert!(error.contains("boat/hash/gone: the last run is no longer there") && error.contains(&says), "{error}");
    }
}
