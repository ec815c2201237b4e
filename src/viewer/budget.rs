//! How much of the time pictures may take from training.

use std::time::{Duration, Instant};

/// Credit that may be saved up while nobody looks, in seconds, so that the first pictures come at once.
const MOST_CREDIT: f64 = 0.1;

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

    /// Returns whether something may be spent at the moment `now`.
    pub fn allows(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.credit = (self.credit + self.share * passed).min(MOST_CREDIT);
        self.at = now;
        self.credit > 0.0
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
    fn no_more_than_the_share_is_spent_whatever_is_asked() {
        for (share, piece) in [(0.1, 0.03), (0.1, 0.5), (0.5, 0.01), (0.02, 0.2)] {
            let start = Instant::now();
            let (mut budget, mut now, mut spent) = (Budget::new(share, start), 0.0, 0.0);
            while now < 100.0 {
                if budget.allows(start + Duration::from_secs_f64(now)) {
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
