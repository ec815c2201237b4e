//! The learning rate over a run, as a factor on the configured learning rate.
//!
//! The decay follows the completed fraction of the run, so that a run bounded by time goes through its
//! whole schedule just as one bounded by steps does. Only the warm-up counts steps.

use std::f64::consts::PI;

use super::Progress;
use crate::config::{Config, ScheduleConfig, ScheduleKind, TrainConfig};

/// Returns the completed fraction of the run, in [0, 1]: that of its steps or of its seconds, whichever is larger; see
/// [`TrainConfig::max_steps`] and [`TrainConfig::max_seconds`].
pub(crate) fn completed(train: &TrainConfig, progress: Progress) -> f64 {
    let by_steps = progress.step as f64 / train.max_steps as f64;
    let by_seconds = train.max_seconds.map_or(0.0, |limit| progress.seconds / limit);
    by_steps.max(by_seconds).clamp(0.0, 1.0)
}

/// Returns the factor on the learning rate of step `step` (counted from 0), in (0, 1], when the fraction `completed` of
/// the run is completed.
///
/// ```
/// use gridfield::{config::ScheduleConfig, train::schedule};
/// let schedule = ScheduleConfig { warmup_steps: 0, ..ScheduleConfig::default() };
/// assert_eq!(schedule::factor(&schedule, 0.6, 600), 0.33);
/// ```
pub fn factor(schedule: &ScheduleConfig, completed: f64, step: u64) -> f64 {
    warmup(schedule.warmup_steps, step) * decay(schedule, completed)
}

/// Returns the learning rate of the step that follows.
pub fn learning_rate(config: &Config, progress: Progress) -> f64 {
    let completed = completed(&config.train, progress);
    config.optimizer.learning_rate * factor(&config.optimizer.schedule, completed, progress.step)
}

/// Returns the estimated seconds of training left; None until the speed is known.
pub(super) fn seconds_left(train: &TrainConfig, progress: Progress) -> Option<f64> {
    let completed = completed(train, progress);
    (completed > 0.0).then(|| progress.seconds / completed * (1.0 - completed))
}

fn warmup(warmup_steps: u64, step: u64) -> f64 {
    if step < warmup_steps { (step + 1) as f64 / warmup_steps as f64 } else { 1.0 }
}

fn decay(schedule: &ScheduleConfig, completed: f64) -> f64 {
    let last = schedule.final_fraction;
    match schedule.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Step => {
            let passed = schedule.milestones.iter().filter(|&&milestone| completed >= milestone).count();
            schedule.gamma.powi(passed as i32)
        }
        ScheduleKind::Cosine => last + (1.0 - last) * 0.5 * (1.0 + (PI * completed).cos()),
        ScheduleKind::Exponential => last.powf(completed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind) -> ScheduleConfig {
        ScheduleConfig { kind, warmup_steps: 0, ..ScheduleConfig::default() }
    }

    #[test]
    fn the_completed_fraction_follows_the_limit_that_is_nearer() {
        let completed = |train: &_, step, seconds| completed(train, Progress { step, seconds });
        let train = TrainConfig { max_steps: 1000, max_seconds: Some(10.0), ..TrainConfig::default() };
        assert_eq!(completed(&train, 250, 1.0), 0.25);
        assert_eq!(completed(&train, 250, 5.0), 0.5);
        assert_eq!(completed(&train, 5000, 5.0), 1.0);
        let no_clock = TrainConfig { max_seconds: None, ..train };
        assert_eq!(completed(&no_clock, 250, 1e9), 0.25);
    }

    #[test]
    fn warmup_rises_to_the_full_rate_at_its_last_step() {
        let schedule = ScheduleConfig { warmup_steps: 4, ..schedule(ScheduleKind::Constant) };
        let factors: Vec<f64> = (0..6).map(|step| factor(&schedule, 0.0, step)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn step_drops_at_each_milestone() {
        let schedule = ScheduleConfig { gamma: 0.5, ..schedule(ScheduleKind::Step) };
        let factors = [0.0, 0.49, 0.5, 0.75, 0.9, 1.0].map(|p| factor(&schedule, p, 0));
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.25, 0.125, 0.125]);
    }

    #[test]
    fn smooth_decays_end_at_their_final_fraction() {
        for kind in [ScheduleKind::Cosine, ScheduleKind::Exponential] {
            let schedule = schedule(kind);
            assert_eq!(factor(&schedule, 0.0, 0), 1.0);
            assert!((factor(&schedule, 1.0, 0) - schedule.final_fraction).abs() < 1e-12);
        }
        assert!((factor(&schedule(ScheduleKind::Exponential), 0.5, 0) - 0.1).abs() < 1e-12);
        assert!((factor(&schedule(ScheduleKind::Cosine), 0.5, 0) - 0.505).abs() < 1e-12);
    }
}
