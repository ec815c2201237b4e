//! Optimizes a field's parameters: gradients accumulated by chunk, Adam, and the moving average used for rendering.

use crate::config::Config;
use crate::device::args::{SUM_WIDTH, ScatterArgs, SumArgs};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::ranks::Ranks;
use crate::train::{Adam, AdamStep, Moments};
use crate::{Result, encoding};

use super::Field;

/// Optimizer state of a field, on its device.
pub struct FieldOptimizer {
    pub(super) adam: Adam,
    pub(super) table: Moments,
    pub(super) weights: Moments,
    pub(super) encoding: Option<EncodingOptimizer>,
    /// Gradients with respect to the weights by chunk, `[n_chunks, n_weights]`.
    weight_gradients: Buffer<f32>,
    n_chunks: usize,
    /// Number of times the grid's resolution has been doubled.
    pub upscales: usize,
}

/// Optimizer state of an encoding's parameters.
pub(super) struct EncodingOptimizer {
    pub moments: Moments,
    /// Gradients as the encoding accumulates them, `[n_chunks, n]`, and their sum over chunks.
    gradients: Buffer<f32>,
    gradient: Buffer<f32>,
}

/// Buffers into which a chunk accumulates its gradients.
#[derive(Clone, Copy)]
pub struct ChunkGradients<'a> {
    /// Gradients with respect to the weights, laid out like them.
    pub dl_dweights: Ptr<'a, f32>,
    /// Gradients as the encoding accumulates them; null if it has no parameters.
    pub dl_dparameters: Ptr<'a, f32>,
}

impl EncodingOptimizer {
    /// Creates the state; returns None if the grid has no learned parameters besides its features.
    fn new(device: &Device, field: &Field, n_chunks: usize, averaged: bool) -> Result<Option<Self>> {
        let (Some(encoding), Some(parameters)) = (&field.encoding, field.encoding_parameters()) else {
            return Ok(None);
        };
        Ok(Some(EncodingOptimizer {
            moments: Moments::new(device, parameters, 1, averaged)?,
            gradients: device.zeros(n_chunks * encoding.n_gradients())?,
            gradient: device.zeros(encoding.n_gradients())?,
        }))
    }
}

