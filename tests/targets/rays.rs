//! Rays from cameras, and marching them through occupied space.

use gridfield::device::args::{
    Camera, CameraRaysArgs, DrawRaysArgs, LensModel, MarchArgs, OccupancyRaysArgs, RayDistanceArgs, Space, SpaceMap,
    Steps,
};
use gridfield::device::{Device, LaunchDims, Ptr, kernels};
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

/// Short chains of products, quotients and a root, fused or not: a few fp32 steps.
const FP32: f64 = 2e-6;

const RAYS: usize = 300;
const BOX: ([f32; 3], [f32; 3]) = ([0.0; 3], [1.0; 3]);

/// Returns a camera outside the unit cube that looks at its centre, or away from it.
fn camera(random: &mut Random, towards: bool, width: u32, height: u32, first_pixel: u64) -> Camera {
    let z = random.direction().map(|x| x as f32);
    let up = if z[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
    let cross = |a: [f32; 3], b: [f32; 3]| -> [f32; 3] {
        std::array::from_fn(|k| a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3])
    };
    let x = cross(up, z);
    let length = x.iter().map(|v| v * v).sum::<f32>().sqrt();
    let x = x.map(|v| v / length);
    let y = cross(z, x);
    let side = if towards { 2.0 } else { -2.0 };
    let mut camera_to_world = [0.0; 12];
    for row in 0..3 {
        camera_to_world[4 * row..4 * row + 4].copy_from_slice(&[x[row], y[row], z[row], 0.5 + side * z[row]]);
    }
    Camera {
        camera_to_world,
        fl_x: 1.5 * width as f32,
        fl_y: 1.5 * width as f32,
        cx: 0.5 * width as f32,
        cy: 0.5 * height as f32,
        width,
        height,
        first_pixel,
        ..Camera::default()
    }
}

fn panorama(camera: Camera, lens: LensModel) -> Camera {
    let (fl_x, fl_y) = (0.5 * camera.width as f32, camera.height as f32);
    Camera { lens: lens as u32, fl_x, fl_y, cx: fl_x, cy: 0.5 * fl_y, ..camera }
}

const N_LENSES: usize = 7;

/// Returns the camera with one of the lens kinds, with typical coefficients of real lenses.
fn with_lens(camera: Camera, kind: usize) -> Camera {
    let radial = [-0.05, 0.02, -0.003, 1e-4];
    let tangential = [1e-3, -2e-3];
    match kind % N_LENSES {
        0 => camera,
        1 => Camera { lens: LensModel::Opencv as u32, lens_limit: 600.0, radial, tangential, ..camera },
        2 => Camera { lens: LensModel::Fisheye as u32, lens_limit: 2.0, radial, ..camera },
        3 => {
            let lens = LensModel::FullOpencv as u32;
            let (radial, further) = ([0.52, -2.7, 1.55, 0.4], [-2.5, 1.48]);
            Camera { lens, lens_limit: 1.0, radial, tangential, further, ..camera }
        }
        4 => {
            let lens = LensModel::ThinPrismFisheye as u32;
            Camera { lens, lens_limit: 2.0, radial, tangential, further: [4e-3, -3e-3], ..camera }
        }
        5 => panorama(camera, LensModel::Equirectangular),
        _ => panorama(camera, LensModel::EqualArea),
    }
}

fn chunk(device: &Device, samples: usize) -> Chunk {
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: RAYS + 20, samples }).unwrap();
    chunk.n_rays = RAYS;
    chunk
}

fn ray_outputs(chunk: &Chunk, outputs: &mut Outputs) {
    outputs.rounded("origin", &get(&chunk.rays.origin), FP32);
    outputs.rounded("direction", &get(&chunk.rays.direction), FP32);
    outputs.rounded("view", &get(&chunk.rays.view), FP32);
    outputs.rounded("t", &get(&chunk.rays.t), FP32);
    outputs.exact("hit or miss", &get(&chunk.rays.t).iter().map(|&t| u8::from(t >= 0.0)).collect::<Vec<_>>());
    outputs.rounded("transmittance", &get(&chunk.rays.transmittance), FP32);
    outputs.rounded("background", &get(&chunk.rays.background), FP32);
    outputs.exact("samples in a segment", &get(&chunk.rays.segment_count));
    outputs.exact("counts", &get(&chunk.samples.count));
    // If a ray misses the box, its end has no meaning and may be far away.
    let (t, t_end) = (get(&chunk.rays.t), get(&chunk.rays.t_end));
    let ends: Vec<f32> = t.iter().zip(t_end).filter(|(t, _)| **t >= 0.0).map(|(_, end)| end).collect();
    outputs.rounded("end", &ends, FP32);
}

