//! Camera refinement: corrected cameras against nalgebra's rotations; the backward pass from samples to corrections,
//! for every map of space, against central differences of a plain float64 version; and gradients with respect to the
//! samples' positions against the float64 encoding, which other tests check.

use crate::common::{Random, assert_close, to_f32, to_f64};
use gridfield::config::{GridConfig, GridIndex, GridKernel, MarchConfig};
use gridfield::device::args::{
    self, CameraGradientArgs, CameraRaysArgs, CorrectCamerasArgs, EncodeArgs, LensModel, MAX_LEVELS,
    PositionGradientArgs,
};
use gridfield::device::{ComputeBuffer, Device, LaunchDims, kernels};
use gridfield::encoding::Grid;
use gridfield::geometry::{Ndc, Space, UnitCube};
use gridfield::radiance::{Chunk, ChunkSize, March};
use nalgebra::{Rotation3, Vector3};
use std::f64::consts::PI;

const UNIT_CUBE: UnitCube = UnitCube::new(0.25, [0.45, 0.5, 0.9]);
const N_SAMPLES: usize = 5;

/// Returns a camera of the unit cube that looks along -z from the front, slightly rotated.
fn camera(number: usize) -> args::Camera {
    let turn = Rotation3::from_scaled_axis(Vector3::new(0.1, -0.07 * number as f64, 0.05));
    let position = [0.45 + 0.02 * number as f32, 0.52, 0.95];
    let mut camera_to_world = [0.0; 12];
    for row in 0..3 {
        for column in 0..3 {
            camera_to_world[4 * row + column] = turn[(row, column)] as f32;
        }
        camera_to_world[4 * row + 3] = position[row];
    }
    args::Camera { camera_to_world, fl_x: 9.0, fl_y: 8.0, cx: 4.1, cy: 3.2, width: 8, height: 6, ..Default::default() }
}

fn corrections(n: usize, size: f64) -> Vec<f64> {
    let mut random = Random::new(71);
    (0..6 * n).map(|_| f64::from(random.between(-size, size) as f32)).collect()
}

fn corrected(device: &Device, cameras: &[args::Camera], corrections: &[f64]) -> Vec<args::Camera> {
    let given = device.upload(cameras).unwrap();
    let correction = device.upload(&to_f32(corrections)).unwrap();
    let out = device.upload(cameras).unwrap();
    let args = CorrectCamerasArgs { cameras: given.ptr(), correction: correction.ptr(), corrected: out.ptr() };
    device.launch(&kernels::CORRECT_CAMERAS, &args, LaunchDims::items(cameras.len())).unwrap();
    out.download().unwrap()
}

/// Returns the camera's pose, row by row, after a correction.
fn pose(camera: &args::Camera, correction: &[f64]) -> [[f64; 4]; 3] {
    let turn = Rotation3::from_scaled_axis(Vector3::from_column_slice(&correction[..3]));
    let given = |row: usize, column: usize| f64::from(camera.camera_to_world[4 * row + column]);
    std::array::from_fn(|row| {
        std::array::from_fn(|column| match column {
            3 => given(row, 3) + correction[3 + row],
            _ => (0..3).map(|k| turn[(row, k)] * given(k, column)).sum(),
        })
    })
}

fn cameras_are_turned_and_moved(device: &Device) {
    let cameras: Vec<_> = (0..7).map(camera).collect();
    // From zero to large corrections, on both sides of the switch to series.
    for size in [0.0, 1e-4, 0.1, 0.2, 1.5] {
        let corrections = corrections(cameras.len(), size);
        for (i, found) in corrected(device, &cameras, &corrections).iter().enumerate() {
            let expected = pose(&cameras[i], &corrections[6 * i..6 * i + 6]);
            assert_close("pose", &to_f64(&found.camera_to_world), expected.as_flattened(), 1e-6);
            assert_eq!((found.width, found.fl_x), (8, 9.0));
        }
    }
}

fn spaces() -> [Space; 3] {
    let frame = [[1.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.3]];
    [Space::Identity, Space::Ndc(Ndc { frame, near: 0.8, tangents: [0.9, 0.8] }), Space::Contraction]
}

