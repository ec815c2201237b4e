//! The encoding `points`, with unstructured nodes, which come from a point cloud file, from the occupied cells of an
//! earlier run, or from a lattice with random offsets. At each position the k nearest nodes are active, weighted by a
//! Gaussian. The arithmetic is in `kernels/encoding/points.cuh`; `docs/models.md` has the formulas.

use std::path::Path;

use super::interface::{Backward, Encode, Encoding, Init, InitContext};
use super::nodes::ActiveNodes;
use super::point_file;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::{GridConfig, GridIndex, PointsConfig};
use crate::decoder::Head;
use crate::device::args::{
    NEAREST, PointSet, PointsArgs, PointsNodesArgs, PointsScatterArgs, ScatterArgs, UniformArgs,
};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::geometry::{cell_of_number, relative};
use crate::train::{OUTPUT_DIR, Resolved};
use crate::{Error, Result};

/// Name of the nodes in a checkpoint.
const NODES: &str = "grid.nodes";
/// Random stream that scatters the nodes; the networks' layers and θ use the streams below.
const STREAM: u32 = 1 << 16;
/// Target for the mean number of nodes in an occupied cell.
const NODES_PER_CELL: usize = 2;
/// Largest number of cells per axis: their list takes 64 MiB.
const MOST_CELLS: u32 = 256;
/// Largest number of nodes: the table's entries times features must fit in 31 bits.
const MOST_NODES: usize = (1 << 31) / 8 - 1;
/// Number of parts of the table that CPU threads add to in parallel.
const HOST_PARTS: usize = 16;

/// Nodes on a device, sorted by cell.
pub struct PointCloud {
    nodes: std::sync::Arc<Listed>,
    dimensions: u32,
    k: u32,
    /// Bandwidth of the Gaussian, in units of the field's box.
    pub bandwidth: f32,
    n_features: u32,
}

/// Nodes in the order of their cells, x fastest, and the index at which each cell begins.
struct Listed {
    /// Node positions in the field's box, `[N, 3]`.
    node: Buffer<f32>,
    /// Index of the first node of each cell, `[resolution³ + 1]`.
    first: Buffer<u32>,
    n_nodes: usize,
    resolution: u32,
}

/// [`super::registry::Constructor`] for grids with the index `points`.
pub fn open(device: &Device, config: &GridConfig, head: Head, init: &Init) -> Result<Option<Box<dyn Encoding>>> {
    if config.index != GridIndex::Points {
        return Ok(None);
    }
    let (points, dimensions) = (&config.points, head.dimensions());
    let nodes = match init {
        Init::Blank => lattice(device, points, dimensions, 0)?,
        Init::New(context) if !points.file.as_os_str().is_empty() => from_file(&points.file, context)?,
        Init::New(context) if !points.from_run.as_os_str().is_empty() => from_run(&points.from_run, context)?,
        Init::New(context) => lattice(device, points, dimensions, context.seed as u32)?,
        Init::Saved(checkpoint) => saved(checkpoint)?,
    };
    if nodes.len() < points.k as usize {
        return Err(Error::config(format!(
            "model.grid.points.k is {}, but there are {} nodes in the field's box; lower it or give more points",
            points.k,
            nodes.len()
        )));
    }
    if nodes.len() > MOST_NODES {
        return Err(Error::config(format!(
            "model.grid.points has {} nodes, but at most {MOST_NODES} are possible; thin them out",
            nodes.len()
        )));
    }
    Ok(Some(Box::new(PointCloud::new(device, nodes, dimensions, points, config.n_features_per_level)?)))
}

impl PointCloud {
    /// Creates a point cloud from `nodes` in the field's box, [0, 1]³; in one or two dimensions their other coordinates
    /// are 1/2.
    pub fn new(
        device: &Device,
        nodes: Vec<[f32; 3]>,
        dimensions: u32,
        config: &PointsConfig,
        n_features_per_level: u32,
    ) -> Result<Self> {
        let (resolution, occupied) = cells_for(&nodes);
        let (nodes, first) = by_cell(nodes, resolution);
        // The mean distance between neighbours if the nodes were spread evenly over the occupied cells.
        let spacing = (occupied as f64 / nodes.len() as f64).powf(1.0 / f64::from(dimensions)) / f64::from(resolution);
        let listed = Listed {
            node: device.upload(nodes.as_flattened())?,
            first: device.upload(&first)?,
            n_nodes: nodes.len(),
            resolution,
        };
        Ok(PointCloud {
            nodes: listed.into(),
            dimensions,
            k: config.k,
            bandwidth: (config.bandwidth * spacing) as f32,
            n_features: n_features_per_level,
        })
    }

