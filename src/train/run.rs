//! The folder of a run, `outputs/<scene>/<model>/<run>/`, which follows nerfstudio's layout; `docs/formats.md`
//! describes it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::{Error, Result, atomic};

/// The folder for runs, in which `latest` is looked up and the last run is recorded, unless another one is named.
pub const OUTPUT_DIR: &str = "outputs";
/// Number of checkpoints that [`Run::save`] keeps: enough to go back past a bad one, few enough for a small disk.
const KEPT_CHECKPOINTS: usize = 3;
const CONFIG: &str = "config.json";
/// Name of the folder of checkpoints in a run's folder.
pub(super) const CHECKPOINTS: &str = "checkpoints";
const CHECKPOINT_PREFIX: &str = "step-";
const CHECKPOINT_SUFFIX: &str = ".safetensors";

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

impl Run {
    /// Creates the folder of a new run of scene `scene` under `output_dir` and saves its config there.
    ///
    /// Without `name`, the folder is named after the current time in UTC; runs that begin in the same second get a
    /// number.
    ///
    /// # Errors
    /// Returns an error if `name` is not a plain folder name or is taken, or if the folder cannot be written.
    pub fn create(output_dir: &Path, scene: &str, name: Option<&str>, config: &Config) -> Result<Run> {
        let parent = output_dir.join(scene).join(config.model.name.as_str());
        fs::create_dir_all(&parent).map_err(|e| Error::file(&parent, atomic::cannot_write(&e)))?;
        let folder = match name {
            Some(name) => named_folder(&parent, name)?,
            None => numbered_folder(&parent, &utc_stamp(SystemTime::now()))?,
        };
        let run = Run { folder };
        run.fill(config).inspect_err(|_| {
            // This call created the folder, so it may remove it. The error that matters is the one being returned.
            let _ = fs::remove_dir_all(&run.folder);
        })?;
        Ok(run)
    }

    /// Opens the run whose folder is `folder`.
    ///
    /// # Errors
    /// Returns an error if there is no such folder or it is not a run folder.
    pub fn open(folder: &Path) -> Result<Run> {
        if !folder.is_dir() {
            return Err(Error::file(folder, "there is no such run folder; check the path"));
        }
        if !folder.join(CONFIG).is_file() || !folder.join(CHECKPOINTS).is_dir() {
            let what =
                format!("not a run folder, as it has no {CONFIG} and {CHECKPOINTS}/; give <scene>/<model>/<run>");
            return Err(Error::file(folder, what));
        }
        Ok(Run { folder: folder.to_path_buf() })
    }

    /// Returns the run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the saved configuration.
    pub fn config_path(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }

    /// Returns the path of the log of events.
    pub fn metrics_path(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    /// Returns the path of the checkpoint of step `step`.
    pub(super) fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.checkpoints_folder().join(format!("{CHECKPOINT_PREFIX}{step:09}{CHECKPOINT_SUFFIX}"))
    }

    /// Returns the existing checkpoints in order of increasing step.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<(u64, PathBuf)>> {
        let folder = self.checkpoints_folder();
        let entries = fs::read_dir(&folder).map_err(|e| Error::file(&folder, format!("cannot be read ({e})")))?;
        let mut found: Vec<_> =
            entries.flatten().filter_map(|entry| Some((step_of(&entry.file_name())?, entry.path()))).collect();
        found.sort();
        Ok(found)
    }

    /// Returns the checkpoint of the highest step.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub(super) fn newest_checkpoint(&self) -> Result<PathBuf> {
        match self.checkpoints()?.pop() {
            Some((_, path)) => Ok(path),
            None => Err(Error::file(&self.folder, "this run has no checkpoint yet; train it for longer")),
        }
    }

    /// Writes `checkpoint` into the run and removes all but the newest few.
    ///
    /// # Errors
    /// As for [`Checkpoint::write`]; the older checkpoints are then kept. Also returns an error if an old checkpoint
    /// cannot be removed.
    pub fn save(&self, checkpoint: &Checkpoint<'_>) -> Result<PathBuf> {
        let path = self.checkpoint_path(checkpoint.header.step);
        checkpoint.write(&path)?;
        let mut all = self.checkpoints()?;
        all.truncate(all.len().saturating_sub(KEPT_CHECKPOINTS));
        for (_, old) in all {
            fs::remove_file(&old).map_err(|e| Error::file(&old, format!("cannot be removed ({e})")))?;
        }
        Ok(path)
    }

    /// Prepares the run to continue after step `step`, and removes files that a killed process left half-written.
    ///
    /// # Errors
    /// Returns an error if the run has a checkpoint beyond `step`, since the steps in between would be trained twice.
    pub fn prepare_to_resume(&self, step: u64) -> Result<()> {
        if let Some((newest, path)) = self.checkpoints()?.pop().filter(|(newest, _)| *newest > step) {
            let what = format!(
                "the run has this checkpoint of step {newest}, beyond step {step} that is to be resumed; resume from \
                 the run's folder, or move the later checkpoints away"
            );
            return Err(Error::file(path, what));
        }
        atomic::remove_leftovers(&self.folder);
        atomic::remove_leftovers(&self.checkpoints_folder());
        Ok(())
    }

    /// Removes the run's folder if it has no checkpoint, for a training run that failed before its first one. Returns
    /// whether the folder was removed.
    pub fn discard_without_checkpoint(&self) -> bool {
        self.checkpoints().is_ok_and(|all| all.is_empty()) && fs::remove_dir_all(&self.folder).is_ok()
    }

    fn checkpoints_folder(&self) -> PathBuf {
        self.folder.join(CHECKPOINTS)
    }

    /// Replaces the config in the run's folder with `config`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn save_config(&self, config: &Config) -> Result<()> {
        atomic::write_json(&self.config_path(), &config.to_value())
    }

    fn fill(&self, config: &Config) -> Result<()> {
        self.save_config(config)?;
        let checkpoints = self.checkpoints_folder();
        fs::create_dir(&checkpoints).map_err(|e| Error::file(&checkpoints, atomic::cannot_write(&e)))
    }
}

