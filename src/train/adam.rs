//! Adam (Kingma and Ba 2015) on a device, with the moving average of the parameters that is used for rendering.

use crate::Result;
use crate::config::OptimizerConfig;
use crate::device::args::{ADAM_NUMBERS, AdamArgs, AverageArgs, Compute};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

/// Adam's state for one buffer of parameters, seen as entries of `width` numbers that are updated together.
pub struct Moments {
    /// Gradient of the step, summed over rays; zero between steps.
    pub gradient: Buffer<f32>,
    /// First moment of the gradient.
    pub first: Buffer<f32>,
    /// Second moment of the gradient.
    pub second: Buffer<f32>,
    /// Number of updates of each entry.
    pub steps: Buffer<u32>,
    /// Moving average, and the step up to which each of its entries has been updated.
    pub average: Option<(Buffer<f32>, Buffer<u32>)>,
    /// Number of parameters of an entry.
    pub width: usize,
}

impl Moments {
    /// Creates the state for `value`. If `averaged`, the moving average starts from its current values.
    pub fn new(device: &Device, value: &Buffer<f32>, width: usize, averaged: bool) -> Result<Self> {
        let n = value.len();
        let average =
            if averaged { Some((device.upload(&value.download()?)?, device.zeros(n / width)?)) } else { None };
        Ok(Moments {
            gradient: device.zeros(n)?,
            first: device.zeros(n)?,
            second: device.zeros(n)?,
            steps: device.zeros(n / width)?,
            average,
            width,
        })
    }
}

/// Adam's constants on a device.
pub struct Adam {
    config: OptimizerConfig,
    /// `√(1 − β₂ᵏ) / (1 − β₁ᵏ)` for `k` updates.
    corrections: Buffer<f32>,
    /// `ema_decayᵏ` for `k` steps.
    decays: Buffer<f32>,
}

/// The quantities that change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Number of the training step, from 1.
    pub step: u64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Factor on the gradients: 1 over the number of rays they are summed over.
    pub gradient_scale: f64,
}

/// Powers are tabulated until they no longer make a difference in fp32, or up to this many.
const MOST_POWERS: usize = 1 << 16;

impl Adam {
    /// Creates the tables. `ema_decay` is the decay of the moving average per step.
    pub fn new(device: &Device, config: &OptimizerConfig, ema_decay: f64) -> Result<Self> {
        let corrections: Vec<f32> = (0..powers_that_show(config.beta2.max(config.beta1)))
            .map(|k| {
                let k = k.max(1) as i32;
                ((1.0 - config.beta2.powi(k)).sqrt() / (1.0 - config.beta1.powi(k))) as f32
            })
            .collect();
        let decays: Vec<f32> = (0..powers_that_show(ema_decay)).map(|k| ema_decay.powi(k as i32) as f32).collect();
        Ok(Adam { config: config.clone(), corrections: device.upload(&corrections)?, decays: device.upload(&decays)? })
    }

    /// Updates `value` with its gradient, which is zero afterwards. `copy` is the fp16 copy of the values, or null.
    pub fn update(
        &self,
        device: &Device,
        now: &AdamStep,
        value: &Buffer<f32>,
        moments: &Moments,
        l2_reg: f64,
        copy: Ptr<'_, Compute>,
    ) -> Result<()> {
        let average = moments.average.as_ref();
        let args = AdamArgs {
            value: value.ptr(),
            gradient: moments.gradient.ptr(),
            moment1: moments.first.ptr(),
            moment2: moments.second.ptr(),
            steps: moments.steps.ptr(),
            average: average.map_or(Ptr::NULL, |(average, _)| average.ptr()),
            average_step: average.map_or(Ptr::NULL, |(_, step)| step.ptr()),
            copy,
            corrections: self.corrections.ptr(),
            decays: self.decays.ptr(),
            n_corrections: self.corrections.len() as u32,
            n_decays: self.decays.len() as u32,
            n_entries: moments.steps.len() as u32,
            width: moments.width as u32,
            step: now.step as u32,
            learning_rate: now.learning_rate as f32,
            beta1: self.config.beta1 as f32,
            beta2: self.config.beta2 as f32,
            epsilon: self.config.epsilon as f32,
            l2_reg: l2_reg as f32,
            gradient_scale: now.gradient_scale as f32,
        };
        let per_item = if device.is_host() { ADAM_NUMBERS / moments.width } else { 1 };
        device.launch(&kernels::ADAM, &args, LaunchDims::items(moments.steps.len().div_ceil(per_item)))
    }

    /// Writes to `now` the moving average as of the end of step `step`, or the values themselves if there is no
    /// average.
    pub fn average(
        &self,
        device: &Device,
        step: u64,
        value: &Buffer<f32>,
        moments: &Moments,
        now: &mut Buffer<f32>,
    ) -> Result<()> {
        let Some((average, average_step)) = &moments.average else {
            return now.upload(0, &value.download()?);
        };
        let args = AverageArgs {
            value: value.ptr(),
            average: average.ptr(),
            average_step: average_step.ptr(),
            now: now.ptr(),
            decays: self.decays.ptr(),
            n_decays: self.decays.len() as u32,
            width: moments.width as u32,
            step: step as u32,
        };
        device.launch(&kernels::AVERAGE_NOW, &args, LaunchDims::items(moments.steps.len()))
    }
}

/// Returns how many powers of `base` are not negligible next to 1 in fp32.
fn powers_that_show(base: f64) -> usize {
    let mut power = 1.0;
    let n = (0..MOST_POWERS).take_while(|_| {
        power *= base;
        power > f64::from(f32::EPSILON) / 4.0
    });
    n.count() + 2
}
