//! Training data from a mesh. Of the points of a step, half lie on the surface, three eighths near it and one eighth
//! anywhere in the unit cube, as in Instant-NGP (Müller et al. 2022, section 5.2 and its supplement). With the eikonal
//! term, these points are three quarters of a step's samples; the others are corners of stencils around some of them.

use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::HEAD;
use super::evaluate::inside_agreement;
use super::target::Target;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, SdfConfig};
use crate::decoder::Head;
use crate::device::args::BvhArgs;
use crate::device::{Device, Kernel, LaunchDims, Ptr, args, kernels};
use crate::fit::{Data, Eikonal, FitChunk, FitLoss, Predictor};
use crate::geometry::UnitCube;
use crate::mesh::Scatter;
use crate::ranks::Digest;
use crate::train::event::Evaluated;

/// Key of the [`MeshFacts`] in a checkpoint's header.
const FACTS: &str = "mesh";

/// Facts that a checkpoint stores about the mesh to which its field was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeshFacts {
    /// Number of vertices.
    pub n_vertices: u64,
    /// Number of triangles.
    pub n_triangles: u64,
    /// Number of edges with only one triangle.
    pub boundary_edges: u64,
    /// Minimum corner of the mesh's bounding box, in the unit cube.
    pub low: [f32; 3],
    /// Maximum corner of the bounding box.
    pub high: [f32; 3],
}

impl MeshFacts {
    /// Collects the facts about `target`.
    pub fn of(target: &Target) -> Self {
        let (low, high) = target.mesh.bounds();
        MeshFacts {
            n_vertices: target.mesh.vertices.len() as u64,
            n_triangles: target.mesh.triangles.len() as u64,
            boundary_edges: target.edges.boundary as u64,
            low,
            high,
        }
    }

    /// Reads the facts from a checkpoint's header.
    ///
    /// # Errors
    /// Returns an error if the field was not fitted to a mesh, or if the stored box does not lie in the unit cube.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let facts: MeshFacts = checkpoint.trainer_state(FACTS)?;
        // Written so that a NaN fails the check.
        if (0..3).all(|k| 0.0 <= facts.low[k] && facts.low[k] <= facts.high[k] && facts.high[k] <= 1.0) {
            return Ok(facts);
        }
        let what = format!("the header's `{FACTS}` has its box from {:?} to {:?}", facts.low, facts.high);
        Err(checkpoint.refuse(format!("{what}, but it must lie in the unit cube; the file is damaged")))
    }
}

/// A mesh from which training points are drawn.
pub struct DistanceData {
    name: String,
    /// The mesh that the field is fitted to.
    pub target: Target,
    config: SdfConfig,
    seed: u32,
    /// Number of samples of a step, of all ranks.
    batch: usize,
}

/// The points of one kind (on the surface, near it, or in the cube) in a chunk.
struct Draw {
    /// The kernel that draws the points.
    kernel: &'static Kernel<args::SurfaceArgs<'static>>,
    /// Scale of the displacement off the surface.
    deviation: f32,
    stream: u32,
    /// Indices of the points in the chunk.
    in_chunk: Range<usize>,
    /// Index of the first point among the step's points of this kind.
    first: usize,
    /// Number of the step's points of this kind.
    n: usize,
}

impl DistanceData {
    /// Prepares training on `target`, which reports call `name`.
    pub fn new(config: &Config, name: &str, target: Target) -> Self {
        DistanceData {
            name: name.to_owned(),
            target,
            config: config.sdf.clone(),
            seed: config.train.seed as u32,
            batch: config.train.batch_samples as usize,
        }
    }

