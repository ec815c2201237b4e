//! Camera refinement.

use gridfield::config::{GridConfig, GridIndex, GridKernel};
use gridfield::device::args::{Camera, CameraGradientArgs, CorrectCamerasArgs, PositionGradientArgs, Space, SpaceMap};
use gridfield::device::{ComputeBuffer, Device, LaunchDims, kernels};
use gridfield::encoding::Grid;
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

const CAMERAS: usize = 9;
const RAYS: usize = 150;
const SAMPLES: usize = 4 * RAYS;

fn cameras(random: &mut Random) -> Vec<Camera> {
    let mut camera = || Camera { camera_to_world: random.f32s(12, -1.0, 1.0).try_into().unwrap(), ..Camera::default() };
    (0..CAMERAS).map(|_| camera()).collect()
}

pub fn correct_cameras(device: &Device) -> Outputs {
    let mut random = Random::new(81);
    let given = device.upload(&cameras(&mut random)).unwrap();
    let correction = device.upload(&random.f32s(6 * CAMERAS, -0.4, 0.4)).unwrap();
    let corrected = device.upload(&vec![Camera::default(); CAMERAS]).unwrap();
    let args = CorrectCamerasArgs { cameras: given.ptr(), correction: correction.ptr(), corrected: corrected.ptr() };
    device.launch(&kernels::CORRECT_CAMERAS, &args, LaunchDims::items(CAMERAS)).unwrap();
    let poses: Vec<f32> = get(&corrected).iter().flat_map(|camera| camera.camera_to_world).collect();
    let mut outputs = Outputs::new();
    // Two products of three terms.
    outputs.rounded("pose", &poses, 1e-6);
    outputs
}

pub fn camera_gradient(device: &Device) -> Outputs {
    let to_rig = [10.0, 0.0, 0.0, -5.0, 0.0, 10.0, 0.0, -5.0, 0.0, 0.0, 10.0, -10.0];
    let ndc = Space { map: SpaceMap::Ndc as u32, to_rig, scale: [0.55, 0.6], rig_unit: 0.1 };
    let mut outputs = Outputs::new();
    for space in [Space::default(), ndc, Space { map: SpaceMap::Contraction as u32, ..Space::default() }] {
        let mut random = Random::new(82);
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: RAYS, samples: SAMPLES }).unwrap();
        chunk.n_rays = RAYS;
        // For comparing targets, the marched rays and the view directions need not agree.
        set(&mut chunk.rays.origin, &random.f32s(3 * RAYS, 0.0, 0.3));
        set(&mut chunk.rays.direction, &random.f32s(3 * RAYS, 0.2, 0.5));
        set(&mut chunk.rays.view, &random.f32s(3 * RAYS, -1.0, 1.0));
        let camera_of_ray: Vec<u32> = random.u32s(RAYS).iter().map(|bits| bits % CAMERAS as u32).collect();
        set(&mut chunk.rays.camera, &camera_of_ray);
        let begin: Vec<u32> = (0..RAYS as u32).map(|ray| 4 * ray).collect();
        set(&mut chunk.rays.segment_begin, &begin);
        set(&mut chunk.rays.segment_count, &vec![4; RAYS]);
        set(&mut chunk.rays.t, &(0..RAYS).map(|ray| if ray == 7 { -2.0 } else { 0.5 }).collect::<Vec<_>>());
        set(&mut chunk.samples.t, &random.f32s(SAMPLES, 0.1, 0.9));
        let cameras = device.upload(&cameras(&mut random)).unwrap();
        let correction = device.upload(&random.f32s(6 * CAMERAS, -0.4, 0.4)).unwrap();
        let by_place = device.upload(&random.f32s(3 * SAMPLES, -1.0, 1.0)).unwrap();
        let by_view = device.upload(&random.f32s(3 * SAMPLES, -1.0, 1.0)).unwrap();
        let gradient = device.zeros::<f32>(6 * CAMERAS).unwrap();
        let args = CameraGradientArgs {
            rays: chunk.ray_args(),
            samples: chunk.samples.args(),
            cameras: cameras.ptr(),
            correction: correction.ptr(),
            dl_dposition: by_place.ptr(),
            dl_dview: by_view.ptr(),
            dl_dcorrection: gradient.ptr(),
            space,
            cascades: 2,
            rounds: 1,
        };
        device.launch_chunk(&kernels::CAMERA_GRADIENT, &args, LaunchDims::items(RAYS)).unwrap();
        // About 70 samples per camera; in ndc each involves a division.
        outputs.summed("dL/dcorrection", &get(&gradient), 2e-5);
    }
    outputs
}

pub fn position_gradient(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for (n_features_per_level, index) in
        [(1, GridIndex::Hash), (2, GridIndex::Fourier), (4, GridIndex::Hash), (8, GridIndex::Dense)]
    {
        let config = GridConfig {
            n_levels: 3,
            n_features_per_level,
            log2_hashmap_size: 9,
            base_resolution: 5,
            per_level_scale: if index == GridIndex::Fourier { 1.0 } else { 2.0 },
            kernel: GridKernel::Smoothstep,
            index,
            ..GridConfig::default()
        };
        let grid = Grid::new(&config, 3);
        let mut random = Random::new(83);
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: SAMPLES }).unwrap();
        set(&mut chunk.samples.position, &random.f32s(3 * SAMPLES, 0.0, 1.0));
        set(&mut chunk.samples.count, &[0, SAMPLES as u32 - 50]);
        let mut table = ComputeBuffer::zeros(device, grid.n_parameters()).unwrap();
        table.set(&device.upload(&random.halves(grid.n_parameters(), -1.0, 1.0)).unwrap()).unwrap();
        let dl_dfeatures = device.upload(&random.f32s(grid.n_features() as usize * SAMPLES, -1.0, 1.0)).unwrap();
        let gradient = device.zeros::<f32>(3 * SAMPLES).unwrap();
        let args = PositionGradientArgs {
            grid: grid.layout(),
            samples: chunk.samples.args(),
            table: table.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            dl_dposition: gradient.ptr(),
            round: 0,
        };
        device.launch_chunk(&kernels::POSITION_GRADIENT, &args, LaunchDims::items(SAMPLES)).unwrap();
        // Fractions of up to 20 cells, and sums over 8 corners times the features.
        outputs.rounded("dL/dposition", &get(&gradient), 2e-5);
    }
    outputs
}