pub fn draw_rays(device: &Device) -> Outputs {
    let mut random = Random::new(31);
    let cameras = [
        camera(&mut random, true, 20, 10, 0),
        with_lens(camera(&mut random, false, 16, 16, 200), 1),
        with_lens(camera(&mut random, true, 9, 30, 456), 2),
        with_lens(camera(&mut random, true, 20, 10, 726), 5),
    ];
    let pixels: Vec<u8> = random.u32s(4 * 926).iter().map(|&bits| bits as u8).collect();
    let (cameras, pixels) = (device.upload(&cameras).unwrap(), device.upload(&pixels).unwrap());
    let mut outputs = Outputs::new();
    let depths = device.upload(&random.f32s(926, -0.3, 3.0)).unwrap();
    let drawn_pixels: Vec<u32> = [200, 256, 270, 200].iter().flat_map(|&n| (0..n).step_by(3)).collect();
    let (drawn_pixels, drawn_begin) =
        (device.upload(&drawn_pixels).unwrap(), device.upload(&[0u32, 67, 153, 243, 310]).unwrap());
    for (background, space, masked) in [(0, Space::default(), false), (1, ndc(), true), (2, every_space()[2], true)] {
        let chunk = chunk(device, 1);
        let args = DrawRaysArgs {
            rays: chunk.ray_args(),
            samples_count: chunk.samples.count.ptr(),
            cameras: cameras.ptr(),
            pixels: pixels.ptr(),
            n_cameras: 4,
            seed: 1,
            step: 77,
            first_ray: 1000,
            background,
            box_min: BOX.0,
            box_max: BOX.1,
            step_size: 0.002,
            space,
            near: 0.0,
            depths: if masked { depths.ptr() } else { Ptr::NULL },
            drawn_pixels: if masked { drawn_pixels.ptr() } else { Ptr::NULL },
            drawn_begin: drawn_begin.ptr(),
        };
        device.launch(&kernels::DRAW_RAYS, &args, LaunchDims::items(RAYS)).unwrap();
        ray_outputs(&chunk, &mut outputs);
        outputs.exact("camera", &get(&chunk.rays.camera));
        // In ndc, a quotient of distances of up to 1.
        outputs.rounded("place of the depth", &get(&chunk.rays.target_t), 2e-5);
        outputs.exact("target", &get(&chunk.rays.target));
    }
    outputs
}

/// Position of the camera in the cases below; its axes are those of the unit cube.
const EYE: [f32; 3] = [0.45, 0.52, 1.1];

/// Returns the rays of a camera that looks into the unit cube along -z, after a map of space, in a box if there is one.
fn picture(device: &Device, space: Space, near: f32, lens: usize, crop: Option<[[f32; 3]; 2]>) -> Chunk {
    let chunk = chunk(device, 1);
    let [x, y, z] = EYE;
    let camera = Camera {
        camera_to_world: [1.0, 0.0, 0.0, x, 0.0, 1.0, 0.0, y, 0.0, 0.0, 1.0, z],
        fl_x: 14.0,
        fl_y: 15.0,
        cx: 12.3,
        cy: 10.2,
        ..camera(&mut Random::new(32), true, 25, 20, 0)
    };
    let args = CameraRaysArgs {
        rays: chunk.ray_args(),
        samples_count: chunk.samples.count.ptr(),
        camera: with_lens(camera, lens),
        first_pixel: 150,
        background: [0.1, 0.2, 0.3],
        box_min: BOX.0,
        box_max: BOX.1,
        space,
        near,
        crop_min: crop.map_or([0.0; 3], |crop| crop[0]),
        crop_max: crop.map_or([0.0; 3], |crop| crop[1]),
        is_cropped: crop.is_some().into(),
    };
    device.launch(&kernels::CAMERA_RAYS, &args, LaunchDims::items(RAYS)).unwrap();
    chunk
}

/// Returns a rig in the middle of the cube's front, with its near plane at distance 0.1.
fn ndc() -> Space {
    let to_rig = [10.0, 0.0, 0.0, -5.0, 0.0, 10.0, 0.0, -5.0, 0.0, 0.0, 10.0, -10.0];
    Space { map: SpaceMap::Ndc as u32, to_rig, scale: [0.55, 0.6], rig_unit: 0.1 }
}

fn every_space() -> [Space; 3] {
    [Space::default(), ndc(), Space { map: SpaceMap::Contraction as u32, ..Space::default() }]
}

pub fn camera_rays(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for space in every_space() {
        for lens in 0..N_LENSES {
            ray_outputs(&picture(device, space, 0.07, lens, None), &mut outputs);
        }
        let cropped = picture(device, space, 0.07, 0, Some([[0.3, 0.4, 0.2], [0.6, 0.6, 0.7]]));
        let inside = get(&cropped.rays.t).iter().filter(|&&t| t >= 0.0).count();
        assert!((10..RAYS - 10).contains(&inside), "{inside} rays meet the box");
        ray_outputs(&cropped, &mut outputs);
    }
    outputs
}

