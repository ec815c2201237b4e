//! The course of a run as a viewer plots it.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::train::TrainEvent;

/// Maximum number of points that are kept: more than a plot has pixels.
const MOST_POINTS: usize = 2048;

/// Progress at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Number of completed steps.
    pub step: u64,
    /// Training loss; None for an evaluation.
    pub loss: Option<f64>,
    /// PSNR in dB, if it is known.
    pub psnr: Option<f64>,
}

/// Losses and PSNR of a run by step, thinned out as they become many.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct History {
    /// On training rays.
    pub training: Vec<Point>,
    /// On held-out images.
    pub evaluated: Vec<Point>,
}

impl History {
    /// Reads a run's `metrics.jsonl` up to step `step`. A missing file, and lines that are not events, as left by a run
    /// that was killed, are ignored: the plot is not a result.
    pub fn read(path: &Path, step: u64) -> History {
        let mut history = History::default();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let Some(at) = event["step"].as_u64().filter(|&at| at <= step) else { continue };
            let point = Point { step: at, loss: event["loss"].as_f64(), psnr: event["psnr"].as_f64() };
            match event["event"].as_str() {
                Some("step") => push(&mut history.training, point),
                Some("evaluated") => push(&mut history.evaluated, point),
                _ => {}
            }
        }
        history
    }

    /// Adds what an event says.
    pub fn add(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Step(report) => {
                push(&mut self.training, Point { step: report.step, loss: Some(report.loss), psnr: report.psnr });
            }
            TrainEvent::Evaluated(evaluated) => {
                push(&mut self.evaluated, Point { step: evaluated.step, loss: None, psnr: evaluated.psnr });
            }
            _ => {}
        }
    }
}

/// Appends a point; of too many points, every second one is dropped.
fn push(points: &mut Vec<Point>, point: Point) {
    points.push(point);
    if points.len() > MOST_POINTS {
        let mut number = 0;
        points.retain(|_| {
            number += 1;
            number % 2 == 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_thinned_out_evenly_and_keeps_its_ends() {
        let mut points = Vec::new();
        for step in 0..100_000 {
            push(&mut points, Point { step, loss: Some(1.0), psnr: None });
        }
        assert!((MOST_POINTS / 2..=MOST_POINTS).contains(&points.len()));
        assert_eq!(points[0].step, 0);
        assert!(points.windows(2).all(|pair| pair[0].step < pair[1].step));
        assert!(points.last().unwrap().step > 99_900);
    }

    #[test]
    fn the_log_of_a_run_is_read_up_to_a_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let lines = r#"{"event":"started","step":0}
{"event":"step","step":5,"loss":0.5,"psnr":10.0}
{"event":"evaluated","step":5,"psnr":9.0}
{"event":"step","step":9,"loss":0.2}
{"event":"st"#;
        std::fs::write(&path, lines).unwrap();
        let history = History::read(&path, 5);
        assert_eq!(history.training, [Point { step: 5, loss: Some(0.5), psnr: Some(10.0) }]);
        assert_eq!(history.evaluated, [Point { step: 5, loss: None, psnr: Some(9.0) }]);
        assert_eq!(History::read(&folder.path().join("none"), 5), History::default());
    }
}