/// Returns the position in the field of a point of the unit cube.
fn field(space: &Space, point: [f64; 3]) -> [f64; 3] {
    match space {
        Space::Identity => point,
        Space::Contraction => {
            let y = Vector3::from(point.map(|x| 2.0 * x - 1.0));
            let r = y.norm().max(1.0);
            (y * ((2.0 - 1.0 / r) / r / 4.0)).add_scalar(0.5).into()
        }
        Space::Ndc(ndc) => {
            // The frame's axes are the scene's axes.
            let scene: [f64; 3] =
                std::array::from_fn(|k| (point[k] - f64::from(UNIT_CUBE.offset[k])) / f64::from(UNIT_CUBE.scale));
            let rig: [f64; 3] = std::array::from_fn(|k| (scene[k] - f64::from(ndc.frame[k][3])) / f64::from(ndc.near));
            let [tx, ty] = ndc.tangents.map(f64::from);
            [0.5 - 0.5 * rig[0] / rig[2] / tx, 0.5 - 0.5 * rig[1] / rig[2] / ty, 1.0 + 1.0 / rig[2]]
        }
    }
}

/// Returns the position and the view direction of a sample at a fixed distance along a pixel's ray, for a corrected
/// camera.
fn sample(camera: &args::Camera, correction: &[f64], pixel: usize, distance: f64) -> ([f64; 3], [f64; 3]) {
    let pose = pose(camera, correction);
    let (px, py) = ((pixel % 8) as f64 + 0.5, (pixel / 8) as f64 + 0.5);
    let u = (px - f64::from(camera.cx)) / f64::from(camera.fl_x);
    let v = (py - f64::from(camera.cy)) / f64::from(camera.fl_y);
    let [x, y, z] = if camera.lens == LensModel::Equirectangular as u32 {
        [(PI * u).sin() * (PI * v).cos(), -(PI * v).sin(), -(PI * u).cos() * (PI * v).cos()]
    } else {
        [u, -v, -1.0]
    };
    let direction = Vector3::from(pose.map(|row| row[0] * x + row[1] * y + row[2] * z)).normalize();
    (std::array::from_fn(|k| pose[k][3] + distance * direction[k]), direction.into())
}

/// All rays of a refined camera with samples at known distances, inside and outside the unit ball, and a loss that is
/// linear in the samples' positions in the field and in their view directions.
struct View {
    space: Space,
    march: March,
    camera: args::Camera,
    correction: Vec<f64>,
    chunk: Chunk,
    distances: Vec<f64>,
    by_place: Vec<f64>,
    by_view: Vec<f64>,
}

