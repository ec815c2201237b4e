//! Evaluates a trained field.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::chunk::{FitChunk, FitSize};
use super::fitter::Fitter;
use crate::checkpoint::Checkpoint;
use crate::decoder::Head;
use crate::device::{Device, Interrupt, zeroed_vec};
use crate::field::{Field, WorkerScratch};
use crate::{Error, Result};

/// Evaluates a field at arbitrary points.
pub struct Predictor {
    device: Device,
    field: Field,
    dimensions: u32,
    n_outputs: u32,
    size: FitSize,
    /// One per worker; the locks are never contended.
    chunks: Vec<Mutex<(FitChunk, WorkerScratch)>>,
    /// Name of the field in messages: the file of its checkpoint.
    name: PathBuf,
    interrupt: Interrupt,
}

impl Predictor {
    /// Creates a predictor that owns `field`; the compute copy of its weights must be up to date.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    #[doc(hidden)]
    pub fn new(device: &Device, head: Head, field: Field, name: &Path) -> Result<Self> {
        let Head::Values { dimensions, n_outputs } = head else { unreachable!("fitted fields have values") };
        let size = FitSize::for_prediction(device, &field);
        let workers = WorkerScratch::all(device, size.samples, &field, false)?.into_iter();
        let with_chunk = |scratch| Ok(Mutex::new((FitChunk::new(device, size.samples, head, &field, false)?, scratch)));
        let chunks = workers.map(with_chunk).collect::<Result<_>>()?;
        let (device, name) = (device.clone(), name.to_path_buf());
        Ok(Predictor { device, field, dimensions, n_outputs, size, chunks, name, interrupt: Interrupt::default() })
    }

    /// Creates a predictor of a checkpoint's field.
    ///
    /// # Errors
    /// Returns an error if the checkpoint lacks a tensor, or holds one whose shape does not match its configuration.
    pub fn from_checkpoint(device: &Device, checkpoint: &Checkpoint, head: Head) -> Result<Self> {
        Predictor::new(device, head, Field::from_checkpoint(device, checkpoint, head)?, checkpoint.path())
    }

    /// Returns the number of learned parameters.
    pub fn n_parameters(&self) -> usize {
        self.field.n_parameters()
    }

    /// Returns the device that holds the field.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the request that ends, with [`Error::Interrupted`], what this predictor computes.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Computes the values `[n, n_outputs]` at points `[n, D]` of the unit cube, or of the unit square of an image.
    ///
    /// # Errors
    /// Returns an error if the device fails, or if a value is not finite, as happens after training has diverged.
    ///
    /// # Panics
    /// Panics if the number of coordinates is not a multiple of D.
    pub fn values_at(&self, points: &[f32]) -> Result<Vec<f32>> {
        let d = self.dimensions as usize;
        assert!(points.len().is_multiple_of(d), "{} coordinates of points of {d} dimensions", points.len());
        let place = |chunk: &mut FitChunk, first: usize| {
            let own = &points[d * first..d * (first + chunk.n)];
            chunk.position.upload(0, own)
        };
        self.values(points.len() / d, place)
    }

    /// Computes the values `[n, n_outputs]` at `n` points. `place(chunk, first)` sets the positions of the chunk's
    /// samples, which are points `first` and following.
    ///
    /// # Errors
    /// Returns an error if the device fails, or if a value is not finite, as happens after training has diverged.
    pub(crate) fn values(
        &self,
        n: usize,
        place: impl Fn(&mut FitChunk, usize) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let values = self.unchecked_values(n, place)?;
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        let what = "the field gives values that are not finite, so that its training diverged or its numbers are \
                    damaged; use an earlier checkpoint, or train again with a lower optimizer.learning_rate";
        Err(Error::file(&self.name, what))
    }

    /// As [`Predictor::values`], but the values may be any numbers, NaN included.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn unchecked_values(
        &self,
        n: usize,
        place: impl Fn(&mut FitChunk, usize) -> Result<()> + Sync,
    ) -> Result<Vec<f32>> {
        let mut values: Vec<f32> = zeroed_vec(n * self.n_outputs as usize)?;
        let mut strips: Vec<&mut [f32]> = values.chunks_mut(self.size.samples * self.n_outputs as usize).collect();
        self.device.for_each_chunk(&mut strips, |worker, index, strip| {
            self.interrupt.check()?;
            let mut own = self.chunks[worker].lock().unwrap_or_else(PoisonError::into_inner);
            let (chunk, scratch) = &mut *own;
            chunk.set_len(strip.len() / self.n_outputs as usize)?;
            place(chunk, index * self.size.samples)?;
            let fitter = Fitter { device: &self.device, field: &self.field, n_outputs: self.n_outputs };
            fitter.forward(chunk, scratch)?;
            chunk.output.download_into(0, strip)
        })?;
        Ok(values)
    }

    /// Predictor::values, for tests.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn predict(&self, n: usize, place: impl Fn(&mut FitChunk, usize) -> Result<()> + Sync) -> Result<Vec<f32>> {
        self.values(n, place)
    }
}
