//! A chunk: rays and samples that are worked on together, in memory of their own. A GPU takes all rays of a step as one
//! chunk; a CPU takes some tens at a time on each core, so that what a chunk leaves behind is still in the cache when the
//! backward pass needs it.

use crate::Result;
use crate::device::args::{MAX_ROUNDS, RayBatch, SampleBatch};
use crate::device::{Buffer, Device};
use crate::field::Field;

/// How a device likes its work cut.
#[derive(Clone, Copy, Debug)]
pub struct ChunkSize {
    /// Chunks of a training step.
    pub n_chunks: usize,
    /// Rays that a chunk has room for.
    pub rays: usize,
    /// Samples that a chunk has room for.
    pub samples: usize,
}

impl ChunkSize {
    /// On a CPU, a chunk of about 1024 samples: their activations, about 1 KiB each, fit in the second-level cache.
    pub(super) const HOST_SAMPLES: usize = 1024;

    /// For steps of `batch_samples` samples. There is room for several times the expected number, since it varies from
    /// chunk to chunk; rays that find none are left out of the step.
    pub fn for_training(device: &Device, batch_samples: usize) -> Self {
        if device.is_host() {
            let n_chunks = batch_samples.div_ceil(Self::HOST_SAMPLES).max(1);
            ChunkSize { n_chunks, rays: Self::HOST_SAMPLES, samples: 8 * Self::HOST_SAMPLES }
        } else {
            ChunkSize { n_chunks: 1, rays: batch_samples, samples: batch_samples + batch_samples / 2 }
        }
    }

    /// For rendering: one chunk for each worker. There is room for what rays take in a field that has taken shape; a strip
    /// of pixels that takes more is traced by halves, and a single ray always fits.
    pub fn for_rendering(device: &Device, max_samples_per_ray: usize) -> Self {
        let (rays, samples) = if device.is_host() { (256, 1 << 16) } else { (1 << 15, 1 << 22) };
        ChunkSize { n_chunks: device.n_workers(), rays, samples: samples.max(max_samples_per_ray) }
    }
}

/// Buffers behind [`RayBatch`].
pub struct Rays {
    pub origin: Buffer<f32>,
    pub direction: Buffer<f32>,
    pub view: Buffer<f32>,
    pub t: Buffer<f32>,
    pub t_end: Buffer<f32>,
    pub transmittance: Buffer<f32>,
    pub color: Buffer<f32>,
    pub depth: Buffer<f32>,
    pub target: Buffer<f32>,
    pub background: Buffer<f32>,
    pub segment_begin: Buffer<u32>,
    pub segment_count: Buffer<u32>,
    pub squared_error: Buffer<f32>,
    pub loss: Buffer<f32>,
    pub target_t: Buffer<f32>,
    pub camera: Buffer<u32>,
    pub composited: Buffer<u32>,
    pub capacity: usize,
}

impl Rays {
    fn new(device: &Device, capacity: usize) -> Result<Self> {
        Ok(Rays {
            origin: device.zeros(3 * capacity)?,
            direction: device.zeros(3 * capacity)?,
            view: device.zeros(3 * capacity)?,
            t: device.zeros(capacity)?,
            t_end: device.zeros(capacity)?,
            transmittance: device.zeros(capacity)?,
            color: device.zeros(3 * capacity)?,
            depth: device.zeros(capacity)?,
            target: device.zeros(4 * capacity)?,
            background: device.zeros(3 * capacity)?,
            segment_begin: device.zeros(MAX_ROUNDS * capacity)?,
            segment_count: device.zeros(MAX_ROUNDS * capacity)?,
            squared_error: device.zeros(capacity)?,
            loss: device.zeros(capacity)?,
            target_t: device.zeros(capacity)?,
            camera: device.zeros(capacity)?,
            composited: device.zeros(capacity)?,
            capacity,
        })
    }

