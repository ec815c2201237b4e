//! `metrics.jsonl`: the events of a run, one JSON object per line, in the order they happened.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::TrainEvent;
use crate::{Error, Result, atomic};

/// The metrics file of a run in progress.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens `path` for the events after step `step`, which is 0 for a new run. Lines of later steps, left by a run
    /// that continued past its last checkpoint, are dropped, since those steps are about to be trained again.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<MetricsLog> {
        match std::fs::read_to_string(path) {
            Ok(text) => rewind(path, &text, step)?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::file(path, format!("cannot be read ({e})"))),
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| Error::file(path, atomic::cannot_write(&e)))?;
        Ok(MetricsLog { path: path.to_path_buf(), file })
    }

    /// Appends `event`. The event has been written to the file when this returns.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn record(&mut self, event: &TrainEvent) -> Result<()> {
        let mut line = serde_json::to_string(event).expect("an event has string keys");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|e| Error::file(&self.path, atomic::cannot_write(&e)))
    }
}

fn rewind(path: &Path, text: &str, step: u64) -> Result<()> {
    let kept: Vec<&str> = text.lines().filter(|line| is_up_to(line, step)).collect();
    if kept.len() == text.lines().count() && text.ends_with('\n') {
        return Ok(());
    }
    atomic::write(path, |file| kept.iter().try_for_each(|line| writeln!(file, "{line}")))
}

/// Returns whether `line` is a complete event that happened no later than step `step`.
fn is_up_to(line: &str, step: u64) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
    event.get("step").and_then(Value::as_u64).is_none_or(|at| at <= step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::event::{Finished, StopReason};

    fn finished(step: u64) -> TrainEvent {
        TrainEvent::Finished(Finished { step, seconds: 0.5, reason: StopReason::MaxSteps, neurons: Vec::new() })
    }

    #[test]
    fn resuming_drops_later_steps_and_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        [100, 200, 300].iter().try_for_each(|&step| log.record(&finished(step))).unwrap();
        log.file.write_all(br#"{"event":"finished","st"#).unwrap();

        let mut log = MetricsLog::open(&path, 200).unwrap();
        log.record(&finished(250)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<_> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [100, 200, 250]);
    }
}
