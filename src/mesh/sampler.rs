//! Points on a mesh, near it and in the cube around it, drawn by the kernels of `kernels/fit/surface.cu`.

use super::{Bvh, Mesh};
use crate::Result;
use crate::device::args::SurfaceArgs;
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

/// A mesh's triangles on a device, from which points are drawn.
pub struct Sampler {
    corner: Buffer<f32>,
    cumulative: Buffer<u32>,
    number: Buffer<u32>,
}

/// Selects the points to draw, which are a pure function of these fields.
#[derive(Clone, Copy, Debug)]
pub struct Scatter {
    /// Seed of the run.
    pub seed: u32,
    /// Training step.
    pub step: u32,
    /// Selects independent points of the same step: 0 to 7.
    pub stream: u32,
    /// Scale of the logistic displacement off the surface along each axis, in units of the mesh's coordinates; 0 for
    /// none.
    pub deviation: f32,
    /// Total number of points.
    pub n: usize,
    /// Index of the first point to draw.
    pub first: usize,
}

/// Points on a surface.
#[derive(Clone, Debug, Default)]
pub struct OnSurface {
    /// Coordinates of the points.
    pub points: Vec<[f32; 3]>,
    /// The triangle on which each point lies.
    pub triangles: Vec<u32>,
}

impl Sampler {
    /// Creates a sampler. `order` has every triangle once, with neighbours close together.
    ///
    /// # Panics
    /// Panics if the mesh has no area.
    pub fn new(device: &Device, mesh: &Mesh, order: impl IntoIterator<Item = u32>) -> Result<Self> {
        let number: Vec<u32> = order.into_iter().collect();
        assert_eq!(number.len(), mesh.triangles.len(), "every triangle once");
        let areas = || number.iter().map(|&triangle| mesh.cross(triangle as usize).norm());
        let (total, mut sum) = (areas().sum::<f64>(), 0.0);
        assert!(total > 0.0, "a mesh that was checked");
        let mut cumulative: Vec<u32> = areas()
            .map(|area| {
                sum += area;
                (sum / total * 2f64.powi(32)) as u32
            })
            .collect();
        *cumulative.last_mut().expect("a mesh that was checked") = u32::MAX;
        let corners: Vec<f32> = number.iter().flat_map(|&triangle| mesh.corners(triangle as usize)).flatten().collect();
        Ok(Sampler {
            corner: device.upload(&corners)?,
            cumulative: device.upload(&cumulative)?,
            number: device.upload(&number)?,
        })
    }

    /// Returns the arguments of both kernels; `triangle` may be null.
    #[doc(hidden)]
    pub fn args<'a>(
        &'a self,
        scatter: &Scatter,
        position: Ptr<'a, f32>,
        bound: Ptr<'a, f32>,
        triangle: Ptr<'a, u32>,
    ) -> SurfaceArgs<'a> {
        SurfaceArgs {
            corner: self.corner.ptr(),
            cumulative: self.cumulative.ptr(),
            number: self.number.ptr(),
            position,
            bound,
            triangle,
            n_triangles: self.number.len() as u32,
            n: scatter.n as u32,
            first: scatter.first as u32,
            seed: scatter.seed,
            step: scatter.step,
            stream: scatter.stream,
            deviation: scatter.deviation,
        }
    }

    /// Draws `n` points spread evenly over the area.
    pub fn on_surface(&self, device: &Device, n: usize, seed: u32) -> Result<OnSurface> {
        let (position, bound) = (device.zeros::<f32>(3 * n)?, device.zeros::<f32>(n)?);
        let triangle = device.zeros::<u32>(n)?;
        let scatter = Scatter { seed, step: 0, stream: 0, deviation: 0.0, n, first: 0 };
        let args = self.args(&scatter, position.ptr(), bound.ptr(), triangle.ptr());
        device.launch(&kernels::SURFACE_POINTS, &args, LaunchDims::items(n))?;
        Ok(OnSurface { points: rows(position.download()?), triangles: triangle.download()? })
    }

    /// Draws `n` points spread evenly over the unit cube.
    pub fn in_cube(&self, device: &Device, n: usize, seed: u32) -> Result<Vec<[f32; 3]>> {
        let (position, bound) = (device.zeros::<f32>(3 * n)?, device.zeros::<f32>(n)?);
        let scatter = Scatter { seed, step: 0, stream: 0, deviation: 0.0, n, first: 0 };
        let args = self.args(&scatter, position.ptr(), bound.ptr(), Ptr::NULL);
        device.launch(&kernels::CUBE_POINTS, &args, LaunchDims::items(n))?;
        Ok(rows(position.download()?))
    }
}

impl Bvh {
    /// Returns a sampler whose points come in the order of the tree.
    pub fn sampler(&self, device: &Device, mesh: &Mesh) -> Result<Sampler> {
        Sampler::new(device, mesh, self.order.iter().copied())
    }
}

fn rows(numbers: Vec<f32>) -> Vec<[f32; 3]> {
    numbers.as_chunks().0.to_vec()
}
