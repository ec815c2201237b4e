//! The multiplicative Fourier adaptive kernel: the shape of its parameters θ and their initialization. The arithmetic
//! is in `kernels/encoding/mulfa.cuh`; `docs/models.md` has the formulas.

use std::f64::consts::PI;

use super::ParamBlock;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::config::{GridConfig, GridKernel, MulfaConfig, MulfaVariant};
use crate::device::args::{KernelFunction, MulfaArgs, MulfaLayout, UniformArgs};
use crate::device::{Buffer, Device, Kernel, LaunchDims, kernels};

/// First of the random streams that θ is drawn from; the networks' layers use the streams below.
const FIRST_STREAM: u32 = 1 << 8;
/// `GF_PLACE` in `kernels/encoding/mulfa_tile.cuh`.
const PLACE: usize = 16;

/// Shape of the kernel function's parameters θ.
#[derive(Clone, Debug, PartialEq)]
pub struct Mulfa {
    /// Variant, depth and width of the kernel function.
    pub config: MulfaConfig,
    pub(super) dimensions: u32,
    /// `K`: number of kernel values at a node.
    pub n_outputs: u32,
    /// Number of levels with this kernel, which are the coarsest ones.
    pub(super) n_levels: usize,
    /// Number of θ: one for each level, or one shared by all.
    pub n_thetas: usize,
}

impl Mulfa {
    /// Returns None if the grid's kernel function has no parameters.
    pub fn new(config: &GridConfig, dimensions: u32) -> Option<Self> {
        let mulfa = &config.mulfa;
        (config.kernel == GridKernel::Mulfa).then(|| Mulfa {
            config: mulfa.clone(),
            dimensions,
            n_outputs: if mulfa.per_feature { config.n_features_per_level } else { 1 },
            n_levels: config.n_levels.min(mulfa.n_levels) as usize,
            n_thetas: if mulfa.shared { 1 } else { config.n_levels.min(mulfa.n_levels) as usize },
        })
    }

    /// Returns the blocks of one θ, in order.
    pub fn blocks(&self) -> Vec<ParamBlock> {
        let (d, width) = (self.dimensions as usize, self.config.width as usize);
        let (n_gamma, n_outputs) = (2 * self.config.n_frequencies as usize * d, self.n_outputs as usize);
        let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
        for layer in 1..=self.config.depth {
            shapes.push((format!("W_{layer}"), vec![width, if layer == 1 { n_gamma } else { width }]));
            shapes.push((format!("b_{layer}"), vec![width]));
            shapes.push((format!("Omega_{layer}"), vec![width, d]));
            shapes.push((format!("psi_{layer}"), vec![width]));
        }
        shapes.push(("w_out".to_owned(), vec![n_outputs, width]));
        shapes.push(("b_out".to_owned(), vec![n_outputs]));
        ParamBlock::in_order(shapes)
    }

    /// Returns the number of parameters in one θ.
    pub fn n_theta(&self) -> usize {
        ParamBlock::n_in_all(&self.blocks())
    }

    /// Returns the number of parameters in all θ together.
    pub fn n_parameters(&self) -> usize {
        self.n_thetas * self.n_theta()
    }

    /// Returns the kernel function as the kernels number it.
    pub fn kernel(&self) -> KernelFunction {
        match self.config.variant {
            MulfaVariant::Paper => KernelFunction::MulfaPaper,
            MulfaVariant::Windowed => KernelFunction::MulfaWindowed,
            MulfaVariant::Modulated => KernelFunction::MulfaModulated,
        }
    }

    /// Returns the layout as the kernels see it.
    pub fn layout(&self) -> MulfaLayout {
        let n_theta = self.n_theta() as u32;
        MulfaLayout {
            n_frequencies: self.config.n_frequencies,
            depth: self.config.depth,
            width: self.config.width,
            n_levels: self.n_levels as u32,
            n_outputs: self.n_outputs,
            n_theta,
            stride: if self.config.shared { 0 } else { n_theta },
            floor: self.config.floor as f32,
        }
    }

    /// Returns the kernels used in training: encoding and backward pass.
    pub fn kernels(&self) -> (&'static Kernel<MulfaArgs<'static>>, &'static Kernel<MulfaArgs<'static>>) {
        match (self.config.depth, self.dimensions) {
            (1, 2) => (&kernels::MULFA_ENCODE_2D, &kernels::MULFA_BACKWARD_2D),
            (1, _) => (&kernels::MULFA_ENCODE_3D, &kernels::MULFA_BACKWARD_3D),
            (_, 2) => (&kernels::MULFA_MULTI_LAYER_ENCODE_2D, &kernels::MULFA_MULTI_LAYER_BACKWARD_2D),
            (_, _) => (&kernels::MULFA_MULTI_LAYER_ENCODE_3D, &kernels::MULFA_MULTI_LAYER_BACKWARD_3D),
        }
    }

    /// Returns how many activations are saved per sample: `q` of all levels.
    pub fn n_saved_activations(&self) -> usize {
        self.n_levels * self.config.width as usize
    }

