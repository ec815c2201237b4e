//! Training of fitted fields, and its use as a task of a training session.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value};

use super::chunk::{FitChunk, FitSize};
use super::eikonal::{Eikonal, gradient_scale};
use super::fitter::Fitter;
use super::predictor::Predictor;
use crate::checkpoint::{Checkpoint, Header};
use crate::config::Config;
use crate::decoder::{Head, LayerNeurons};
use crate::device::args::{FitLoss, ScatterArgs};
use crate::device::{Device, LaunchDims, Ptr};
use crate::encoding::InitContext;
use crate::field::{ChunkGradients, Field, FieldOptimizer, WorkerScratch, quasirandom};
use crate::geometry::UnitCube;
use crate::ranks::{Digest, Ranks};
use crate::render::Render;
use crate::train::event::{Evaluated, Started, StepReport};
use crate::train::{IN_TRAINING, Progress, Task, same_program, schedule};
use crate::{Error, Result};

/// Number of points at which a field is checked for values that are not finite before it is saved.
const N_PROBED: usize = 512;

/// The data that a field is fitted to.
pub trait Data: Send + Sync {
    /// Returns the name under which results are filed.
    fn name(&self) -> &str;

    /// Returns what the field represents.
    fn head(&self) -> Head;

    /// Returns the loss of the fitted values.
    fn loss(&self) -> FitLoss;

    /// Returns the map between `[0, 1]^D` and the data's own coordinates.
    fn unit_cube(&self) -> UnitCube;

    /// Returns the eikonal term, if the field is a distance field trained with one. Its stencils take the place of some
    /// samples.
    fn eikonal(&self) -> Option<Eikonal> {
        None
    }

    /// Returns how many of the `n` samples of a step, or of a chunk, have targets.
    fn n_with_target(&self, n: usize) -> usize {
        self.eikonal().map_or(n, |_| Eikonal::n_with_target(n))
    }

    /// Sets the number of samples of a step, those of all ranks together.
    fn set_samples(&mut self, n: usize);

    /// Returns a hash of what the field is fitted to.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    #[doc(hidden)]
    fn digest(&self) -> Result<u64>;

    /// Draws the positions and targets of a chunk's samples with targets, which are samples `first` and following of
    /// those of step `step` (counted from 0). They depend only on these numbers and the seed, so they are the same on
    /// every device and for any number of threads.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn draw(&self, device: &Device, chunk: &FitChunk, first: usize, step: u64) -> Result<()>;

    /// Returns the step whose samples a chunk uses at step `step`: that step itself, or an earlier one if drawing is so
    /// expensive that samples are used more than once.
    fn drawn_at(&self, step: u64, _chunk: usize) -> u64 {
        step
    }

    /// Evaluates a field during training; returns None if there is nothing to compare it with.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn evaluate(&self, predictor: &Predictor, step: u64) -> Result<Option<Evaluated>>;

    /// Returns what shows a field of the data to a camera; None if nothing does while it is fitted.
    fn renderer(&self, _predictor: Predictor) -> Option<Box<dyn Render>> {
        None
    }

    /// Returns the values that a checkpoint's header stores about the data, so that the field can be used without the
    /// data.
    fn scalars(&self) -> Map<String, Value>;

    /// Returns whether the mean squared error of training gives a PSNR, i.e. whether values have a peak of 1.
    fn has_psnr(&self) -> bool;
}

/// A field in training, with all its state on the device.
pub struct FitTrainer<D> {
    device: Device,
    config: Config,
    data: D,
    pub(super) field: Field,
    field_optimizer: FieldOptimizer,
    chunks: Vec<FitChunk>,
    /// Number of chunks that add to the same gradients; see [`FitSize::chunks_of_gradient`].
    chunks_of_gradient: usize,
    workers: Vec<WorkerScratch>,
    progress: Progress,
    /// Sums of loss and squared error since the last report.
    sums: [f64; 2],
    counted: u64,
    ranks: Ranks,
}