    /// Divides `n` points of a step, starting with point `first`, among the three kinds.
    fn draws(&self, first: usize, n: usize) -> [Draw; 3] {
        // The number of points of each kind among the first k of a step, so that the proportions are the same in every
        // chunk.
        let of_kind: [fn(usize) -> usize; 3] = [|k| k / 2, |k| k * 3 / 8, |k| k - k / 2 - k * 3 / 8];
        let how = [
            (&kernels::SURFACE_POINTS, 0.0),
            (&kernels::SURFACE_POINTS, self.config.near_deviation as f32 * self.target.size),
            (&kernels::CUBE_POINTS, 0.0),
        ];
        let batch = self.n_with_target(self.batch);
        let mut begin = 0;
        std::array::from_fn(|kind| {
            let of_kind = of_kind[kind];
            let (kernel, deviation) = how[kind];
            let count = of_kind(first + n) - of_kind(first);
            let in_chunk = begin..begin + count;
            begin += count;
            Draw { kernel, deviation, stream: kind as u32, in_chunk, first: of_kind(first), n: of_kind(batch) }
        })
    }
}

impl Data for DistanceData {
    fn name(&self) -> &str {
        &self.name
    }

    fn head(&self) -> Head {
        HEAD
    }

    fn loss(&self) -> FitLoss {
        FitLoss::Mape
    }

    fn eikonal(&self) -> Option<Eikonal> {
        let SdfConfig { eikonal_weight, eikonal_step, .. } = self.config;
        (eikonal_weight > 0.0).then_some(Eikonal { weight: eikonal_weight as f32, step: eikonal_step as f32 })
    }

    fn unit_cube(&self) -> UnitCube {
        self.target.unit_cube
    }

    fn set_samples(&mut self, n: usize) {
        self.batch = n;
    }

    fn digest(&self) -> Result<u64> {
        let mut digest = Digest::new();
        digest.add(&self.target.mesh.vertices);
        digest.add(&self.target.mesh.triangles);
        Ok(digest.value())
    }

    fn draw(&self, device: &Device, chunk: &FitChunk, first: usize, step: u64) -> Result<()> {
        let draws = self.draws(first, chunk.n_with_target);
        for Draw { kernel, deviation, stream, in_chunk, first, n } in &draws {
            let (deviation, stream, n, first) = (*deviation, *stream, *n, *first);
            let scatter = Scatter { seed: self.seed, step: step as u32, stream, deviation, n, first };
            // The kernel writes an upper bound on the distance to where the distance itself will be stored. It is 0
            // for points on the surface.
            let (position, bound) = (chunk.position.ptr_at(3 * in_chunk.start), chunk.target.ptr_at(in_chunk.start));
            let args = self.target.sampler.args(&scatter, position, bound, Ptr::NULL);
            device.launch_chunk(kernel, &args, LaunchDims::items(in_chunk.len()))?;
        }
        let off = draws[0].in_chunk.end;
        let (n, position, distance) =
            (chunk.n_with_target - off, chunk.position.ptr_at(3 * off), chunk.target.ptr_at(off));
        let query = self.target.bvh.query(position, n);
        let args = BvhArgs { bound: distance, distance, accuracy: self.config.winding_accuracy as f32, ..query };
        device.launch_chunk(&kernels::BVH_DISTANCE, &args, LaunchDims::tiles(n))?;
        device.launch_chunk(&kernels::BVH_WINDING, &args, LaunchDims::tiles(n))
    }

    /// A chunk keeps its points for `sdf.reuse` steps. Chunks are staggered, so that only some get new points at a
    /// step.
    fn drawn_at(&self, step: u64, chunk: usize) -> u64 {
        let age = (step + chunk as u64) % u64::from(self.config.reuse);
        step.saturating_sub(age)
    }

    /// Measures only the intersection over union, which does not need an extracted surface.
    fn evaluate(&self, predictor: &Predictor, step: u64) -> Result<Option<Evaluated>> {
        let begun = Instant::now();
        let agreement = inside_agreement(predictor, &self.target)?;
        Ok(Some(Evaluated {
            step,
            split: "cube".to_owned(),
            n_images: None,
            psnr: None,
            ssim: None,
            iou: Some(agreement.iou),
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }

    fn scalars(&self) -> Map<String, Value> {
        let value = serde_json::to_value(MeshFacts::of(&self.target)).expect("facts are plain numbers");
        [(FACTS.to_owned(), value)].into_iter().collect()
    }

    fn has_psnr(&self) -> bool {
        false
    }
}
