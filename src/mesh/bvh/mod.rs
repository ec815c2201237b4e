//! Distances to a mesh and winding numbers around it, computed by the kernels of `kernels/fit/bvh.cu`.

mod build;

use build::Tables;

use super::Mesh;
use crate::Result;
use crate::device::args::{self, BvhArgs};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

/// Number of points per launch: enough to fill a GPU, while positions and results take little memory.
const LAUNCH: usize = 1 << 18;

/// A mesh on a device, prepared for distance and winding number queries.
pub struct Bvh {
    device: Device,
    bounds: Buffer<f32>,
    dipole: Buffer<f32>,
    child: Buffer<u32>,
    corner: Buffer<f32>,
    triangle: Buffer<u32>,
    /// The mesh's triangles in an order in which neighbours are close together.
    pub order: Vec<u32>,
}

/// The distance to a mesh and its nearest triangle, for each of some points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nearest {
    /// Distance in units of the mesh's coordinates.
    pub distance: Vec<f32>,
    /// Index in the mesh of the triangle nearest to each point.
    pub triangle: Vec<u32>,
}

impl Bvh {
    /// Builds the hierarchy on the host and uploads it to the device.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    ///
    /// # Panics
    /// Panics if the mesh has no triangles, or more than [`super::MOST_TRIANGLES`].
    pub fn new(device: &Device, mesh: &Mesh) -> Result<Self> {
        assert!((1..=super::MOST_TRIANGLES).contains(&mesh.triangles.len()), "a mesh that was checked");
        let tables = Tables::build(mesh);
        Ok(Bvh {
            device: device.clone(),
            bounds: device.upload(&tables.bounds)?,
            dipole: device.upload(&tables.dipole)?,
            child: device.upload(&tables.child)?,
            corner: device.upload(&tables.corner)?,
            triangle: device.upload(&tables.triangle)?,
            order: tables.order,
        })
    }

    pub(crate) fn args(&self) -> args::Bvh<'_> {
        args::Bvh {
            bounds: self.bounds.ptr(),
            dipole: self.dipole.ptr(),
            child: self.child.ptr(),
            corner: self.corner.ptr(),
            triangle: self.triangle.ptr(),
        }
    }

    /// Returns arguments of both kernels for `n` points, with no outputs set.
    #[doc(hidden)]
    pub fn query<'a>(&'a self, position: Ptr<'a, f32>, n: usize) -> BvhArgs<'a> {
        BvhArgs {
            bvh: self.args(),
            position,
            bound: Ptr::NULL,
            distance: Ptr::NULL,
            triangle: Ptr::NULL,
            winding: Ptr::NULL,
            n: n as u32,
            accuracy: 0.0,
        }
    }

    /// Returns the distance from each point to the mesh, and the nearest triangle.
    pub fn nearest(&self, points: &[[f32; 3]]) -> Result<Nearest> {
        let mut nearest = Nearest::default();
        let n = points.len().min(LAUNCH);
        let (distance, triangle) = (self.device.zeros::<f32>(n)?, self.device.zeros::<u32>(n)?);
        for points in points.chunks(LAUNCH) {
            let position = self.device.upload(points.as_flattened())?;
            let query = self.query(position.ptr(), points.len());
            let args = BvhArgs { distance: distance.ptr(), triangle: triangle.ptr(), ..query };
            self.device.launch(&kernels::BVH_DISTANCE, &args, LaunchDims::tiles(points.len()))?;
            nearest.distance.extend(&distance.download()?[..points.len()]);
            nearest.triangle.extend(&triangle.download()?[..points.len()]);
        }
        Ok(nearest)
    }

    /// Returns the winding number of the mesh around each point: 1 inside a closed mesh, 0 outside. A group of
    /// triangles farther away than `accuracy` times its radius counts as one dipole.
    pub fn winding_numbers(&self, points: &[[f32; 3]], accuracy: f32) -> Result<Vec<f32>> {
        let mut numbers = Vec::new();
        let winding = self.device.zeros::<f32>(points.len().min(LAUNCH))?;
        for points in points.chunks(LAUNCH) {
            let position = self.device.upload(points.as_flattened())?;
            let args = BvhArgs { winding: winding.ptr(), accuracy, ..self.query(position.ptr(), points.len()) };
            self.device.launch(&kernels::BVH_WINDING, &args, LaunchDims::tiles(points.len()))?;
            numbers.extend(&winding.download()?[..points.len()]);
        }
        Ok(numbers)
    }
}