impl<D: Data> FitTrainer<D> {
    /// Creates a trainer with a randomly initialized field.
    ///
    /// # Errors
    /// Returns an error if the device fails, or if a file with the nodes of an encoding cannot be read.
    pub fn new(device: &Device, config: &Config, data: D) -> Result<Self> {
        let context = InitContext { seed: config.train.seed, unit_cube: data.unit_cube(), box_side: 1.0 };
        let field = Field::random(device, &config.model.after_upscales(0), data.head(), &context)?;
        let size = FitSize::for_training(device, config.train.batch_samples as usize, &field);
        let field_optimizer = FieldOptimizer::new(device, config, &field, size.n_gradients(), 0)?;
        FitTrainer::with(device, config, data, field, field_optimizer, size)
    }

    fn with(
        device: &Device,
        config: &Config,
        data: D,
        field: Field,
        field_optimizer: FieldOptimizer,
        size: FitSize,
    ) -> Result<Self> {
        let device = &device.with_precision(config.train.precision)?;
        let chunk = |_| FitChunk::new(device, size.samples, data.head(), &field, true);
        let mut trainer = FitTrainer {
            device: device.clone(),
            config: config.clone(),
            chunks_of_gradient: size.chunks_of_gradient,
            chunks: (0..size.n_chunks).map(chunk).collect::<Result<_>>()?,
            workers: WorkerScratch::all(device, size.samples, &field, true)?,
            data,
            field,
            field_optimizer,
            progress: Progress::default(),
            sums: [0.0; 2],
            counted: 0,
            ranks: Ranks::alone(),
        };
        trainer.data.set_samples(trainer.samples());
        Ok(trainer)
    }

    /// Resumes training from a checkpoint, with the checkpoint's configuration.
    ///
    /// # Errors
    /// Returns an error if the checkpoint holds no training state, or one that does not match its configuration.
    pub fn resume(device: &Device, checkpoint: &Checkpoint, data: D) -> Result<Self> {
        let config = &checkpoint.header.config;
        let mut field = Field::from_checkpoint(device, checkpoint, data.head())?;
        let size = FitSize::for_training(device, config.train.batch_samples as usize, &field);
        let field_optimizer = FieldOptimizer::from_checkpoint(device, checkpoint, &mut field, size.n_gradients())?;
        let mut trainer = FitTrainer::with(device, config, data, field, field_optimizer, size)?;
        trainer.progress = Progress::of(&checkpoint.header);
        Ok(trainer)
    }

    /// Returns the trainer as one of `ranks`, which train the same field together: each draws samples of its own, and a
    /// step has `train.accumulate` batches on each. All ranks call this at the same step, and from then
    /// on advance, read statistics and make or join checkpoints together, as [`lead`](crate::train::lead) and
    /// [`follow`](crate::train::follow) do.
    ///
    /// # Errors
    /// Returns an error if the ranks differ in the program, the configuration, the data or the field.
    pub fn among(mut self, ranks: &Ranks) -> Result<Self> {
        same_program(ranks, &self.config, &self.device)?;
        ranks.agree("image or mesh", &format_args!("{:016x}", self.data.digest()?))?;
        ranks.agree("starting point", &format_args!("step {}, {:016x}", self.progress.step, self.digest()?))?;
        self.ranks = ranks.clone();
        self.data.set_samples(self.samples());
        Ok(self)
    }

    /// Returns a hash of all learned parameters, which is the same on all ranks after each step.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    #[doc(hidden)]
    pub fn digest(&self) -> Result<u64> {
        let mut digest = Digest::new();
        self.field.add_to(&mut digest)?;
        Ok(digest.value())
    }

