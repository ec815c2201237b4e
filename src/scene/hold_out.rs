//! Test views held out where a format has no split of its own.

use super::{Splits, View};

/// Interval of the held-out views, as in the LLFF paper and its successors.
const EVERY: usize = 8;

/// Returns the first of `views` and every 8th after it for testing, and the others for training.
pub(super) fn every_eighth(views: Vec<View>) -> Splits {
    let mut splits = Splits::default();
    for (i, view) in views.into_iter().enumerate() {
        if i % EVERY == 0 { splits.test.push(view) } else { splits.train.push(view) }
    }
    splits
}