    /// Returns how many numbers are prepared from θ for training, and how many their gradients take: see `turned_plan`
    /// in `kernels/encoding/mulfa_single_layer.cuh` and, for more than one layer, `LayeredPlan` in
    /// `kernels/encoding/mulfa_multi_layer.cuh`.
    pub fn n_prepared(&self) -> (usize, usize) {
        let (width, depth) = (self.config.width as usize, self.config.depth as usize);
        let query = width * (2 * (self.config.n_frequencies * self.dimensions) as usize + 1).next_multiple_of(16);
        let (level, beside) = if depth == 1 {
            let n_values = ((self.n_outputs as usize) << self.dimensions).next_multiple_of(16);
            (query + 2 * width * n_values, PLACE * width + n_values)
        } else {
            let n_values = (self.n_outputs as usize).next_multiple_of(16);
            let hidden = depth - 1;
            (query + hidden * width * width + width * n_values, depth * PLACE * width + hidden * width + n_values)
        };
        (self.n_levels * level, self.n_levels * (level + beside))
    }

    /// Returns the floating-point operations for the kernel values of a sample on all levels: of the forward pass
    /// alone, and of the forward and backward pass. Counts matrix products, and 24 operations for a sine with its
    /// cosine.
    pub fn flops(&self) -> (usize, usize) {
        let (d, width, corners) = (self.dimensions as usize, self.config.width as usize, 1 << self.dimensions);
        let query = 2 * width * (2 * self.config.n_frequencies as usize * d + 1);
        let (values, turns, places) = if self.config.depth == 1 {
            (2 * 2 * width * self.n_outputs as usize * corners, 24 * width, 2 * width * (d + 1))
        } else {
            let depth = self.config.depth as usize;
            let layers = 2 * width * ((depth - 1) * width + self.n_outputs as usize);
            (corners * layers, corners * depth * 24 * width, corners * depth * 2 * width * (d + 1))
        };
        // The backward pass recomputes the values, then computes the gradients with respect to all matrices, to their
        // inputs except gamma, and to the angles. Multi-layer kernels are evaluated once more for each corner.
        let again = if self.config.depth == 1 { values + turns } else { 2 * (values + turns) + turns };
        let backward = query + again + 2 * values + places;
        (self.n_levels * (query + values + turns), self.n_levels * (query + values + turns + backward))
    }

    /// Returns how many scratch numbers a point needs in the `active_nodes` kernels.
    pub fn n_scratch(&self) -> usize {
        let (config, corners) = (&self.config, 1usize << self.dimensions);
        let n_gamma = 2 * config.n_frequencies as usize * self.dimensions as usize;
        let (depth, width) = (config.depth as usize, config.width as usize);
        2 * n_gamma + corners * depth * width + 2 * width + 2 * corners * self.n_outputs as usize
    }

    /// Reads θ from a checkpoint, as `[n_thetas, n_theta]`.
    ///
    /// # Errors
    /// Returns an error if a block is missing or has a different shape.
    pub fn theta_of(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; self.n_parameters()];
        for block in self.blocks() {
            let numbers: &[f32] = checkpoint.get(&tensor_name(&block), &self.shape_of_all(&block))?;
            for (one, own) in theta.chunks_mut(self.n_theta()).zip(numbers.chunks(block.n_numbers())) {
                one[block.range()].copy_from_slice(own);
            }
        }
        Ok(theta)
    }

    pub(super) fn shape_of_all(&self, block: &ParamBlock) -> Vec<usize> {
        [&[self.n_thetas], block.shape.as_slice()].concat()
    }

    /// Returns the initial θ: W according to Glorot and Bengio (2010), Ω uniform in ±π `node_frequency`, ψ in ±π,
    /// biases zero. `w_out` is zero, so that `windowed` and `modulated` begin as the linear kernel; `paper` begins near
    /// the mean of the corners.
    pub fn initial(&self, device: &Device, seed: u64) -> Result<Buffer<f32>> {
        let mut theta = device.zeros(self.n_parameters())?;
        let blocks = self.blocks();
        for number in 0..self.n_thetas {
            let first = number * self.n_theta();
            for (index, block) in blocks.iter().enumerate() {
                let at = first + block.first;
                let range = self.initial_range(block);
                if block.name == "b_out" && self.config.variant == MulfaVariant::Paper {
                    theta.upload(at, &vec![1.0; block.n_numbers()])?;
                } else if range > 0.0 {
                    let stream = FIRST_STREAM + (number * blocks.len() + index) as u32;
                    let args = UniformArgs { value: theta.ptr_at(at), seed: seed as u32, stream, range: range as f32 };
                    device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(block.n_numbers()))?;
                }
            }
        }
        Ok(theta)
    }

    fn initial_range(&self, block: &ParamBlock) -> f64 {
        let kind = block.name.split('_').next().unwrap_or_default();
        match (kind, block.shape.as_slice()) {
            ("W", &[n_out, n_in]) => (6.0 / (n_in + n_out) as f64).sqrt(),
            ("Omega", _) => PI * self.config.node_frequency,
            ("psi", _) => PI,
            ("w", &[_, n_in]) if self.config.variant == MulfaVariant::Paper => 0.1 * (6.0 / (1 + n_in) as f64).sqrt(),
            _ => 0.0,
        }
    }
}

/// Returns the name of a block of θ in a checkpoint: `kernel.<name>`, `[n_thetas, …]`.
pub(super) fn tensor_name(block: &ParamBlock) -> String {
    format!("kernel.{}", block.name)
}
