//! A chunk is a group of rays and samples that are processed together, in buffers of their own. A GPU takes all rays of
//! a step as one chunk. A CPU splits a step into many small chunks, spread over its worker threads, so that the
//! activations of a chunk are still in the cache when its backward pass needs them.

use crate::Result;
use crate::device::args::{MAX_ROUNDS, RayBatch, SampleBatch};
use crate::device::{Buffer, Device};
use crate::field::Field;

/// How work is divided into chunks on a device.
#[derive(Clone, Copy, Debug)]
pub struct ChunkSize {
    /// Number of chunks.
    pub n_chunks: usize,
    /// Capacity of a chunk in rays.
    pub rays: usize,
    /// Capacity of a chunk in samples.
    pub samples: usize,
}

impl ChunkSize {
    /// On a CPU, a chunk has about 1024 samples: their activations, about 1 KiB per sample, fit in the L2 cache.
    pub(super) const HOST_SAMPLES: usize = 1024;

    /// Returns the chunks for training steps of `batch_samples` samples. Their capacity exceeds the expected number of
    /// samples, which varies from chunk to chunk. Rays whose samples do not fit are left out of the step.
    pub fn for_training(device: &Device, batch_samples: usize) -> Self {
        if device.is_host() {
            let n_chunks = batch_samples.div_ceil(Self::HOST_SAMPLES).max(1);
            ChunkSize { n_chunks, rays: Self::HOST_SAMPLES, samples: 8 * Self::HOST_SAMPLES }
        } else {
            ChunkSize { n_chunks: 1, rays: batch_samples, samples: batch_samples + batch_samples / 2 }
        }
    }

    /// Returns the chunks for rendering: one per worker. Their capacity is enough for most strips of pixels in a
    /// trained field; a strip that takes more samples is traced in halves, and a single ray always fits.
    pub fn for_rendering(device: &Device, max_samples_per_ray: usize) -> Self {
        let (rays, samples) = if device.is_host() { (256, 1 << 16) } else { (1 << 15, 1 << 22) };
        ChunkSize { n_chunks: device.n_workers(), rays, samples: samples.max(max_samples_per_ray) }
    }
}

/// Buffers of a [`RayBatch`].
pub struct Rays {
    /// Origin of the marched ray, in the unit cube or in NDC, `[3, R]`.
    pub origin: Buffer<f32>,
    /// Unit direction of the marched ray, `[3, R]`.
    pub direction: Buffer<f32>,
    /// Unit viewing direction in the scene, `[3, R]`.
    pub view: Buffer<f32>,
    /// Distance along the ray at which the next step starts; negative for finished and dropped rays, `[R]`.
    pub t: Buffer<f32>,
    /// Distance at which the ray leaves the box, `[R]`.
    pub t_end: Buffer<f32>,
    /// Transmittance after the samples so far, `[R]`.
    pub transmittance: Buffer<f32>,
    /// Colour composited so far, without background, `[3, R]`.
    pub color: Buffer<f32>,
    /// Sum of weight times `t`, `[R]`.
    pub depth: Buffer<f32>,
    /// RGBA of the training image with straight alpha, `[4, R]`.
    pub target: Buffer<f32>,
    /// Colour behind the field, `[3, R]`.
    pub background: Buffer<f32>,
    /// First sample of the ray in each round, `[MAX_ROUNDS, R]`.
    pub segment_begin: Buffer<u32>,
    /// Number of samples of the ray in each round, `[MAX_ROUNDS, R]`.
    pub segment_count: Buffer<u32>,
    /// Mean squared error over channels, of finished rays, `[R]`.
    pub squared_error: Buffer<f32>,
    /// Loss of finished rays, `[R]`.
    pub loss: Buffer<f32>,
    /// Distance along the marched ray that corresponds to the training image's depth; -1 if the depth is unknown,
    /// `[R]`.
    pub target_t: Buffer<f32>,
    /// Index of the training image, `[R]`.
    pub camera: Buffer<u32>,
    /// Number of samples composited into finished rays, `[R]`.
    pub composited: Buffer<u32>,
    /// `R`: maximum number of rays.
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

    /// Returns the arguments for kernels that work on the first `n_rays` rays.
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

/// Buffers of a [`SampleBatch`].
pub struct Samples {
    /// Position in the field, `[S, 3]`.
    pub position: Buffer<f32>,
    /// Distance along the marched ray, `[S]`.
    pub t: Buffer<f32>,
    /// Length of the step, `[S]`.
    pub dt: Buffer<f32>,
    /// Index of the ray in the chunk, `[S]`.
    pub ray: Buffer<u32>,
    /// Density per unit of the unit cube, `[S]`.
    pub density: Buffer<f32>,
    /// Colour, `[S, 3]`.
    pub color: Buffer<f32>,
    /// Gradient with respect to the raw density output, `[S]`.
    pub dl_ddensity: Buffer<f32>,
    /// Gradient with respect to the raw colour output, `[S, 3]`.
    pub dl_dcolor: Buffer<f32>,
    /// Number of samples before each round, `[MAX_ROUNDS + 2]`.
    pub count: Buffer<u32>,
    /// `S`: maximum number of samples.
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

    /// Returns the arguments for kernels.
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

/// The rays and samples of a chunk.
pub struct Chunk {
    /// The rays.
    pub rays: Rays,
    /// Their samples.
    pub samples: Samples,
    /// Number of rays in use.
    pub n_rays: usize,
}

impl Chunk {
    /// Allocates a chunk of the given size.
    pub fn new(device: &Device, size: ChunkSize) -> Result<Self> {
        Ok(Chunk { rays: Rays::new(device, size.rays)?, samples: Samples::new(device, size.samples)?, n_rays: 0 })
    }

    /// Returns the arguments for kernels that work on the rays in use.
    pub fn ray_args(&self) -> RayBatch<'_> {
        self.rays.args(self.n_rays)
    }
}

/// A chunk with the buffers that the rest of a training step needs.
pub struct TrainingChunk {
    /// Rays and samples.
    pub chunk: Chunk,
    /// Gradient with respect to the features, `[L, S, F]`, or `[S, F]` if levels are averaged.
    pub dl_dfeatures: Buffer<f32>,
    /// Gradient with respect to the sample positions in the field, `[S, 3]`; empty unless cameras are optimized.
    pub dl_dposition: Buffer<f32>,
    /// Gradient with respect to the viewing direction, `[S, 3]`; empty unless cameras are optimized.
    pub dl_dview: Buffer<f32>,
    /// Scatter weights, which the encoding's backward pass leaves for the scatter; empty if the grid has no encoding.
    pub scatter_weights: Buffer<f32>,
    /// Sums since the last read, `[2]`: loss and squared error.
    pub sums: Buffer<f32>,
    /// Counts since the last read, `[4]`: rays, samples, dropped rays, composited samples.
    pub counts: Buffer<u32>,
    /// Number of rounds marched in this step.
    pub rounds: usize,
}

impl TrainingChunk {
    /// Allocates the buffers of a chunk; with `refined` (camera optimization), also those for the gradients with
    /// respect to sample positions and viewing directions.
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
