//! Progress of a training run: a bar on a terminal, plain lines elsewhere, JSON for programs, or nothing.

use std::io::{self, ErrorKind, IsTerminal as _};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::counter::Pace;
use super::print;
use crate::config::TrainConfig;
use crate::train::TrainEvent;
use crate::train::event::{Evaluated, Finished, Started, StepReport, StopReason};
use crate::{Error, Result, atomic};

/// Number of parts that the bar divides a run into, since a run may be limited by time as well as by steps.
const BAR_PARTS: f64 = 1000.0;

/// Displays the events of one run.
pub struct Drawer {
    style: Style,
    /// The limits of the run, from its first event.
    limits: Limits,
}

enum Style {
    Quiet,
    Json,
    Bar(ProgressBar),
    Lines(Pace),
}

#[derive(Clone, Copy, Default)]
struct Limits {
    max_steps: u64,
    max_seconds: Option<f64>,
}

impl Drawer {
    /// Creates the drawer that fits the given flags and whether stdout and stderr are terminals.
    pub fn new(quiet: bool, json: bool) -> Drawer {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        let style = match (quiet, json, terminal) {
            (true, ..) => Style::Quiet,
            (_, true, _) => Style::Json,
            (_, _, true) => Style::Bar(bar()),
            (_, _, false) => Style::Lines(Pace::default()),
        };
        Drawer { style, limits: Limits::default() }
    }