    /// Runs the forward and backward passes of all chunks, for batch `number` of the step's `train.accumulate`.
    fn fit(&mut self, number: usize) -> Result<()> {
        let (device, data, field_optimizer, workers, step) =
            (&self.device, &self.data, &self.field_optimizer, &self.workers, self.progress.step);
        let fitter = Fitter { device, field: &self.field, n_outputs: n_outputs(data.head()) };
        let (loss, eikonal) = (data.loss(), data.eikonal());
        let (batch, size) = (self.config.train.batch_samples as usize, self.chunks[0].capacity());
        // Samples and chunks are numbered through all ranks and batches: together they draw those of one larger step.
        let batches_before = self.ranks.rank() * self.config.train.accumulate as usize + number;
        let (samples_before, chunks_before) = (batches_before * batch, batches_before * self.chunks.len());
        let fit = |scratch: &WorkerScratch, index: usize, chunk: &mut FitChunk, gradients: &ChunkGradients| {
            let first = index * size;
            let n = size.min(batch - first);
            chunk.set_lens(n, data.n_with_target(n))?;
            let drawn = data.drawn_at(step, chunks_before + index);
            if chunk.drawn != Some((drawn, number)) {
                data.draw(device, chunk, data.n_with_target(samples_before + first), drawn)?;
                if let Some(eikonal) = eikonal {
                    eikonal.place(device, chunk)?;
                }
                chunk.drawn = Some((drawn, number));
            }
            fitter.forward(chunk, scratch)?;
            fitter.losses(chunk, loss, eikonal)?;
            fitter.backward(chunk, scratch, gradients)
        };
        let each = self.chunks_of_gradient;
        let mut groups: Vec<&mut [FitChunk]> = self.chunks.chunks_mut(each).collect();
        device.for_each_chunk(&mut groups, |worker, group, chunks| {
            let gradients = field_optimizer.gradients_of(group);
            let mut numbered = chunks.iter_mut().enumerate();
            numbered.try_for_each(|(k, chunk)| fit(&workers[worker], group * each + k, chunk, &gradients))
        })
    }

    /// Counts the neurons of `field` that are active at any sample of the last step; empty before the first step.
    fn neurons(&mut self, field: &Field) -> Result<Vec<LayerNeurons>> {
        if field.decoder.layers.is_empty() || self.chunks[0].drawn.is_none() {
            return Ok(Vec::new());
        }
        let (device, workers) = (&self.device, &self.workers);
        let fitter = Fitter { device, field, n_outputs: n_outputs(self.data.head()) };
        let mut work: Vec<(&mut FitChunk, Vec<u32>)> =
            self.chunks.iter_mut().map(|chunk| (chunk, Vec::new())).collect();
        device.for_each_chunk(&mut work, |worker, _, (chunk, active)| {
            fitter.forward(chunk, &workers[worker])?;
            let (count, capacity) = (chunk.count.ptr_at(1), chunk.capacity());
            *active = field.count_active(device, &workers[worker], Ptr::NULL, 0.0, count, capacity)?;
            Ok(())
        })?;
        Ok(field.neurons(work.iter().map(|(_, active)| active)))
    }

    fn scatters(&self) -> Vec<(ScatterArgs<'_>, LaunchDims)> {
        self.chunks.iter().map(|chunk| self.scatter_of(chunk)).collect()
    }

    fn scatter_of<'a>(&'a self, chunk: &'a FitChunk) -> (ScatterArgs<'a>, LaunchDims) {
        let args = ScatterArgs {
            grid: self.field.grid.layout(),
            position: chunk.position.ptr(),
            dl_dfeatures: chunk.dl_dfeatures.ptr(),
            phi: chunk.scatter_weights.ptr_or_null(),
            count: chunk.count.ptr_at(1),
            gradient: self.field_optimizer.table_gradient(),
            capacity: chunk.capacity() as u32,
        };
        (args, LaunchDims::tiles(chunk.n))
    }

    /// Returns what the field is fitted to.
    pub fn data(&self) -> &D {
        &self.data
    }

    /// Returns the samples of the last step.
    #[doc(hidden)]
    pub fn chunks(&self) -> &[FitChunk] {
        &self.chunks
    }

    /// Returns a predictor of the field as it would be saved now.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn predictor(&self) -> Result<Predictor> {
        let field = self.field_optimizer.averaged(&self.device, &self.field, self.progress.step)?;
        Predictor::new(&self.device, self.data.head(), field, Path::new(IN_TRAINING))
    }

    /// Checks the field's values at a few points; this suffices because fields whose weights overflow give NaN nearly
    /// everywhere.
    fn finite_check(&self) -> Result<()> {
        let dimensions = self.data.head().dimensions() as usize;
        let place = |chunk: &mut FitChunk, first: usize| {
            let points: Vec<f32> = (first..first + chunk.n).flat_map(|i| quasirandom(i, dimensions)).collect();
            chunk.position.upload(0, &points)
        };
        let values = self.predictor()?.unchecked_values(N_PROBED, place)?;
        if values.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(Error::diverged(self.progress.step, "the field's values are no longer finite numbers"))
    }

    /// Returns the number of batches of a step, on all ranks.
    fn batches(&self) -> usize {
        self.ranks.size() * self.config.train.accumulate as usize
    }

    /// Returns the number of samples of a step, on all ranks.
    fn samples(&self) -> usize {
        self.batches() * self.config.train.batch_samples as usize
    }

    /// Returns the number of samples of a step that have targets, on all ranks.
    fn n_with_target(&self) -> usize {
        self.batches() * self.data.n_with_target(self.config.train.batch_samples as usize)
    }
}