    /// Returns the nodes, `[N, 3]`, in the order of the table's rows.
    pub fn nodes(&self) -> Result<Vec<f32>> {
        self.nodes.node.download()
    }

    /// Returns the point cloud as the kernels see it.
    pub fn args(&self) -> PointSet<'_> {
        PointSet {
            dimensions: self.dimensions,
            node: self.nodes.node.ptr(),
            first: self.nodes.first.ptr(),
            n_nodes: self.nodes.n_nodes as u32,
            resolution: self.nodes.resolution,
            k: self.k,
            bandwidth: self.bandwidth,
        }
    }

    /// Computes φ at `x` (`[n, D]`, in [0, 1]). Each row holds the nearest nodes and, last, the entry for everything
    /// out of reach.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn active_nodes(&self, device: &Device, x: &[f64]) -> Result<ActiveNodes> {
        let (n, n_corners) = (x.len() / self.dimensions as usize, NEAREST + 1);
        let position = device.upload(x)?;
        let (entry, phi) = (device.zeros::<u32>(n * n_corners)?, device.zeros::<f64>(n * n_corners)?);
        let args =
            PointsNodesArgs { position: position.ptr(), entry: entry.ptr(), phi: phi.ptr(), ..self.nodes_args() };
        device.launch(&kernels::POINTS_NODES_F64, &args, LaunchDims::items(n))?;
        Ok(ActiveNodes { n_levels: 1, n_corners, n_outputs: 1, entry: entry.download()?, phi: phi.download()? })
    }

    /// Computes the gradients with respect to the points (`[n, D]`), given those with respect to φ.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    #[cfg(feature = "testing")]
    pub fn active_nodes_backward(&self, device: &Device, x: &[f64], dl_dphi: &[f64]) -> Result<Vec<f64>> {
        let (position, dl_dphi, dl_dposition) = (device.upload(x)?, device.upload(dl_dphi)?, device.zeros(x.len())?);
        let args = PointsNodesArgs {
            position: position.ptr(),
            dl_dphi: dl_dphi.ptr(),
            dl_dposition: dl_dposition.ptr(),
            ..self.nodes_args()
        };
        device.launch(
            &kernels::POINTS_NODES_BACKWARD_F64,
            &args,
            LaunchDims::items(x.len() / self.dimensions as usize),
        )?;
        dl_dposition.download()
    }

    fn nodes_args(&self) -> PointsNodesArgs<'_> {
        PointsNodesArgs {
            points: self.args(),
            position: Ptr::NULL,
            entry: Ptr::NULL,
            phi: Ptr::NULL,
            dl_dphi: Ptr::NULL,
            dl_dposition: Ptr::NULL,
        }
    }

    fn scatter_args<'a>(&self, args: &ScatterArgs<'a>, n_parts: usize) -> PointsScatterArgs<'a> {
        PointsScatterArgs {
            kept: args.phi,
            dl_dfeatures: args.dl_dfeatures,
            count: args.count,
            gradient: args.gradient,
            n_nodes: self.nodes.n_nodes as u32,
            n_features: self.n_features,
            capacity: args.capacity,
            n_parts: n_parts as u32,
        }
    }

    fn points_args<'a>(&'a self, work: &Encode<'a>) -> PointsArgs<'a> {
        PointsArgs {
            points: self.args(),
            samples: work.samples,
            table: work.table,
            features: work.features,
            kept: Ptr::NULL,
            n_features: self.n_features,
            n_in: work.n_in,
            round: work.round,
        }
    }
}

impl Encoding for PointCloud {
    /// The entries are the nodes, and one for everything out of reach.
    fn n_entries(&self) -> Option<usize> {
        Some(self.nodes.n_nodes + 1)
    }

