//! Asking a fitted field that no longer changes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::chunk::{FitChunk, FitSize};
use super::fitter::Fitter;
use crate::decoder::Head;
use crate::device::{Device, zeroed_vec};
use crate::field::{Field, WorkerScratch};
use crate::train::Checkpoint;
use crate::{Error, Result};

/// A field's values at any points.
pub struct Predictor {
    device: Device,
    field: Field,
    n_outputs: u32,
    size: FitSize,
    /// One for each worker; the locks are never waited for.
    chunks: Vec<Mutex<(FitChunk, WorkerScratch)>>,
    /// What messages call the field: its checkpoint's file.
    name: PathBuf,
}

impl Predictor {
    /// Takes over a field; its weights' copy must be up to date.
    ///
    /// # Errors
    /// Of the device.
    pub fn new(device: &Device, head: Head, field: Field, name: &Path) -> Result<Self> {
        let Head::Values { n_outputs, .. } = head else { unreachable!("fitted fields have values") };
        let size = FitSize::for_prediction(device, &field);
        let workers = WorkerScratch::all(device, size.samples, &field, false)?.into_iter();
        let with_chunk = |scratch| Ok(Mutex::new((FitChunk::new(device, size.samples, head, &field, false)?, scratch)));
        let chunks = workers.map(with_chunk).collect::<Result<_>>()?;
        let (device, name) = (device.clone(), name.to_path_buf());
        Ok(Predictor { device, field, n_outputs, size, chunks, name })
    }

    /// # Errors
    /// Where the checkpoint lacks a tensor, or holds one of another shape than its configuration asks for.
    pub fn from_checkpoint(device: &Device, checkpoint: &Checkpoint, head: Head) -> Result<Self> {
        Predictor::new(device, head, Field::from_checkpoint(device, checkpoint, head)?, checkpoint.path())
    }

    /// Learned numbers of the field.
    pub fn n_parameters(&self) -> usize {
        self.field.n_parameters()
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Values `[n, n_outputs]` at `n` points. `place(chunk, first)` sets the positions of the chunk's samples, which are
    /// points `first` and on.
    ///
    /// # Errors
    /// Of the device; and where a value is no finite number, as those of a field whose training diverged.
    pub fn values(&self, n: usize, place: impl Fn(&mut FitChunk, usize) -> Result<()> + Sync) -> Result<Vec<f32>> {
        let mut values: Vec<f32> = zeroed_vec(n * self.n_outputs as usize)?;
        let mut strips: Vec<&mut [f32]> = values.chunks_mut(self.size.samples * self.n_outputs as usize).collect();
        self.device.for_each_chunk(&mut strips, |worker, index, strip| {
            let mut own = self.chunks[worker].lock().unwrap_or_else(PoisonError::into_inner);
            let (chunk, scratch) = &mut *own;
            chunk.set_len(strip.len() / self.n_outputs as usize)?;
            place(chunk, index * self.size.samples)?;
            let fitter = Fitter { device: &self.device, field: &self.field, n_outputs: self.n_outputs };
            fitter.forward(chunk, scratch)?;
            chunk.output.download_into(0, strip)
        })?;
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        let what = "the field gives values that are not finite, so that its training diverged or its numbers are \
                    damaged; use an earlier checkpoint, or train again with a lower optimizer.learning_rate";
        Err(Error::file(&self.name, what))
    }
}