/// Returns the name of the scene in the folder `path`: the folder's own name, even if `path` is `.` or ends in `..`.
///
/// # Errors
/// Returns an error if there is no such folder, or if its name is not valid Unicode.
pub fn scene_name(path: &Path) -> Result<String> {
    let folder = path.canonicalize().map_err(|e| Error::file(path, format!("the scene cannot be opened ({e})")))?;
    match folder.file_name().and_then(OsStr::to_str) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Error::file(path, "the scene's folder has no name that is text; give it one")),
    }
}

fn named_folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let mut components = Path::new(name).components();
    let plain = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if !plain || name.ends_with(['/', '\\']) {
        return Err(Error::config(format!("the run name `{name}` is not a plain folder name; use letters and digits")));
    }
    let folder = parent.join(name);
    match fs::create_dir(&folder) {
        Ok(()) => Ok(folder),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(Error::file(
            &folder,
            "a run of this name exists; choose another --run-name, or continue it with --resume",
        )),
        Err(e) => Err(Error::file(&folder, atomic::cannot_write(&e))),
    }
}

/// Creates the folder `stamp`, or `stamp-2`, `stamp-3` … if it is taken.
fn numbered_folder(parent: &Path, stamp: &str) -> Result<PathBuf> {
    let names = std::iter::once(stamp.to_owned()).chain((2..).map(|n: u64| format!("{stamp}-{n}")));
    for folder in names.map(|name| parent.join(name)) {
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::file(&folder, atomic::cannot_write(&e))),
        }
    }
    unreachable!("the names do not end")
}

fn step_of(file_name: &OsStr) -> Option<u64> {
    file_name.to_str()?.strip_prefix(CHECKPOINT_PREFIX)?.strip_suffix(CHECKPOINT_SUFFIX)?.parse().ok()
}

/// Formats `time` in UTC as `YYYY-MM-DD_HHMMSS`. A clock before 1970 reads as 1970.
fn utc_stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}_{hour:02}{minute:02}{second:02}")
}

/// Returns the Gregorian date that is `days` after 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`). Years begin in March, so that the leap day is the last day of a year.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn stamps_are_utc_and_know_leap_years() {
        // From `date -u -d @SECONDS +%F_%H%M%S`.
        for (seconds, stamp) in [
            (0, "1970-01-01_000000"),
            (951_782_400, "2000-02-29_000000"),
            (951_868_799, "2000-02-29_235959"),
            (4_107_542_400, "2100-03-01_000000"),
            (1_767_225_599, "2025-12-31_235959"),
        ] {
            assert_eq!(utc_stamp(UNIX_EPOCH + Duration::from_secs(seconds)), stamp);
        }
    }

    #[test]
    fn only_whole_checkpoint_names_have_a_step() {
        assert_eq!(step_of(OsStr::new("step-000020000.safetensors")), Some(20_000));
        for other in ["step-1.safetensors.part", "step-x.safetensors", ".gridfield-part-1", "step-000020000"] {
            assert_eq!(step_of(OsStr::new(other)), None, "{other}");
        }
    }

    #[test]
    fn runs_of_the_same_second_get_a_number() {
        let parent = tempfile::tempdir().unwrap();
        let names = [(); 3].map(|()| numbered_folder(parent.path(), "t").unwrap());
        assert_eq!(names, ["t", "t-2", "t-3"].map(|name| parent.path().join(name)));
    }
}