fn n_outputs(head: Head) -> u32 {
    match head {
        Head::Values { n_outputs, .. } => n_outputs,
        Head::Radiance => unreachable!("fitted fields have values"),
    }
}

impl<D: Data> Task for FitTrainer<D> {
    fn started(&self) -> Started {
        let (device, n_parameters) = (self.ranks.describe(&self.device), self.field.n_parameters());
        Started::new(self.data.name(), &self.config, device, n_parameters, None, self.progress.step)
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn train_step(&mut self) -> Result<()> {
        let begun = Instant::now();
        let (device, config, progress) = (&self.device, &self.config, self.progress);
        let completed = schedule::completed(&config.train, progress);
        self.field_optimizer.upscale(device, config, &mut self.field, completed)?;
        self.field.prepare(device)?;
        self.field_optimizer.begin()?;
        for number in 0..self.config.train.accumulate as usize {
            self.fit(number)?;
            self.field_optimizer.scatter(&self.device, &self.field, &self.scatters())?;
        }
        let rate = schedule::learning_rate(&self.config, progress);
        let n = self.n_with_target() as f64 * f64::from(gradient_scale(self.data.eikonal()));
        self.field_optimizer.sum_gradients(&self.device, &self.ranks)?;
        self.field_optimizer.optimizer_step(&self.device, &self.config, &self.field, progress.step + 1, rate, n)?;
        self.counted += 1;
        self.progress.count_step(begun);
        Ok(())
    }

    fn reads_each_step(&self) -> bool {
        self.device.is_host()
    }

    fn read_statistics(&mut self) -> Result<()> {
        let mut read = [0.0; 2];
        for chunk in &mut self.chunks {
            let sums = chunk.sums.download()?;
            chunk.sums.clear()?;
            read[0] += f64::from(sums[0]);
            read[1] += f64::from(sums[1]);
        }
        let read = self.ranks.sum_numbers(read);
        self.sums[0] += read[0];
        self.sums[1] += read[1];
        Ok(())
    }

    fn set_seconds(&mut self, seconds: f64) {
        self.progress.seconds = seconds;
    }

    fn summed_loss(&self) -> f64 {
        self.sums[0]
    }

    fn averages(&mut self, since: Instant) -> Option<StepReport> {
        if self.counted == 0 {
            return None;
        }
        let [loss, squared_error] = std::mem::take(&mut self.sums);
        let steps = std::mem::take(&mut self.counted) as f64;
        let n = steps * self.n_with_target() as f64;
        Some(StepReport {
            loss: loss / n,
            psnr: self.data.has_psnr().then(|| -10.0 * (squared_error / n).log10()),
            samples_per_second: steps * self.samples() as f64 / since.elapsed().as_secs_f64(),
            ..StepReport::at(self.progress, &self.config)
        })
    }

    fn join_checkpoint(&mut self) -> Result<()> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        self.ranks.agree("field", &format_args!("{:016x} after step {}", self.digest()?, self.progress.step))
    }

    fn checkpoint(&mut self) -> Result<Checkpoint<'_>> {
        self.join_checkpoint()?;
        self.finite_check()?;
        let (name, unit_cube) = (self.data.name(), self.data.unit_cube());
        let Progress { step, seconds } = self.progress;
        let mut header = Header::new(self.config.clone(), name, unit_cube, step, seconds);
        header.trainer = self.data.scalars();
        let field = self.field_optimizer.averaged(&self.device, &self.field, step)?;
        header.neurons = self.neurons(&field)?;
        let mut tensors = field.tensors()?;
        tensors.extend(self.field_optimizer.tensors(&self.config, &self.field)?);
        Checkpoint::of_training(header, tensors)
    }

    fn evaluate(&mut self) -> Result<Option<Evaluated>> {
        self.data.evaluate(&self.predictor()?, self.progress.step)
    }

    fn snapshot(&self) -> Result<Option<Box<dyn Render>>> {
        Ok(self.data.renderer(self.predictor()?))
    }
}