    /// The scatter weights are φ of the nodes and of everything out of reach, followed by the indices of the nodes.
    fn n_scatter_weights(&self) -> usize {
        2 * NEAREST + 1
    }

    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        device.launch_chunk(&kernels::POINTS_ENCODE, &self.points_args(work), LaunchDims::tiles(most))
    }

    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()> {
        let args = PointsArgs { kept: gradients.scatter_weights, ..self.points_args(work) };
        device.launch_chunk(&kernels::POINTS_BACKWARD, &args, LaunchDims::tiles(most))
    }

    fn scatter(&self, device: &Device, launches: &[(ScatterArgs, LaunchDims)], _: usize) -> Result<()> {
        let n_parts = if device.is_host() { HOST_PARTS } else { 1 };
        let launches: Vec<_> =
            launches.iter().map(|(args, items)| (self.scatter_args(args, n_parts), *items)).collect();
        device.launch_rows(&kernels::POINTS_SCATTER, &launches, n_parts)
    }

    fn new_like(&self, _: &Device) -> Result<Box<dyn Encoding>> {
        Ok(Box::new(PointCloud { nodes: self.nodes.clone(), ..*self }))
    }

    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        Ok(vec![Tensor::new(NODES, &[self.nodes.n_nodes, 3], self.nodes()?)])
    }
}

// --------------------------------------------------------------------------------------------------------------------
// Where nodes come from

/// Returns a lattice over the field's box, with each node moved at random within its cell; coordinates past
/// `dimensions` are 1/2.
fn lattice(device: &Device, config: &PointsConfig, dimensions: u32, seed: u32) -> Result<Vec<[f32; 3]>> {
    let r = config.resolution as usize;
    let moved = device.zeros::<f32>(3 * r.pow(dimensions))?;
    let args = UniformArgs { value: moved.ptr(), seed, stream: STREAM, range: 0.5 };
    device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(moved.len()))?;
    let place = |(i, by): (usize, &[f32])| {
        let cell = [i % r, i / r % r, i / r / r];
        std::array::from_fn(|k| if k < dimensions as usize { (cell[k] as f32 + 0.5 + by[k]) / r as f32 } else { 0.5 })
    };
    Ok(moved.download()?.chunks(3).enumerate().map(place).collect())
}

/// Returns the points of a file that lie in the field's box.
fn from_file(path: &Path, context: &InitContext) -> Result<Vec<[f32; 3]>> {
    let points = point_file::read(path)?;
    let n = points.len();
    let nodes: Vec<_> = points.into_iter().map(|point| context.in_box(point)).filter(is_inside).collect();
    if nodes.is_empty() {
        let what = format!(
            "none of its {n} points lies in the field's box; check that it is in scene coordinates, and scene.scale and \
             scene.offset"
        );
        return Err(Error::file(path, what));
    }
    Ok(nodes)
}

/// Returns the centres of the cells that an earlier run found to be occupied.
fn from_run(path: &Path, context: &InitContext) -> Result<Vec<[f32; 3]>> {
    let path = Resolved::find(path, Path::new(OUTPUT_DIR))?.checkpoint;
    let checkpoint = Checkpoint::read(&path)?;
    let march = &checkpoint.header.config.march;
    let cells = (march.occupancy_resolution as usize).pow(3);
    let bits: &[u8] = checkpoint.get("occupancy.bits", &[march.cascades as usize, cells / 8])?;
    let mut nodes = Vec::new();
    for (cascade, bits) in bits.chunks(cells / 8).enumerate() {
        let side = (1u32 << cascade) as f32;
        for cell in (0..cells).filter(|cell| bits[cell / 8] >> (cell % 8) & 1 == 1) {
            let centre = cell_centre(cell, march.occupancy_resolution as usize).map(|c| 0.5 + side * (c - 0.5));
            let reach = centre.iter().fold(0.0f32, |most, c| most.max((c - 0.5).abs()));
            // The middle of a cascade is covered by the smaller cascades.
            if cascade == 0 || reach > 0.25 * side {
                nodes.push(context.in_box(checkpoint.header.unit_cube.to_files(centre)));
            }
        }
    }
    nodes.retain(is_inside);
    if nodes.is_empty() {
        return Err(Error::file(
            path,
            "has no occupied cell in the field's box; train it further, or give points.file",
        ));
    }
    Ok(nodes)
}

