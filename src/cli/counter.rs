//! Counts what a command has done: with a bar on a terminal, with a line every few seconds elsewhere, or not at all.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::print;

/// Time between plain lines: short enough to follow a log live, and long enough that it stays readable as a whole.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Limits plain lines to one every [`LINE_EVERY`].
#[derive(Default)]
pub(super) struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Returns a pace at which the first line is due [`LINE_EVERY`] after `begun`.
    fn after(begun: Instant) -> Pace {
        Pace { last: Some(begun) }
    }

    /// Returns whether a line is due at `now`, which is then counted as printed.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= LINE_EVERY);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// Shows on stderr how many of a known or unknown number of things are done. It is shared between threads; a bar is
/// removed on drop.
pub struct Counter {
    style: Style,
}

enum Style {
    Silent,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

struct Lines {
    what: &'static str,
    total: usize,
    done: usize,
    begun: Instant,
    pace: Pace,
}

impl Counter {
    /// Starts to count `what` up to `total`, or without an end if that is 0. Nothing is shown if `silent`.
    pub fn new(what: &'static str, total: usize, silent: bool) -> Counter {
        let begun = Instant::now();
        let style = match (silent, io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (_, true) => Style::Bar(bar(what, total)),
            (_, false) => Style::Lines(Mutex::new(Lines { what, total, done: 0, begun, pace: Pace::after(begun) })),
        };
        Counter { style }
    }

    /// Shows that `done` are done.
    pub fn set(&self, done: usize) {
        match &self.style {
            Style::Silent => {}
            Style::Bar(bar) => bar.set_position(done as u64),
            Style::Lines(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).set(done),
        }
    }

    /// Shows that one more is done.
    pub fn add_one(&self) {
        match &self.style {
            Style::Silent => {}
            Style::Bar(bar) => bar.inc(1),
            Style::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                let done = lines.done + 1;
                lines.set(done);
            }
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn set(&mut self, done: usize) {
        self.done = done;
        let now = Instant::now();
        if self.pace.is_due(now) {
            print::to_stderr(&self.line(now.duration_since(self.begun)));
        }
    }

    /// Returns the line to print after the time `elapsed`.
    fn line(&self, elapsed: Duration) -> String {
        let Lines { what, total, done, .. } = self;
        if *total == 0 {
            return format!("{what}: {done}");
        }
        let left = match done {
            0 => String::new(),
            done => {
                let seconds = elapsed.as_secs_f64() / *done as f64 * total.saturating_sub(*done) as f64;
                format!(", {} left", print::duration(seconds))
            }
        };
        format!("{what}: {done} of {total}{left}")
    }
}

fn bar(what: &'static str, total: usize) -> ProgressBar {
    let template = if total == 0 { "{spinner} {pos} {msg}" } else { "{bar:20} {pos}/{len} {msg}, {eta} left" };
    let style = ProgressStyle::with_template(template).expect("the templates are well formed");
    ProgressBar::new(total as u64).with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_distance() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let due = |pace: &mut Pace, seconds: f64| pace.is_due(start + Duration::from_secs_f64(seconds));
        assert_eq!([0.0, 1.0, 4.9, 5.0, 9.0, 10.0].map(|s| due(&mut pace, s)), [true, false, false, true, false, true]);
        let mut pace = Pace::after(start);
        assert_eq!([0.0, 4.9, 5.0].map(|s| due(&mut pace, s)), [false, false, true]);
    }

    #[test]
    fn a_line_tells_how_many_are_done_and_the_time_left() {
        let line = |done, total| {
            let begun = Instant::now();
            Lines { what: "frames", total, done, begun, pace: Pace::default() }.line(Duration::from_secs(30))
        };
        assert_eq!(line(20, 180), "frames: 20 of 180, 4 min 00 s left");
        assert_eq!(line(0, 180), "frames: 0 of 180");
        assert_eq!(line(20, 0), "frames: 20");
    }
}