impl View {
    fn new(device: &Device, space: &Space, camera: args::Camera, size: f64) -> Self {
        let n_rays = (camera.width * camera.height) as usize;
        let n = N_SAMPLES * n_rays;
        let mut random = Random::new(72);
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: n_rays, samples: n }).unwrap();
        chunk.n_rays = n_rays;
        let mut view = View {
            space: *space,
            march: March::new(&MarchConfig::default()).through(space, &UNIT_CUBE),
            camera,
            correction: corrections(1, size),
            chunk,
            distances: random.f64s(n, 0.3, 1.5),
            by_place: random.f64s(3 * n, -1.0, 1.0),
            by_view: random.f64s(3 * n, -1.0, 1.0),
        };
        view.draw(device);
        view.place_samples();
        view
    }

    fn now(&self, device: &Device) -> args::Camera {
        corrected(device, &[self.camera], &self.correction)[0]
    }

    fn draw(&mut self, device: &Device) {
        let args = CameraRaysArgs {
            rays: self.chunk.ray_args(),
            samples_count: self.chunk.samples.count.ptr(),
            camera: self.now(device),
            first_pixel: 0,
            background: [0.0; 3],
            box_min: self.march.box_min,
            box_max: self.march.box_max,
            space: self.march.space,
            near: 0.0,
            crop_min: [0.0; 3],
            crop_max: [1.0; 3],
            is_cropped: 0,
        };
        device.launch_chunk(&kernels::CAMERA_RAYS, &args, LaunchDims::items(self.chunk.n_rays)).unwrap();
    }

    /// Sets the distances of the samples along the marched rays, and assigns the samples to the rays.
    fn place_samples(&mut self) {
        let n_rays = self.chunk.n_rays;
        let rays = &mut self.chunk.rays;
        let (origins, directions) = (rays.origin.download().unwrap(), rays.direction.download().unwrap());
        let begin: Vec<u32> = (0..n_rays).map(|ray| (ray * N_SAMPLES) as u32).collect();
        rays.segment_begin.upload(0, &begin).unwrap();
        rays.segment_count.upload(0, &vec![N_SAMPLES as u32; n_rays]).unwrap();
        let marched = |s: usize| match &self.space {
            Space::Ndc(_) => {
                let ray = s / N_SAMPLES;
                let point = field(&self.space, sample(&self.camera, &self.correction, ray, self.distances[s]).0);
                let along = |k: usize| f64::from(directions[k * n_rays + ray]);
                (0..3).map(|k| (point[k] - f64::from(origins[k * n_rays + ray])) * along(k)).sum::<f64>() as f32
            }
            _ => self.distances[s] as f32,
        };
        let t: Vec<f32> = (0..self.distances.len()).map(marched).collect();
        self.chunk.samples.t.upload(0, &t).unwrap();
    }

    fn loss(&self, correction: &[f64]) -> f64 {
        let one = |s: usize| {
            let (point, view) = sample(&self.camera, correction, s / N_SAMPLES, self.distances[s]);
            let place = field(&self.space, point);
            (0..3).map(|k| self.by_place[3 * s + k] * place[k] + self.by_view[3 * s + k] * view[k]).sum::<f64>()
        };
        (0..self.distances.len()).map(one).sum()
    }

    /// Returns the gradient with respect to the correction, by central differences.
    fn expected_gradient(&self) -> Vec<f64> {
        let moved = |number: usize, by: f64| {
            let mut correction = self.correction.clone();
            correction[number] += by;
            self.loss(&correction)
        };
        (0..6).map(|number| (moved(number, 1e-5) - moved(number, -1e-5)) / 2e-5).collect()
    }

    fn gradient(&self, device: &Device) -> Vec<f64> {
        let upload = |values: &[f64]| device.upload(&to_f32(values)).unwrap();
        let (by_place, by_view) = (upload(&self.by_place), upload(&self.by_view));
        let (cameras, correction) = (device.upload(&[self.now(device)]).unwrap(), upload(&self.correction));
        let gradient = device.zeros::<f32>(6).unwrap();
        let args = CameraGradientArgs {
            rays: self.chunk.ray_args(),
            samples: self.chunk.samples.args(),
            cameras: cameras.ptr(),
            correction: correction.ptr(),
            dl_dposition: by_place.ptr(),
            dl_dview: by_view.ptr(),
            dl_dcorrection: gradient.ptr(),
            space: self.march.space,
            cascades: 1,
            rounds: 1,
        };
        device.launch_chunk(&kernels::CAMERA_GRADIENT, &args, LaunchDims::items(self.chunk.n_rays)).unwrap();
        to_f64(&gradient.download().unwrap())
    }
}

fn corrections_descend_along_the_gradient_in_every_space(device: &Device) {
    for (space, size) in spaces().iter().flat_map(|space| [(space, 0.0), (space, 0.3)]) {
        let panorama = args::Camera {
            lens: LensModel::Equirectangular as u32,
            fl_x: 4.0,
            fl_y: 6.0,
            cx: 4.0,
            cy: 3.0,
            ..camera(3)
        };
        // In normalized device coordinates there is nothing behind a camera.
        let panorama = Some(panorama).filter(|_| !matches!(space, Space::Ndc(_)));
        for camera in [camera(3)].into_iter().chain(panorama) {
            let view = View::new(device, space, camera, size);
            // Sums over 240 samples in fp32; in ndc after a division by the remaining distance to infinity.
            let what = format!("{space:?}, {size}, lens {}", camera.lens);
            assert_close(&what, &view.gradient(device), &view.expected_gradient(), 2e-5);
        }
    }
}

/// Returns the table for `n_features` per level: the first two columns are those of `two`, the others constant.
fn wider(device: &Device, two: &[f64], n_features: usize) -> ComputeBuffer {
    let values: Vec<f32> = two
        .chunks(2)
        .flat_map(|row| (0..n_features).map(|f| row.get(f).map_or(0.5, |&x| x as f32)).collect::<Vec<_>>())
        .collect();
    let mut table = ComputeBuffer::zeros(device, values.len()).unwrap();
    table.set(&device.upload(&values).unwrap()).unwrap();
    table
}

fn grid_of(index: GridIndex, kernel: GridKernel, n_features_per_level: usize) -> Grid {
    let config = GridConfig {
        n_levels: 3,
        n_features_per_level: n_features_per_level as u32,
        log2_hashmap_size: 9,
        base_resolution: 5,
        per_level_scale: if index == GridIndex::Fourier { 1.0 } else { 2.0 },
        kernel,
        index,
        ..GridConfig::default()
    };
    Grid::new(&config, 3)
}

