//! Active nodes by themselves: the sparse rows of Φ, with `Φ_ij = φ(x_i, p_j)`, and the gradients of the kernel function.
//! For analysis and tests, in fp64; training goes through `kernels/field.cu`.

use std::ffi::c_void;

use super::Grid;
use crate::Result;
use crate::device::args::{ActiveNodesArgs, MAX_LEVELS};
use crate::device::{Buffer, Device, Kernel, LaunchDims, Ptr, kernels};

type NodesKernel = Kernel<ActiveNodesArgs<'static>>;

/// Active nodes of `n` points. In rows of `n_levels · n_corners` nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveNodes {
    pub n_levels: usize,
    /// Nodes of a level that are active at a point: `2^D`, or of points the nearest and all that is out of reach.
    pub n_corners: usize,
    /// `K`: kernel values at a node; 1, or one for each feature of a level.
    pub n_outputs: usize,
    /// `[n, n_levels, n_corners]`: rows of the grid's table.
    pub entry: Vec<u32>,
    /// `[n, n_levels, n_corners, n_outputs]`: φ.
    pub phi: Vec<f64>,
}

/// Gradients of a function of φ.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGradients {
    /// Summed over the points: `[n_thetas · n_theta]`; or of each point: `[n, n_thetas · n_theta]`.
    pub theta: Vec<f64>,
    /// `[n, D]`, through φ alone.
    pub position: Vec<f64>,
}

impl Grid {
    /// φ at `x` (`[n, D]`, in [0, 1]), for a kernel function with parameters `theta` (empty where it has none). Points have
    /// [`super::PointCloud::active_nodes`].
    ///
    /// # Errors
    /// Of the device.
    pub fn active_nodes(&self, device: &Device, x: &[f64], theta: &[f64]) -> Result<ActiveNodes> {
        let n = self.n_points(x);
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

    /// Gradients by θ and by the points, from those by φ (`[n, n_levels, n_corners, n_outputs]`). `by_point`: θ's for each
    /// point alone, instead of their sum.
    ///
    /// # Errors
    /// Of the device.
    pub fn active_nodes_backward(
        &self,
        device: &Device,
        x: &[f64],
        theta: &[f64],
        dl_dphi: &[f64],
        by_point: bool,
    ) -> Result<NodeGradients> {
        let n = self.n_points(x);
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
        // Points add to the same sums: on a CPU, one thread.
        device.launch_chunk(kernel, &args, LaunchDims::items(n))?;
        Ok(NodeGradients { theta: dl_dtheta.download()?, position: dl_dposition.download()? })
    }

    /// Nodes of a level that are active at a point.
    pub fn n_corners(&self) -> usize {
        self.n_corners
    }

    /// Kernel values at a node.
    pub fn n_outputs(&self) -> usize {
        self.mulfa.as_ref().map_or(1, |mulfa| mulfa.n_outputs as usize)
    }

    fn n_points(&self, x: &[f64]) -> usize {
        assert_eq!(x.len() % self.dimensions as usize, 0, "whole points");
        x.len() / self.dimensions as usize
    }

    fn scratch(&self, device: &Device, n: usize) -> Result<Buffer<f64>> {
        device.zeros(n * self.n_scratch())
    }

    fn n_scratch(&self) -> usize {
        self.mulfa.as_ref().map_or(0, |mulfa| mulfa.n_scratch())
    }

    /// Arguments without any buffers.
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
