//! Active nodes alone: the sparse rows of Φ, with `Φ_ij = φ(x_i, p_j)`, and the gradients of the kernel function. They
//! serve analysis and tests, in fp64; training uses `kernels/radiance/field.cu`.

use std::ffi::c_void;

use super::{Grid, Mulfa};
use crate::Result;
use crate::device::args::{ActiveNodesArgs, MAX_LEVELS};
use crate::device::{Buffer, Device, Kernel, LaunchDims, Ptr, kernels};

type NodesKernel = Kernel<ActiveNodesArgs<'static>>;

/// Active nodes of `n` points, in rows of `n_levels · n_corners` nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveNodes {
    /// Number of levels.
    pub n_levels: usize,
    /// Number of nodes of a level that are active at a point: `2^D`; for point clouds, the nearest nodes and the entry
    /// for everything out of reach.
    pub n_corners: usize,
    /// `K`: number of kernel values at a node, which is 1 or one for each feature of a level.
    pub n_outputs: usize,
    /// `[n, n_levels, n_corners]`: row of each node in the grid's table.
    pub entry: Vec<u32>,
    /// `[n, n_levels, n_corners, n_outputs]`: φ.
    pub phi: Vec<f64>,
}

/// Gradients of a function of φ.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGradients {
    /// Gradient with respect to θ: summed over the points, `[n_thetas · n_theta]`, or for each point,
    /// `[n, n_thetas · n_theta]`.
    pub theta: Vec<f64>,
    /// Gradient with respect to the points, `[n, D]`, through φ alone.
    pub position: Vec<f64>,
}

impl Grid {
    /// Computes φ at `x` (`[n, D]`, in [0, 1]) for a kernel function with parameters `theta` (empty if it has none).
    /// Point clouds have a function of their own.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    ///
    /// # Panics
    /// Panics if `x` or `theta` has another length.
    pub fn active_nodes(&self, device: &Device, x: &[f64], theta: &[f64]) -> Result<ActiveNodes> {
        let n = self.n_points(x);
        self.check_theta(theta);
        let kernel: &NodesKernel = match self.dimensions {
            1 => &kernels::ACTIVE_NODES_1D_F64,
            2 => &kernels::ACTIVE_NODES_2D_F64,
            _ => &kernels::ACTIVE_NODES_3D_F64,
        };
        let n_nodes = n * self.levels.len() * self.n_corners();
        let (position, theta, scratch) = (device.upload(x)?, device.upload(theta)?, self.scratch(device, n)?);
        let (entry, phi) = (device.zeros::<u32>(n_nodes)?, device.zeros::<f64>(n_nodes * self.n_outputs())?);
        let args = ActiveNodesArgs {
            position: untyped(&position),
            theta: untyped(&theta),
            entry: entry.ptr(),
            phi: untyped(&phi),
            scratch: untyped(&scratch),
            ..self.nodes_args()
        };
        device.launch(kernel, &args, LaunchDims::items(n))?;
        Ok(ActiveNodes {
            n_levels: self.levels.len(),
            n_corners: self.n_corners(),
            n_outputs: self.n_outputs(),
            entry: entry.download()?,
            phi: phi.download()?,
        })
    }

    /// Computes the gradients with respect to θ and to the points, given those with respect to φ
    /// (`[n, n_levels, n_corners, n_outputs]`). With `by_point`, the gradient with respect to θ is returned for each
    /// point separately instead of as a sum.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    ///
    /// # Panics
    /// Panics if `x`, `theta` or `dl_dphi` has another length.
    pub fn active_nodes_backward(
        &self,
        device: &Device,
        x: &[f64],
        theta: &[f64],
        dl_dphi: &[f64],
        by_point: bool,
    ) -> Result<NodeGradients> {
        let n = self.n_points(x);
        self.check_theta(theta);
        assert_eq!(
            dl_dphi.len(),
            n * self.levels.len() * self.n_corners() * self.n_outputs(),
            "a gradient for each phi"
        );
        let kernel: &NodesKernel = match self.dimensions {
            1 => &kernels::ACTIVE_NODES_BACKWARD_1D_F64,
            2 => &kernels::ACTIVE_NODES_BACKWARD_2D_F64,
            _ => &kernels::ACTIVE_NODES_BACKWARD_3D_F64,
        };
        let (position, scratch) = (device.upload(x)?, self.scratch(device, n)?);
        let (values, dl_dphi) = (device.upload(theta)?, device.upload(dl_dphi)?);
        let dl_dtheta = device.zeros::<f64>(if by_point { n * theta.len() } else { theta.len() })?;
        let dl_dposition = device.zeros::<f64>(x.len())?;
        let args = ActiveNodesArgs {
            position: untyped(&position),
            theta: untyped(&values),
            dl_dphi: untyped(&dl_dphi),
            dl_dtheta: untyped(&dl_dtheta),
            dl_dposition: untyped(&dl_dposition),
            scratch: untyped(&scratch),
            theta_stride: if by_point { theta.len() as u32 } else { 0 },
            ..self.nodes_args()
        };
        // All points add to the same sums, so on a CPU a single thread does the work.
        device.launch_chunk(kernel, &args, LaunchDims::items(n))?;
        Ok(NodeGradients { theta: dl_dtheta.download()?, position: dl_dposition.download()? })
    }

    /// Returns the number of nodes of a level that are active at a point.
    pub fn n_corners(&self) -> usize {
        self.n_corners
    }

    /// Returns the number of kernel values at a node.
    pub fn n_outputs(&self) -> usize {
        match (&self.mulfa, self.local) {
            (Some(mulfa), _) => mulfa.n_outputs as usize,
            (None, Some(_)) => self.n_features_per_level as usize,
            (None, None) => 1,
        }
    }

    fn n_points(&self, x: &[f64]) -> usize {
        assert_eq!(x.len() % self.dimensions as usize, 0, "whole points");
        x.len() / self.dimensions as usize
    }

    fn check_theta(&self, theta: &[f64]) {
        assert_eq!(theta.len(), self.n_theta(), "all parameters of the kernel function");
    }

    /// Returns the number of parameters of the kernel function.
    pub fn n_theta(&self) -> usize {
        let local = self.local.map_or(0, |local| local.block(0).n_numbers());
        self.mulfa.as_ref().map_or(local, Mulfa::n_parameters)
    }

    fn scratch(&self, device: &Device, n: usize) -> Result<Buffer<f64>> {
        device.zeros(n * self.n_scratch())
    }

    fn n_scratch(&self) -> usize {
        self.mulfa.as_ref().map_or(0, |mulfa| mulfa.n_scratch())
    }

    /// Returns arguments with all buffers null.
    fn nodes_args(&self) -> ActiveNodesArgs<'static> {
        let mut scale = [0.0; MAX_LEVELS];
        for (slot, level) in scale.iter_mut().zip(&self.levels) {
            *slot = level.scale;
        }
        ActiveNodesArgs {
            grid: self.layout(),
            scale,
            position: Ptr::NULL,
            theta: Ptr::NULL,
            entry: Ptr::NULL,
            phi: Ptr::NULL,
            dl_dphi: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
            dl_dposition: Ptr::NULL,
            scratch: Ptr::NULL,
            n_scratch: self.n_scratch() as u32,
            theta_stride: 0,
        }
    }
}

fn untyped<T: bytemuck::Pod>(buffer: &Buffer<T>) -> Ptr<'_, c_void> {
    buffer.ptr().cast()
}
