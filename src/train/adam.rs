//! Adam (Kingma and Ba 2015) on a device, with the moving average of the parameters that renders.

use crate::Result;
use crate::config::OptimizerConfig;
use crate::device::args::{AdamArgs, AverageArgs, Compute};
use crate::device::{Buffer, Device, Grid, Ptr, kernels};

/// What Adam keeps of one buffer of parameters, taken as entries of `width` numbers that are touched together.
pub struct Moments {
    /// Gradient of the step, summed over rays; zero between steps.
    pub gradient: Buffer<f32>,
    pub first: Buffer<f32>,
    pub second: Buffer<f32>,
    /// Updates of each entry.
    pub steps: Buffer<u32>,
    /// Moving average and the step it was last brought up to.
    pub average: Option<(Buffer<f32>, Buffer<u32>)>,
    pub width: usize,
}

impl Moments {
    /// For `value`; the average, if there is to be one, begins there.
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

/// The numbers of one step.
pub struct Adam {
    pub learning_rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    average_decay: f32,
    /// Of the gradients: 1 over the rays they are summed over.
    pub gradient_scale: f32,
    /// Number of the training step, from 1.
    pub step: u32,
}

impl Adam {
    pub fn new(config: &OptimizerConfig, ema_decay: f64) -> Self {
        Adam {
            learning_rate: config.learning_rate as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            epsilon: config.epsilon as f32,
            average_decay: ema_decay as f32,
            gradient_scale: 1.0,
            step: 1,
        }
    }

    /// Updates `value` by its gradient, which is zero afterwards. `copy`: fp16 copy of the values, or null.
    pub fn update(
        &self,
        device: &Device,
        value: &Buffer<f32>,
        moments: &Moments,
        l2_reg: f32,
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
            width: moments.width as u32,
            step: self.step,
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            l2_reg,
            average_decay: self.average_decay,
            gradient_scale: self.gradient_scale,
        };
        device.launch(&kernels::ADAM, &args, Grid::items(moments.steps.len()))
    }

    /// Writes the average as of the last step to `now`. Without an average, the values themselves.
    pub fn average(&self, device: &Device, value: &Buffer<f32>, moments: &Moments, now: &mut Buffer<f32>) -> Result<()> {
        let Some((average, average_step)) = &moments.average else {
            return now.upload(0, &value.download()?);
        };
        let args = AverageArgs {
            value: value.ptr(),
            average: average.ptr(),
            average_step: average_step.ptr(),
            now: now.ptr(),
            copy: Ptr::NULL,
            width: moments.width as u32,
            step: self.step - 1,
            decay: self.average_decay,
        };
        device.launch(&kernels::AVERAGE_NOW, &args, Grid::items(moments.steps.len()))
    }
}
