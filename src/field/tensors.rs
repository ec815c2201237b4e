//! Converts a field and its optimizer state to and from the tensors of checkpoints, which `docs/formats.md` lists.

use bytemuck::Pod;

use super::{Field, FieldOptimizer};
use crate::Result;
use crate::checkpoint::{Checkpoint, Element, Tensor, TensorData};
use crate::config::Config;
use crate::decoder::{Decoder, Head};
use crate::device::{Buffer, Device};
use crate::encoding::Init;
use crate::train::Moments;

const FEATURES: &str = "grid.features";
/// Name of the tensor with the current base resolution, for grids whose resolution is raised during training.
const BASE_RESOLUTION: &str = "grid.base_resolution";
/// Prefixes of the optimizer states of the grid, of the networks, and of an encoding's parameters.
const OPTIMIZER: [&str; 3] = ["optimizer.grid", "optimizer.network", "optimizer.kernel"];

/// Returns the name of the weight tensor of layer `number`.
pub(crate) fn layer_name(decoder: &Decoder, number: usize) -> String {
    let n_density = decoder.n_density_layers;
    if decoder.layers.len() == n_density {
        format!("network.{number}.weight")
    } else if number < n_density {
        format!("density_network.{number}.weight")
    } else {
        format!("color_network.{}.weight", number - n_density)
    }
}

/// Fills a buffer from a tensor.
pub(crate) fn fill<T: Pod + Element>(
    buffer: &mut Buffer<T>,
    from: &Checkpoint,
    name: &str,
    shape: &[usize],
) -> Result<()> {
    buffer.upload(0, from.get(name, shape)?)
}

impl Field {
    /// Loads the field that a checkpoint renders.
    ///
    /// # Errors
    /// Returns an error if the checkpoint lacks a tensor, or holds one whose shape does not match its configuration.
    pub fn from_checkpoint(device: &Device, checkpoint: &Checkpoint, head: Head) -> Result<Self> {
        let model = checkpoint.header.config.model.after_upscales(upscales(checkpoint)?);
        let mut field = Field::open(device, &model, head, &Init::Saved(checkpoint))?;
        let shape = [field.grid.n_entries(), field.grid.n_features_per_level as usize];
        if !field.table.is_empty() {
            fill(&mut field.table, checkpoint, FEATURES, &shape)?;
        }
        let mut first = 0;
        for number in 0..field.decoder.layers.len() {
            let layer = field.decoder.layers[number];
            let shape = [layer.n_out as usize, layer.n_in as usize];
            field.weights.upload(first, checkpoint.get(&layer_name(&field.decoder, number), &shape)?)?;
            first += layer.n_weights();
        }
        field.refresh_copies(device)?;
        Ok(field)
    }

    /// Returns the features, the weights and the tensors of the grid's encoding.
    pub fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let shape = [self.grid.n_entries(), self.grid.n_features_per_level as usize];
        let mut tensors = Vec::new();
        if !self.table.is_empty() {
            tensors.push(Tensor::new(FEATURES, &shape, self.table.download()?));
        }
        let weights = self.weights.download()?;
        let mut first = 0;
        for (number, layer) in self.decoder.layers.iter().enumerate() {
            let shape = [layer.n_out as usize, layer.n_in as usize];
            let own = weights[first..first + layer.n_weights()].to_vec();
            tensors.push(Tensor::new(layer_name(&self.decoder, number), &shape, own));
            first += layer.n_weights();
        }
        if let Some(encoding) = &self.encoding {
            tensors.extend(encoding.tensors()?);
        }
        Ok(tensors)
    }
}

/// Returns how many times the grid's resolution has been doubled.
fn upscales(checkpoint: &Checkpoint) -> Result<usize> {
    let grid = &checkpoint.header.config.model.grid;
    if grid.upscale_at.is_empty() {
        return Ok(0);
    }
    let reached: &[u32] = checkpoint.get(BASE_RESOLUTION, &[1])?;
    let stage = (0..=grid.upscale_at.len()).find(|&n| grid.after_upscales(n).base_resolution == reached[0]);
    stage.ok_or_else(|| {
        checkpoint.refuse(format!(
            "tensor `{BASE_RESOLUTION}` is {}, which its config does not lead to; the checkpoint is of another model",
            reached[0]
        ))
    })
}

