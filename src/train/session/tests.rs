//! Tests the course of a run with a task that only counts steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::checkpoint::{Checkpoint, Header, Tensor};
use crate::config::Config;
use crate::geometry::UnitCube;
use crate::train::event::{Evaluated, Started};

/// Counts steps of one second each; optionally fails or is interrupted after a given step.
struct Counter {
    config: Config,
    step: u64,
    diverges_at: u64,
    /// From this step on, no checkpoint can be made, as if the field were broken.
    broken_from: u64,
    interrupted_at: u64,
    interrupted: Arc<AtomicBool>,
}

impl Counter {
    fn new(config: Config) -> Counter {
        Counter {
            config,
            step: 0,
            diverges_at: u64::MAX,
            broken_from: u64::MAX,
            interrupted_at: u64::MAX,
            interrupted: Arc::default(),
        }
    }
}

impl Task for Counter {
    fn started(&self) -> Started {
        Started::new("none", &self.config, "none".to_owned(), 1, None, self.step)
    }

    fn progress(&self) -> Progress {
        Progress { step: self.step, seconds: self.step as f64 }
    }

    fn train_step(&mut self) -> Result<()> {
        self.step += 1;
        self.interrupted.fetch_or(self.step == self.interrupted_at, Ordering::Relaxed);
        Ok(())
    }

    fn reads_each_step(&self) -> bool {
        true
    }

    fn read_statistics(&mut self) -> Result<()> {
        Ok(())
    }

    fn set_seconds(&mut self, _: f64) {
        unreachable!("a task that counts a second a step has no other clock");
    }

    fn join_checkpoint(&mut self) -> Result<()> {
        unreachable!("no other rank makes checkpoints");
    }

    fn summed_loss(&self) -> f64 {
        if self.step == self.diverges_at { f64::NAN } else { 0.5 }
    }

    fn averages(&mut self, _: Instant) -> Option<StepReport> {
        Some(StepReport { loss: 0.5, ..StepReport::at(self.progress(), &self.config) })
    }

    fn checkpoint(&mut self) -> Result<Checkpoint<'_>> {
        if self.step >= self.broken_from {
            return Err(Error::diverged(self.step, "the field became NaN"));
        }
        let unit_cube = UnitCube::new(1.0, [0.0; 3]);
        let header = Header::new(self.config.clone(), "none", unit_cube, self.step, self.step as f64);
        Ok(Checkpoint::new(header, vec![Tensor::new("count", &[1], vec![self.step as u32])]))
    }

    fn evaluate(&mut self) -> Result<Option<Evaluated>> {
        Ok(None)
    }
}

/// Creates a run with the config `assignments`, in a folder that exists as long as the first value.
fn fixture(assignments: &[&str]) -> (tempfile::TempDir, Run, Counter) {
    let mut config = Config::default();
    assignments.iter().try_for_each(|assignment| config.set(assignment)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = Run::create(folder.path(), "none", Some("run"), &config).unwrap();
    (folder, run, Counter::new(config))
}

/// Trains, and returns how the run ended and its events in short: `s` started, a number for a step report, `w` warning,
/// `S` with a step number saved, `f` finished.
fn course(task: &mut Counter, run: &Run, stop_after: Option<u64>) -> (Result<Ended>, Vec<String>) {
    task.interrupted = Arc::default();
    let interrupted = task.interrupted.clone();
    let control = RunControl { stop_after, interrupted: &interrupted };
    let config = task.config.train.clone();
    let mut events = Vec::new();
    let ended = train(task, run, &config, &control, &mut |event: &TrainEvent| {
        events.push(match event {
            TrainEvent::Started(_) => "s".to_owned(),
            TrainEvent::Step(report) => report.step.to_string(),
            TrainEvent::Evaluated(_) => "e".to_owned(),
            TrainEvent::Warning { .. } => "w".to_owned(),
            TrainEvent::Saved { step, .. } => format!("S{step}"),
            TrainEvent::Finished(_) => "f".to_owned(),
        });
        Ok(())
    });
    (ended, events)
}

fn kept_steps(run: &Run) -> Vec<u64> {
    run.checkpoints().unwrap().into_iter().map(|(step, _)| step).collect()
}

#[test]
fn a_run_pauses_to_save_and_evaluate_and_keeps_the_newest() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.save_every=3", "train.eval_every=5"]);
    let (ended, events) = course(&mut task, &run, None);
    let ended = ended.unwrap();
    assert_eq!(events, ["s", "3", "S3", "5", "w", "6", "S6", "9", "S9", "10", "w", "S10", "f"]);
    assert_eq!((ended.reason, ended.checkpoint), (StopReason::MaxSteps, run.checkpoint_path(10)));
    assert_eq!(kept_steps(&run), [6, 9, 10]);
    let lines = std::fs::read_to_string(run.metrics_path()).unwrap().lines().count();
    assert_eq!(lines, events.len(), "each event is a line of metrics.jsonl");
}