/// Returns the centre of a cell of the occupancy grid.
fn cell_centre(cell: usize, resolution: usize) -> [f32; 3] {
    cell_of_number(cell, resolution).map(|k| (k as f32 + 0.5) / resolution as f32)
}

fn saved(checkpoint: &Checkpoint) -> Result<Vec<[f32; 3]>> {
    let shape = checkpoint.tensors.iter().find(|tensor| tensor.name == NODES).map(|tensor| tensor.shape.clone());
    let n = shape.and_then(|shape| shape.first().copied()).unwrap_or(0);
    let numbers: &[f32] = checkpoint.get(NODES, &[n, 3])?;
    let nodes: Vec<[f32; 3]> = numbers.chunks(3).map(|node| [node[0], node[1], node[2]]).collect();
    if nodes.iter().all(is_inside) {
        Ok(nodes)
    } else {
        Err(checkpoint.refuse(format!("tensor `{NODES}` holds nodes outside of the field's box; the file is damaged")))
    }
}

impl InitContext {
    /// Converts coordinates of the scene's files to those of the field's box.
    fn in_box(&self, point: [f64; 3]) -> [f32; 3] {
        self.unit_cube.to_unit(relative(point, &self.unit_cube.origin)).map(|u| (u - 0.5) / self.box_side + 0.5)
    }
}

fn is_inside(node: &[f32; 3]) -> bool {
    node.iter().all(|x| (0.0..=1.0).contains(x))
}

// --------------------------------------------------------------------------------------------------------------------
// Sorting nodes by cell

fn cell_of(node: &[f32; 3], resolution: u32) -> usize {
    let cell = node.map(|x| ((x * resolution as f32) as usize).min(resolution as usize - 1));
    cell[0] + resolution as usize * (cell[1] + resolution as usize * cell[2])
}

/// Returns the number of cells per axis, a power of two, and how many cells hold a node. The resolution is the lowest
/// at which occupied cells hold at most [`NODES_PER_CELL`] nodes on average.
fn cells_for(nodes: &[[f32; 3]]) -> (u32, usize) {
    let mut resolution = 4;
    loop {
        let mut holds = vec![false; (resolution as usize).pow(3)];
        nodes.iter().for_each(|node| holds[cell_of(node, resolution)] = true);
        let occupied = holds.iter().filter(|&&holds| holds).count();
        if nodes.len() <= NODES_PER_CELL * occupied || resolution == MOST_CELLS {
            return (resolution, occupied);
        }
        resolution *= 2;
    }
}

/// Returns the nodes in the order of their cells, keeping the order within a cell, and the index of each cell's first
/// node.
fn by_cell(mut nodes: Vec<[f32; 3]>, resolution: u32) -> (Vec<[f32; 3]>, Vec<u32>) {
    nodes.sort_by_key(|node| cell_of(node, resolution));
    let mut first = vec![0u32; (resolution as usize).pow(3) + 1];
    nodes.iter().for_each(|node| first[cell_of(node, resolution) + 1] += 1);
    for cell in 1..first.len() {
        first[cell] += first[cell - 1];
    }
    (nodes, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_lists_its_own_nodes() {
        let nodes: Vec<[f32; 3]> = (0..500)
            .map(|i| [0.13579, 0.37123, 0.71937].map(|step| (i as f32 * step).fract()))
            .chain([[1.0; 3]])
            .collect();
        let (resolution, occupied) = cells_for(&nodes);
        let (sorted, first) = by_cell(nodes.clone(), resolution);
        assert!((nodes.len().div_ceil(NODES_PER_CELL)..=nodes.len()).contains(&occupied));
        for cell in 0..first.len() - 1 {
            for node in &sorted[first[cell] as usize..first[cell + 1] as usize] {
                assert_eq!(cell_of(node, resolution), cell);
            }
        }
        assert_eq!(first.last(), Some(&501));
        assert_eq!(by_cell(sorted.clone(), resolution).0, sorted, "the order is that of a checkpoint read back");
    }

    #[test]
    fn cells_of_the_occupancy_grid_are_numbered_by_blocks() {
        assert_eq!(cell_centre(0, 16), [0.5 / 16.0; 3]);
        assert_eq!(cell_centre(64 + 1 + 4 * 2 + 16 * 3, 16), [5.5 / 16.0, 2.5 / 16.0, 3.5 / 16.0]);
    }
}