    /// Displays `event`. If the reader has gone away, nothing more is displayed, but the run itself continues.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written to, for example because the disk is full.
    pub fn draw(&mut self, event: &TrainEvent) -> Result<()> {
        match self.try_draw(event) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => self.style = Style::Quiet,
            result => result.map_err(|e| Error::file("stdout", atomic::cannot_write(&e)))?,
        }
        Ok(())
    }

    fn try_draw(&mut self, event: &TrainEvent) -> io::Result<()> {
        if let TrainEvent::Started(started) = event {
            self.limits = Limits { max_steps: started.max_steps, max_seconds: started.max_seconds };
        }
        match &mut self.style {
            Style::Quiet => Ok(()),
            Style::Json => print::to_stdout(&serde_json::to_string(event)?),
            Style::Bar(bar) => draw_bar(bar, event, self.limits),
            Style::Lines(pace) => draw_lines(pace, event, self.limits),
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {wide_msg}").expect("the template is well formed");
    ProgressBar::new(BAR_PARTS as u64).with_style(style)
}

fn draw_bar(bar: &ProgressBar, event: &TrainEvent, limits: Limits) -> io::Result<()> {
    match event {
        TrainEvent::Step(report) => {
            bar.set_position((limits.progress(report) * BAR_PARTS) as u64);
            bar.set_message(step_line(report, limits));
            Ok(())
        }
        TrainEvent::Finished(_) => {
            bar.finish_and_clear();
            say(event)
        }
        _ => bar.suspend(|| say(event)),
    }
}

fn draw_lines(pace: &mut Pace, event: &TrainEvent, limits: Limits) -> io::Result<()> {
    match event {
        TrainEvent::Step(report) if pace.is_due(Instant::now()) => print::to_stdout(&step_line(report, limits)),
        TrainEvent::Step(_) => Ok(()),
        _ => say(event),
    }
}

/// Prints the events that are worth a line of their own. Checkpoints are not: they are frequent, and the last one is
/// named at the end of the run.
fn say(event: &TrainEvent) -> io::Result<()> {
    match event {
        TrainEvent::Started(started) => print::to_stdout(&started_line(started)),
        TrainEvent::Evaluated(evaluated) => print::to_stdout(&evaluated_line(evaluated)),
        TrainEvent::Finished(finished) => print::to_stdout(&finished_line(finished)),
        TrainEvent::Warning { message } => {
            print::to_stderr(&format!("gridfield: warning: {message}"));
            Ok(())
        }
        TrainEvent::Step(_) | TrainEvent::Saved { .. } => Ok(()),
    }
}

impl Limits {
    /// Returns the completed fraction of the run, in [0, 1].
    fn progress(self, report: &StepReport) -> f64 {
        let by_steps = report.step as f64 / self.max_steps.max(1) as f64;
        let by_seconds = self.max_seconds.map_or(0.0, |limit| report.seconds / limit);
        by_steps.max(by_seconds).min(1.0)
    }
}

fn started_line(started: &Started) -> String {
    let from = if started.step == 0 { String::new() } else { format!(", resumed at step {}", started.step) };
    let images = started.n_images.map_or_else(String::new, |n| format!("{n} images, "));
    format!(
        "{}: {images}{} model of {} parameters, on {}{from}",
        started.scene,
        started.model,
        print::grouped(started.n_parameters),
        started.device
    )
}

fn step_line(report: &StepReport, limits: Limits) -> String {
    let eta = report.eta_seconds.map_or_else(String::new, |seconds| format!("  {} left", print::duration(seconds)));
    let of =
        if limits.max_steps < TrainConfig::NO_STEP_LIMIT { format!("/{}", limits.max_steps) } else { String::new() };
    let psnr = report.psnr.map_or_else(String::new, |psnr| format!("  PSNR {psnr:.2} dB"));
    let rays = report.rays_per_second.map_or_else(String::new, |rays| format!("  {} rays/s", print::metric(rays)));
    let samples = print::metric(report.samples_per_second);
    format!("step {}{of}  loss {:.2e}{psnr}{rays}  {samples} samples/s{eta}", report.step, report.loss)
}

fn evaluated_line(evaluated: &Evaluated) -> String {
    let Evaluated { step, split, n_images, psnr, ssim, iou, seconds } = evaluated;
    let figures = [
        psnr.map(|psnr| format!("PSNR {}", print::decibels(psnr))),
        ssim.map(|ssim| format!("SSIM {ssim:.4}")),
        iou.map(|iou| format!("IoU {iou:.5}")),
    ];
    let figures = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let on = n_images.map_or_else(String::new, |n| format!(" on {n} {split} images"));
    format!("step {step}: {figures}{on} ({})", print::duration(*seconds))
}

fn finished_line(finished: &Finished) -> String {
    let why = match finished.reason {
        StopReason::MaxSteps => "all of its steps",
        StopReason::MaxSeconds => "all of its time",
        StopReason::StopAfter => "stopped where --stop-after said",
        StopReason::Interrupted => "interrupted",
        StopReason::Requested => "stopped from the viewer",
    };
    let trained = format!("step {}: trained for {} ({why})", finished.step, print::duration(finished.seconds));
    if finished.neurons.is_empty() {
        return trained;
    }
    format!("{trained}; neurons alive: {}", print::neurons(&finished.neurons))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> StepReport {
        StepReport {
            step: 1200,
            loss: 0.00123,
            psnr: Some(28.314),
            learning_rate: 0.01,
            rays_per_second: Some(61_500.0),
            samples_per_second: 1_923_000.0,
            samples_per_ray: Some(31.3),
            asked_per_composited: Some(1.3),
            seconds: 50.0,
            eta_seconds: Some(250.0),
        }
    }

    #[test]
    fn a_step_is_one_line() {
        let limits = Limits { max_steps: 20_000, max_seconds: None };
        assert_eq!(
            step_line(&report(), limits),
            "step 1200/20000  loss 1.23e-3  PSNR 28.31 dB  61.5 k rays/s  1.92 M samples/s  4 min 10 s left"
        );
    }

    #[test]
    fn the_bar_follows_the_nearer_limit() {
        let by_steps = Limits { max_steps: 2400, max_seconds: Some(1000.0) };
        assert_eq!(by_steps.progress(&report()), 0.5);
        let by_seconds = Limits { max_steps: 120_000, max_seconds: Some(100.0) };
        assert_eq!(by_seconds.progress(&report()), 0.5);
    }
}