#[test]
fn a_last_step_that_was_just_saved_is_saved_once() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=4", "train.save_every=2"]);
    assert_eq!(course(&mut task, &run, None).1, ["s", "2", "S2", "4", "S4", "f"]);
}

#[test]
fn a_stopped_run_is_saved_and_goes_on_where_it_was() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.save_every=0"]);
    let (ended, events) = course(&mut task, &run, Some(4));
    assert_eq!(ended.unwrap().reason, StopReason::StopAfter);
    assert_eq!(events, ["s", "4", "S4", "f"]);
    let (ended, events) = course(&mut task, &run, None);
    assert_eq!(ended.unwrap().reason, StopReason::MaxSteps);
    assert_eq!(events, ["s", "10", "S10", "f"]);
}

#[test]
fn time_ends_a_run() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.max_seconds=3"]);
    let (ended, events) = course(&mut task, &run, None);
    assert_eq!(ended.unwrap().reason, StopReason::MaxSeconds);
    assert_eq!(events, ["s", "3", "S3", "f"]);
}

#[test]
fn an_interrupt_saves_and_ends() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10"]);
    task.interrupted_at = 6;
    let (ended, events) = course(&mut task, &run, None);
    assert_eq!(ended.unwrap().reason, StopReason::Interrupted);
    assert_eq!(events, ["s", "6", "S6", "f"]);
}

#[test]
fn a_run_that_diverges_keeps_its_last_good_checkpoint_and_says_so() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.save_every=2"]);
    task.diverges_at = 5;
    let error = course(&mut task, &run, None).0.unwrap_err().to_string();
    assert!(error.contains("NaN at step 5"), "{error}");
    assert!(error.contains(run.checkpoint_path(4).to_str().unwrap()), "{error}");
    assert_eq!(kept_steps(&run), [2, 4]);
}

#[test]
fn a_field_that_broke_after_the_last_loss_is_told_when_it_is_saved() {
    for (broken_from, kept) in [(5, Some(4)), (10, Some(8)), (1, None)] {
        let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.save_every=2"]);
        task.broken_from = broken_from;
        let error = course(&mut task, &run, None).0.unwrap_err().to_string();
        assert!(error.starts_with("training diverged: the field became NaN at step "), "{error}");
        match kept {
            Some(step) => assert!(error.contains(run.checkpoint_path(step).to_str().unwrap()), "{error}"),
            None => assert!(error.contains("no checkpoint had been saved yet"), "{error}"),
        }
        assert_eq!(kept_steps(&run).last().copied(), kept);
    }
}

#[test]
fn a_checkpoint_before_the_newest_is_not_resumed_in_place() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.save_every=2"]);
    course(&mut task, &run, Some(4)).0.unwrap();
    task.step = 2;
    let error = course(&mut task, &run, None).0.unwrap_err().to_string();
    assert!(error.contains("beyond step 2"), "{error}");
}

/// An observer that asks for the listed commands in turn, then only for steps.
struct Commanding(Vec<Command>);

impl Observer for Commanding {
    fn on_event(&mut self, _: &TrainEvent) -> Result<()> {
        Ok(())
    }

    fn between_steps(&mut self, _: &dyn Task, _: &AtomicBool) -> Command {
        if self.0.is_empty() { Command::Continue } else { self.0.remove(0) }
    }
}

/// Trains with an observer, and returns why the run ended and the kinds of its events.
fn commanded(task: &mut Counter, run: &Run, commands: &[Command]) -> (StopReason, Vec<String>) {
    let interrupted = AtomicBool::new(false);
    let control = RunControl { stop_after: None, interrupted: &interrupted };
    let config = task.config.train.clone();
    let ended = train(task, run, &config, &control, &mut Commanding(commands.to_vec())).unwrap();
    let lines = std::fs::read_to_string(run.metrics_path()).unwrap();
    let kind =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
    (ended.reason, lines.lines().map(kind).collect())
}

#[test]
fn an_observer_can_have_the_run_saved_at_any_step() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=5", "train.save_every=0", "train.eval_every=2"]);
    // Twice at step 2: it is saved once, and not evaluated again.
    let (reason, events) = commanded(
        &mut task,
        &run,
        &[Command::Continue, Command::Continue, Command::Save, Command::Save, Command::Continue, Command::Continue],
    );
    assert_eq!(reason, StopReason::MaxSteps);
    let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
    assert_eq!((count("saved"), count("warning")), (2, 2), "{events:?}");
    assert_eq!(kept_steps(&run), [2, 5]);
}

#[test]
fn an_observer_can_end_the_run_which_is_saved() {
    let (_folder, run, mut task) = fixture(&["train.max_steps=10", "train.save_every=0"]);
    let (reason, events) =
        commanded(&mut task, &run, &[Command::Continue, Command::Continue, Command::Continue, Command::Stop]);
    assert_eq!(reason, StopReason::Requested);
    assert_eq!(events, ["started", "step", "saved", "finished"]);
    assert_eq!(kept_steps(&run), [3]);
}