    pub fn args(&self, n_rays: usize) -> RayBatch<'_> {
        RayBatch {
            origin: self.origin.ptr(),
            direction: self.direction.ptr(),
            view: self.view.ptr(),
            t: self.t.ptr(),
            t_end: self.t_end.ptr(),
            transmittance: self.transmittance.ptr(),
            color: self.color.ptr(),
            depth: self.depth.ptr(),
            target: self.target.ptr(),
            background: self.background.ptr(),
            segment_begin: self.segment_begin.ptr(),
            segment_count: self.segment_count.ptr(),
            squared_error: self.squared_error.ptr(),
            loss: self.loss.ptr(),
            target_t: self.target_t.ptr(),
            camera: self.camera.ptr(),
            composited: self.composited.ptr(),
            n_rays: n_rays as u32,
            capacity: self.capacity as u32,
        }
    }
}

/// Buffers behind [`SampleBatch`].
pub struct Samples {
    pub position: Buffer<f32>,
    pub t: Buffer<f32>,
    pub dt: Buffer<f32>,
    pub ray: Buffer<u32>,
    pub density: Buffer<f32>,
    pub color: Buffer<f32>,
    pub dl_ddensity: Buffer<f32>,
    pub dl_dcolor: Buffer<f32>,
    pub count: Buffer<u32>,
    pub capacity: usize,
}

impl Samples {
    fn new(device: &Device, capacity: usize) -> Result<Self> {
        Ok(Samples {
            position: device.zeros(3 * capacity)?,
            t: device.zeros(capacity)?,
            dt: device.zeros(capacity)?,
            ray: device.zeros(capacity)?,
            density: device.zeros(capacity)?,
            color: device.zeros(3 * capacity)?,
            dl_ddensity: device.zeros(capacity)?,
            dl_dcolor: device.zeros(3 * capacity)?,
            count: device.zeros(MAX_ROUNDS + 2)?,
            capacity,
        })
    }

    pub fn args(&self) -> SampleBatch<'_> {
        SampleBatch {
            position: self.position.ptr(),
            t: self.t.ptr(),
            dt: self.dt.ptr(),
            ray: self.ray.ptr(),
            density: self.density.ptr(),
            color: self.color.ptr(),
            dl_ddensity: self.dl_ddensity.ptr(),
            dl_dcolor: self.dl_dcolor.ptr(),
            count: self.count.ptr(),
            capacity: self.capacity as u32,
        }
    }
}

/// Rays and samples of a chunk.
pub struct Chunk {
    pub rays: Rays,
    pub samples: Samples,
    pub n_rays: usize,
}

impl Chunk {
    pub fn new(device: &Device, size: ChunkSize) -> Result<Self> {
        Ok(Chunk { rays: Rays::new(device, size.rays)?, samples: Samples::new(device, size.samples)?, n_rays: 0 })
    }

    pub fn ray_args(&self) -> RayBatch<'_> {
        self.rays.args(self.n_rays)
    }
}

/// What a training chunk leaves behind for the rest of the step.
pub struct TrainingChunk {
    pub chunk: Chunk,
    /// `[L, S, F]`, or of averaged levels `[S, F]`
    pub dl_dfeatures: Buffer<f32>,
    /// `[S, 3]` by the places in the field and by the viewing directions; empty where cameras are not learned.
    pub dl_dposition: Buffer<f32>,
    pub dl_dview: Buffer<f32>,
    /// What the grid's encoding keeps from the backward pass to the scatter; empty where it has no encoding of its own.
    pub scatter_weights: Buffer<f32>,
    /// Statistics since they were last read: loss and squared error; rays, samples, dropped rays and composited samples.
    pub sums: Buffer<f32>,
    pub counts: Buffer<u32>,
    /// Rounds marched in the step.
    pub rounds: usize,
}

impl TrainingChunk {
    /// `refined`: with room for gradients by the samples' places.
    pub fn new(device: &Device, size: ChunkSize, field: &Field, refined: bool) -> Result<Self> {
        let n_places = if refined { 3 * size.samples } else { 0 };
        let n_scatter_weights = field.encoding.as_ref().map_or(0, |encoding| encoding.n_scatter_weights());
        Ok(TrainingChunk {
            chunk: Chunk::new(device, size)?,
            dl_dfeatures: device.zeros(size.samples * field.grid.n_features() as usize)?,
            dl_dposition: device.zeros(n_places)?,
            dl_dview: device.zeros(n_places)?,
            scatter_weights: device.zeros(size.samples * n_scatter_weights)?,
            sums: device.zeros(2)?,
            counts: device.zeros(4)?,
            rounds: 0,
        })
    }
}