impl FieldOptimizer {
    /// Restores the optimizer state of a field that was loaded from `checkpoint`. If the field is a moving average,
    /// this replaces its parameters with the current ones being trained; its compute copies are refreshed.
    ///
    /// # Errors
    /// Returns an error if the device fails, or if the checkpoint holds no training state or one that does not match
    /// its configuration.
    pub fn from_checkpoint(
        device: &Device,
        checkpoint: &Checkpoint,
        field: &mut Field,
        n_chunks: usize,
    ) -> Result<Self> {
        let config = &checkpoint.header.config;
        let mut field_optimizer = FieldOptimizer::new(device, config, field, n_chunks, upscales(checkpoint)?)?;
        restore_optimizer(checkpoint, OPTIMIZER[0], &mut field.table, &mut field_optimizer.table)?;
        restore_optimizer(checkpoint, OPTIMIZER[1], &mut field.weights, &mut field_optimizer.weights)?;
        let parameters = field.encoding.as_mut().and_then(|encoding| encoding.parameters_mut());
        if let (Some(learning), Some(parameters)) = (&mut field_optimizer.encoding, parameters) {
            restore_optimizer(checkpoint, OPTIMIZER[2], parameters, &mut learning.moments)?;
        }
        field.refresh_copies(device)?;
        Ok(field_optimizer)
    }

    /// Returns what a checkpoint needs to resume training, besides the field that renders.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn tensors(&self, config: &Config, field: &Field) -> Result<Vec<Tensor<'static>>> {
        let mut tensors = optimizer_tensors(OPTIMIZER[0], &field.table, &self.table)?;
        tensors.extend(optimizer_tensors(OPTIMIZER[1], &field.weights, &self.weights)?);
        if let (Some(learning), Some(parameters)) = (&self.encoding, field.encoding_parameters()) {
            tensors.extend(optimizer_tensors(OPTIMIZER[2], parameters, &learning.moments)?);
        }
        if !config.model.grid.upscale_at.is_empty() {
            let reached = config.model.grid.after_upscales(self.upscales).base_resolution;
            tensors.push(Tensor::new(BASE_RESOLUTION, &[1], vec![reached]));
        }
        Ok(tensors)
    }
}

/// Returns the optimizer state under `prefix`, or nothing if `value` is empty: `first_moment`, `second_moment` and
/// `updates`; and with a moving average also `value`, `average` and `average_step`, the step up to which each entry of
/// the average has been updated.
pub(crate) fn optimizer_tensors(prefix: &str, value: &Buffer<f32>, moments: &Moments) -> Result<Vec<Tensor<'static>>> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let shape = [moments.steps.len(), moments.width];
    let named =
        |name: &str, shape: &[usize], data: TensorData<'static>| Tensor::new(format!("{prefix}.{name}"), shape, data);
    let mut tensors = vec![
        named("first_moment", &shape, moments.first.download()?.into()),
        named("second_moment", &shape, moments.second.download()?.into()),
        named("updates", &shape[..1], moments.steps.download()?.into()),
    ];
    if let Some((average, average_step)) = &moments.average {
        tensors.push(named("value", &shape, value.download()?.into()));
        tensors.push(named("average", &shape, average.download()?.into()));
        tensors.push(named("average_step", &shape[..1], average_step.download()?.into()));
    }
    Ok(tensors)
}

/// Restores the state that [`optimizer_tensors`] saved. With a moving average, also sets `value` to the parameters of
/// the last step.
pub(crate) fn restore_optimizer(
    checkpoint: &Checkpoint,
    prefix: &str,
    value: &mut Buffer<f32>,
    moments: &mut Moments,
) -> Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    let shape = [moments.steps.len(), moments.width];
    let name = |name: &str| format!("{prefix}.{name}");
    fill(&mut moments.first, checkpoint, &name("first_moment"), &shape)?;
    fill(&mut moments.second, checkpoint, &name("second_moment"), &shape)?;
    fill(&mut moments.steps, checkpoint, &name("updates"), &shape[..1])?;
    if let Some((average, average_step)) = &mut moments.average {
        fill(value, checkpoint, &name("value"), &shape)?;
        fill(average, checkpoint, &name("average"), &shape)?;
        fill(average_step, checkpoint, &name("average_step"), &shape[..1])?;
    }
    Ok(())
}
