//! Statistics that the kernels accumulate during training.

use crate::ranks::Ranks;

/// Sums over the rays of some steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Sum of the rays' losses.
    pub loss: f64,
    /// Sum of the rays' squared errors, each the mean over channels.
    pub squared_error: f64,
    /// Number of rays.
    pub rays: u64,
    /// Number of samples.
    pub samples: u64,
    /// Rays that were left out because their samples did not fit.
    pub dropped: u64,
    /// Samples that contributed to their ray's colour, i.e. those before the ray became opaque.
    pub composited: u64,
}

impl Statistics {
    pub(super) fn add(&mut self, other: &Statistics) {
        self.loss += other.loss;
        self.squared_error += other.squared_error;
        self.rays += other.rays;
        self.samples += other.samples;
        self.dropped += other.dropped;
        self.composited += other.composited;
    }

    /// Returns the sums over all ranks.
    pub(super) fn over(&self, ranks: &Ranks) -> Statistics {
        let Statistics { rays, samples, dropped, composited, .. } = *self;
        let [loss, squared_error] = ranks.sum_numbers([self.loss, self.squared_error]);
        let [rays, samples, dropped, composited] = ranks.sum_counts([rays, samples, dropped, composited]);
        Statistics { loss, squared_error, rays, samples, dropped, composited }
    }

    /// Returns the number of samples evaluated per composited sample.
    pub fn asked_per_composited(&self) -> f64 {
        self.samples as f64 / self.composited.max(1) as f64
    }

    /// Returns the PSNR in dB over the rays that were not dropped.
    pub fn psnr(&self) -> f64 {
        -10.0 * (self.squared_error / (self.rays - self.dropped).max(1) as f64).log10()
    }
}