pub fn ray_distances(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for space in every_space() {
        let mut random = Random::new(36);
        let mut chunk = picture(device, space, 0.0, 0, None);
        set(&mut chunk.rays.depth, &random.f32s(RAYS, 0.0, 0.9));
        let transmittance: Vec<f32> = (0..RAYS).map(|i| if i % 5 == 0 { 1.0 } else { 0.05 }).collect();
        set(&mut chunk.rays.transmittance, &transmittance);
        let args = RayDistanceArgs { rays: chunk.ray_args(), position: EYE, space };
        device.launch(&kernels::RAY_DISTANCES, &args, LaunchDims::items(RAYS)).unwrap();
        // In ndc, 1 / (1 - z) amplifies the rounding error of z, most where the values are largest.
        outputs.rounded("distance", &get(&chunk.rays.depth), 1e-5);
    }
    outputs
}

/// Boxes of a grid of which a third is occupied, through each map of space.
pub fn occupancy_rays(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for (cascades, space) in [(1, Space::default()), (2, Space::default()), (1, ndc()), (1, every_space()[2])] {
        let chunk = picture(device, space, 0.0, 0, None);
        let (resolution, bits) = random_bits(&mut Random::new(34), cascades);
        let occupancy = device.upload(&bits).unwrap();
        let blocks = occupied_blocks(&bits, resolution as usize, cascades as usize);
        let occupied_blocks = device.upload(&blocks).unwrap();
        let value = device.upload(&Random::new(35).f32s(64 * bits.len(), 0.0, 2.0)).unwrap();
        let args = OccupancyRaysArgs {
            march: MarchArgs {
                rays: chunk.ray_args(),
                samples: chunk.samples.args(),
                occupancy: occupancy.ptr(),
                occupied_blocks: occupied_blocks.ptr(),
                resolution,
                cascades,
                round: 0,
                max_steps: 0,
                steps: Steps { size: 0.01, cone_angle: 1.0 / 64.0, largest: 0.1, inverse_far: 0.5 },
                space,
            },
            value: value.ptr(),
            pixel: 1.0 / 15.0,
        };
        device.launch_chunk(&kernels::OCCUPANCY_RAYS, &args, LaunchDims::items(RAYS)).unwrap();
        let transmittance = get(&chunk.rays.transmittance);
        let met = transmittance[..RAYS].iter().filter(|&&transmittance| transmittance == 0.0).count();
        assert!((20..=RAYS).contains(&met), "{met} rays meet a cell");
        outputs.exact("what is met", &transmittance[..RAYS]);
        outputs.rounded("depth", &get(&chunk.rays.depth), FP32);
        // Lines along edges are a fraction of a cell wide.
        outputs.rounded("color", &get(&chunk.rays.color), 2e-4);
    }
    outputs
}

/// Returns a resolution, and bits of which a third is set.
fn random_bits(random: &mut Random, cascades: u32) -> (u32, Vec<u64>) {
    let resolution = 32u32;
    let words = (cascades * resolution.pow(3) / 64) as usize;
    let bits = (0..words).map(|_| match random.bits() % 3 {
        0 => random.bits(),
        1 => random.bits() & random.bits() & random.bits(),
        _ => 0,
    });
    (resolution, bits.collect())
}

/// Several rounds through a grid of which a third is occupied: in the unit cube, with two cascades, and in a contracted
/// space. Samples are reported ray by ray, because their positions in the buffers depend on which warp reserves space
/// first.
pub fn march_rays(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    let contraction = Space { map: SpaceMap::Contraction as u32, ..Space::default() };
    for (cascades, cone_angle, space) in
        [(1, 0.0, Space::default()), (2, 1.0 / 64.0, Space::default()), (1, 1.0 / 64.0, contraction)]
    {
        let capacity = 40_000;
        let chunk = marched(device, cascades, cone_angle, space, capacity);
        let count = get(&chunk.samples.count)[3] as usize;
        assert!(count > 2000 && count < capacity, "{count} samples: the case tests something");
        outputs.exact("samples", &[count as u32]);
        let begin = get(&chunk.rays.segment_begin);
        let segment_count = get(&chunk.rays.segment_count);
        let (t, dt, ray, position) =
            (get(&chunk.samples.t), get(&chunk.samples.dt), get(&chunk.samples.ray), get(&chunk.samples.position));
        let (mut ts, mut dts, mut positions) = (Vec::new(), Vec::new(), Vec::<f32>::new());
        for segment in 0..3 * chunk.rays.capacity {
            let first = begin[segment] as usize;
            for s in first..first + segment_count[segment] as usize {
                assert_eq!(ray[s] as usize, segment % chunk.rays.capacity);
                ts.push(t[s]);
                dts.push(dt[s]);
                positions.extend(&position[3 * s..3 * s + 3]);
            }
        }
        assert_eq!(ts.len(), count, "every sample belongs to a ray");
        outputs.exact("samples of each ray", &segment_count);
        outputs.rounded("t", &ts, FP32);
        outputs.rounded("dt", &dts, FP32);
        outputs.rounded("position", &positions, FP32);
        outputs.rounded("where rays go on", &get(&chunk.rays.t), FP32);
    }
    outputs.append(overfull(device));
    outputs
}