impl FieldOptimizer {
    /// Creates the state of an untrained field, for steps of `n_chunks` chunks; its resolution has been doubled
    /// `upscales` times.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(device: &Device, config: &Config, field: &Field, n_chunks: usize, upscales: usize) -> Result<Self> {
        let averaged = config.train.ema_decay > 0.0;
        let width = field.grid.n_features_per_level as usize;
        Ok(FieldOptimizer {
            adam: Adam::new(device, &config.optimizer, config.train.ema_decay)?,
            table: Moments::new(device, &field.table, width, averaged)?,
            weights: Moments::new(device, &field.weights, 1, averaged)?,
            encoding: EncodingOptimizer::new(device, field, n_chunks, averaged)?,
            weight_gradients: device.zeros(n_chunks * field.decoder.n_weights())?,
            n_chunks,
            upscales,
        })
    }

    /// Doubles the resolution of a dense grid as often as is due at `progress`, the completed fraction of the run. Adam
    /// restarts, since its moments belong to the old nodes.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn upscale(&mut self, device: &Device, config: &Config, field: &mut Field, progress: f64) -> Result<()> {
        let due = config.model.grid.upscale_at.iter().filter(|&&at| progress >= at).count();
        if due <= self.upscales {
            return Ok(());
        }
        self.upscales = due;
        field.resample(device, &config.model.after_upscales(due))?;
        let (width, averaged) = (self.table.width, self.table.average.is_some());
        self.table = Moments::new(device, &field.table, width, averaged)?;
        Ok(())
    }

    /// Clears the chunks' gradients of the previous step.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn begin(&mut self) -> Result<()> {
        self.weight_gradients.clear()?;
        self.encoding.as_mut().map_or(Ok(()), |encoding| encoding.gradients.clear())
    }

    pub fn gradients_of(&self, chunk: usize) -> ChunkGradients<'_> {
        let n_weights = self.weight_gradients.len() / self.n_chunks;
        let encoding = self.encoding.as_ref();
        ChunkGradients {
            dl_dweights: self.weight_gradients.ptr_at(chunk * n_weights),
            dl_dparameters: encoding
                .map_or(Ptr::NULL, |encoding| encoding.gradients.ptr_at(chunk * encoding.gradient.len())),
        }
    }

    /// Returns the buffer to which the scatter adds the gradients of features, `[n_entries, F]`.
    pub fn table_gradient(&self) -> Ptr<'_, f32> {
        self.table.gradient.ptr()
    }

    /// Scatters the gradients with respect to the features into the table's gradient, level by level and chunk by
    /// chunk.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn scatter(&self, device: &Device, field: &Field, launches: &[(ScatterArgs, LaunchDims)]) -> Result<()> {
        let n_levels = field.grid.levels.len();
        match &field.encoding {
            Some(encoding) => encoding.scatter(device, launches, n_levels),
            None => device.launch_rows(&kernels::GRID_SCATTER, launches, n_levels),
        }
    }

    /// Sums the gradients of features, weights and the encoding's parameters over the chunks, and these sums over the
    /// ranks.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn sum_gradients(&mut self, device: &Device, ranks: &Ranks) -> Result<()> {
        self.sum_chunks(device, &self.weight_gradients, &self.weights.gradient)?;
        if let Some(learning) = &self.encoding {
            self.sum_chunks(device, &learning.gradients, &learning.gradient)?;
        }
        self.summed().into_iter().try_for_each(|gradient| ranks.sum(gradient))
    }

    /// Returns the gradients that are summed over ranks.
    pub fn summed(&mut self) -> Vec<&mut Buffer<f32>> {
        let of_encoding = self.encoding.as_mut().map(|learning| &mut learning.gradient);
        [&mut self.table.gradient, &mut self.weights.gradient].into_iter().chain(of_encoding).collect()
    }

    /// Takes an Adam step on features, weights and the encoding's parameters, after [`Self::sum_gradients`]. `step` is
    /// counted from 1. Gradients are sums over `n` rays or samples, those of all ranks; if they were scaled, `n`
    /// includes the factor.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn optimizer_step(
        &self,
        device: &Device,
        config: &Config,
        field: &Field,
        step: u64,
        learning_rate: f64,
        n: f64,
    ) -> Result<()> {
        let optimizer = &config.optimizer;
        let now = AdamStep { step, learning_rate, gradient_scale: 1.0 / n };
        let copy = field.table_copy.as_ref().map_or(Ptr::NULL, |copy| copy.ptr());
        if optimizer.total_variation > 0.0 {
            // Gradients are sums until Adam divides them by `n`.
            let weight = optimizer.total_variation * n;
            encoding::add_total_variation(device, &field.grid, &field.table, self.table_gradient(), weight)?;
        }
        self.adam.update(device, &now, &field.table, &self.table, 0.0, copy)?;
        self.adam.update(device, &now, &field.weights, &self.weights, optimizer.l2_reg, Ptr::NULL)?;
        let (Some(learning), Some(encoding)) = (&self.encoding, &field.encoding) else { return Ok(()) };
        let Some(parameters) = encoding.parameters() else { return Ok(()) };
        encoding.gradient(device, &field.grid, learning.gradient.ptr(), learning.moments.gradient.ptr())?;
        let learning_rate = now.learning_rate * encoding.learning_rate(optimizer) / optimizer.learning_rate;
        let now = AdamStep { learning_rate, ..now };
        self.adam.update(device, &now, parameters, &learning.moments, 0.0, Ptr::NULL)
    }

    /// Takes an Adam step on parameters outside of the field, with gradients by chunk, `[n_chunks, n]`, which are summed
    /// over chunks and ranks.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn optimizer_step_extra(
        &self,
        device: &Device,
        ranks: &Ranks,
        now: &AdamStep,
        value: &Buffer<f32>,
        gradients: &Buffer<f32>,
        moments: &mut Moments,
    ) -> Result<()> {
        self.sum_chunks(device, gradients, &moments.gradient)?;
        ranks.sum(&mut moments.gradient)?;
        self.adam.update(device, now, value, moments, 0.0, Ptr::NULL)
    }

    /// Sums the gradients `[n_chunks, n]` over chunks, in their order.
    fn sum_chunks(&self, device: &Device, parts: &Buffer<f32>, sum: &Buffer<f32>) -> Result<()> {
        let args = SumArgs { parts: parts.ptr(), sum: sum.ptr(), n_parts: self.n_chunks as u32, n: sum.len() as u32 };
        device.launch(&kernels::SUM_PARTS, &args, LaunchDims::items(sum.len() / SUM_WIDTH))
    }

    /// Returns the field to render after `step` steps: the moving average if there is one.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn averaged(&self, device: &Device, field: &Field, step: u64) -> Result<Field> {
        let mut averaged = field.new_like(device)?;
        self.adam.average(device, step, &field.table, &self.table, &mut averaged.table)?;
        self.adam.average(device, step, &field.weights, &self.weights, &mut averaged.weights)?;
        let to = averaged.encoding.as_mut().and_then(|encoding| encoding.parameters_mut());
        if let (Some(learning), Some(own), Some(to)) = (&self.encoding, field.encoding_parameters(), to) {
            self.adam.average(device, step, own, &learning.moments, to)?;
        }
        averaged.refresh_copies(device)?;
        Ok(averaged)
    }
}