/// Returns the gradients with respect to the samples' positions, including the unused rows after the last sample.
/// `by_features` holds two features per level: a grid with one feature uses the first, and the further features of
/// wider grids have no gradient.
fn found_by_place(device: &Device, grid: &Grid, position: &[f64], table: &[f64], by_features: &[f64]) -> Vec<f64> {
    let (n, n_features) = (position.len() / 3, grid.n_features_per_level as usize);
    let (sets, capacity) = (by_features.len() / 2 / n, n + 30);
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: capacity }).unwrap();
    chunk.samples.position.upload(0, &to_f32(position)).unwrap();
    chunk.samples.count.upload(0, &[0, n as u32]).unwrap();
    let mut dl_dfeatures = device.zeros::<f32>(capacity * sets * n_features).unwrap();
    for (s, set) in (0..n).flat_map(|s| (0..sets).map(move |set| (s, set))) {
        let first = (s * sets + set) * 2;
        let row = to_f32(&by_features[first..first + n_features.min(2)]);
        dl_dfeatures.upload((set * capacity + s) * n_features, &row).unwrap();
    }
    let table = wider(device, table, n_features);
    let found = device.zeros::<f32>(3 * capacity).unwrap();
    let args = PositionGradientArgs {
        grid: grid.layout(),
        samples: chunk.samples.args(),
        table: table.ptr(),
        dl_dfeatures: dl_dfeatures.ptr(),
        dl_dposition: found.ptr(),
        round: 0,
    };
    device.launch_chunk(&kernels::POSITION_GRADIENT, &args, LaunchDims::items(capacity)).unwrap();
    to_f64(&found.download().unwrap())
}

fn gradients_by_place_match_the_encoding_in_double_precision(device: &Device) {
    let n = 200;
    for (index, kernel) in [GridIndex::Hash, GridIndex::Dense, GridIndex::Fourier]
        .into_iter()
        .flat_map(|index| [(index, GridKernel::Linear), (index, GridKernel::Smoothstep)])
    {
        let grid = grid_of(index, kernel, 2);
        let mut random = Random::new(73);
        let mut drawn = |n: usize, low: f64, high: f64| to_f64(&random.f32s(n, low, high));
        let (position, by_features) = (drawn(3 * n, 0.02, 0.98), drawn(grid.n_features() as usize * n, -1.0, 1.0));
        let table = to_f64(&random.halves(grid.n_parameters(), -1.0, 1.0));
        for n_features in [1, 2, 4, 8] {
            let mut wanted = by_features.clone();
            if n_features == 1 {
                wanted.iter_mut().skip(1).step_by(2).for_each(|of_second| *of_second = 0.0);
            }
            let expected = in_double(device, &grid, &position, &table, &wanted);
            let found = found_by_place(device, &grid_of(index, kernel, n_features), &position, &table, &wanted);
            assert_close(&format!("{index:?} {kernel:?} {n_features}"), &found[..3 * n], &expected, 1e-4);
            assert!(found[3 * n..].iter().all(|&g| g == 0.0), "past the last sample");
        }
    }
}

/// Returns the gradients with respect to the positions in f64, for two features per level.
fn in_double(device: &Device, grid: &Grid, position: &[f64], table: &[f64], by_features: &[f64]) -> Vec<f64> {
    let n = position.len() / 3;
    let mut scale = [0.0; MAX_LEVELS];
    scale.iter_mut().zip(&grid.levels).for_each(|(slot, level)| *slot = level.scale);
    let upload = |values: &[f64]| device.upload(values).unwrap();
    let (position, table, dl_dfeatures) = (upload(position), upload(table), upload(by_features));
    let features = upload(&vec![0.0; by_features.len()]);
    let (dl_dtable, dl_dposition) = (upload(&vec![0.0; table.len()]), upload(&vec![0.0; 3 * n]));
    let args = EncodeArgs {
        grid: grid.layout(),
        scale,
        position: position.ptr().cast(),
        table: table.ptr().cast(),
        features: features.ptr().cast(),
        dl_dfeatures: dl_dfeatures.ptr().cast(),
        dl_dtable: dl_dtable.ptr().cast(),
        dl_dposition: dl_dposition.ptr().cast(),
    };
    device.launch_chunk(&kernels::ENCODE_BACKWARD_3D_F64, &args, LaunchDims::items(n)).unwrap();
    dl_dposition.download().unwrap()
}

on_every_target! {
    cameras_are_turned_and_moved,
    corrections_descend_along_the_gradient_in_every_space,
    gradients_by_place_match_the_encoding_in_double_precision,
}
