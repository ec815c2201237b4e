//! How much of the time pictures may take from training.

use std::time::{Duration, Instant};

/// Credit that may be saved up, in seconds, so that the first pictures and the answers to moves come at once.
pub const MOST_CREDIT: f64 = 1.0;
/// Credit that is kept for what is urgent, in seconds.
pub const RESERVE: f64 = 0.5;

/// A share of the time that may be spent: credit grows with time, and spending may overdraw it once.
#[derive(Clone, Debug)]
pub struct Budget {
    share: f64,
    /// Seconds that may be spent now; below 0 after more was spent.
    credit: f64,
    /// Until when credit has been given.
    at: Instant,
}

impl Budget {
    /// Creates a budget of the fraction `share` of the time, from the moment `now` on.
    pub fn new(share: f64, now: Instant) -> Budget {
        Budget { share, credit: MOST_CREDIT, at: now }
    }

    /// Returns the fraction of the time that may be spent.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Returns whether something may be spent at the moment `now`. What is not urgent leaves the reserve alone.
    pub fn allows(&mut self, now: Instant, is_urgent: bool) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.credit = (self.credit + self.share * passed).min(MOST_CREDIT);
        self.at = now;
        self.credit > if is_urgent { 0.0 } else { RESERVE }
    }

    /// Counts time that was spent.
    pub fn spend(&mut self, time: Duration) {
        self.credit -= time.as_secs_f64();
    }

    /// Forgets what was spent, as after a time in which spending was free.
    pub fn restart(&mut self, now: Instant) {
        *self = Budget::new(self.share, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_comes_at_once_after_all_else_was_spent() {
        let start = Instant::now();
        let mut budget = Budget::new(0.1, start);
        let mut n_spent = 0;
        while budget.allows(start, false) {
            budget.spend(Duration::from_millis(30));
            n_spent += 1;
        }
        assert_eq!(n_spent, 17);
        let n_urgent = (0..).take_while(|_| {
            let is_allowed = budget.allows(start, true);
            budget.spend(Duration::from_millis(30));
            is_allowed
        });
        assert_eq!(n_urgent.count(), 17);
    }

    #[test]
    fn no_more_than_the_share_is_spent_whatever_is_asked() {
        for (share, piece, is_urgent) in [(0.1, 0.03, false), (0.1, 0.5, true), (0.5, 0.01, true), (0.05, 0.2, false)] {
            let start = Instant::now();
            let (mut budget, mut now, mut spent) = (Budget::new(share, start), 0.0, 0.0);
            while now < 100.0 {
                if budget.allows(start + Duration::from_secs_f64(now), is_urgent) {
                    budget.spend(Duration::from_secs_f64(piece));
                    spent += piece;
                    now += piece;
                }
                now += 0.01;
            }
            let most = share * now + MOST_CREDIT + piece;
            assert!(spent <= most && spent > 0.8 * share * now, "{share}, {piece}: {spent} of at most {most}");
        }
    }
}