/// Too small a capacity: which rays are dropped depends on the order of the threads, but the result is always
/// well-formed.
fn overfull(device: &Device) -> Outputs {
    let capacity = 1500;
    let chunk = marched(device, 1, 0.0, Space::default(), capacity);
    let (begin, segment_count) = (get(&chunk.rays.segment_begin), get(&chunk.rays.segment_count));
    let (t, dt) = (get(&chunk.rays.t), get(&chunk.samples.dt));
    let mut covered = vec![0; capacity];
    for segment in 0..3 * chunk.rays.capacity {
        for s in begin[segment]..begin[segment] + segment_count[segment] {
            covered[s as usize] += 1;
            let dropped = t[segment % chunk.rays.capacity] == -2.0;
            assert!(dropped || dt[s as usize] > 0.0, "a ray that was not dropped has all its samples");
        }
    }
    assert!(covered.iter().all(|&n| n == 1), "every slot belongs to exactly one ray");
    assert!(t.contains(&-2.0));
    let mut outputs = Outputs::new();
    outputs.exact("samples", &[get(&chunk.samples.count)[3].min(capacity as u32)]);
    outputs
}

fn marched(device: &Device, cascades: u32, cone_angle: f32, space: Space, capacity: usize) -> Chunk {
    let mut random = Random::new(33);
    let mut chunk = chunk(device, capacity);
    let room = chunk.rays.capacity;
    let (mut origin, mut direction) = (vec![0.0; 3 * room], vec![0.0; 3 * room]);
    for ray in 0..RAYS {
        let towards = random.direction();
        for k in 0..3 {
            origin[k * room + ray] = random.between(0.1, 0.9) as f32;
            direction[k * room + ray] = towards[k] as f32;
        }
    }
    set(&mut chunk.rays.origin, &origin);
    set(&mut chunk.rays.direction, &direction);
    let begin: Vec<f32> =
        (0..room).map(|ray| if ray % 7 == 3 { -1.0 } else { random.between(0.0, 0.1) as f32 }).collect();
    set(&mut chunk.rays.t, &begin);
    let longest = if space.map == 2 { 20.0 } else { 1.2 };
    set(&mut chunk.rays.t_end, &random.f32s(room, 0.2, longest));
    let (resolution, bits) = random_bits(&mut random, cascades);
    let occupancy = device.upload(&bits).unwrap();
    let occupied_blocks = device.upload(&occupied_blocks(&bits, resolution as usize, cascades as usize)).unwrap();
    for (round, max_steps) in [8, 16, 24].into_iter().enumerate() {
        let args = MarchArgs {
            rays: chunk.ray_args(),
            samples: chunk.samples.args(),
            occupancy: occupancy.ptr(),
            occupied_blocks: occupied_blocks.ptr(),
            resolution,
            cascades,
            round: round as u32,
            max_steps,
            steps: Steps { size: 0.01, cone_angle, largest: if space.map == 2 { 50.0 } else { 0.1 }, inverse_far: 0.5 },
            space,
        };
        device.launch_chunk(&kernels::MARCH_RAYS, &args, LaunchDims::items(RAYS)).unwrap();
        // Limits the count, as compositing does between rounds.
        let mut count = get(&chunk.samples.count);
        count[round + 1] = count[round + 1].min(capacity as u32);
        count[round + 2] = count[round + 1];
        set(&mut chunk.samples.count, &count);
    }
    chunk
}

/// Returns one bit for each non-zero word of the occupancy bits, in words of 4 × 4 × 4.
fn occupied_blocks(bits: &[u64], resolution: usize, cascades: usize) -> Vec<u64> {
    let (blocks, groups) = (resolution / 4, resolution / 16);
    let mut words = vec![0; cascades * groups.pow(3)];
    for (block, _) in bits.iter().enumerate().filter(|(_, word)| **word != 0) {
        let (x, y, z) = (block % blocks, block / blocks % blocks, block / (blocks * blocks));
        words[x / 4 + groups * (y / 4 + groups * (z / 4))] |= 1 << (x % 4 + 4 * (y % 4) + 16 * (z % 4));
    }
    words
}
