//! Ray marching against a brute-force version that visits every step of the lattice: samples are taken exactly where
//! the bit of the step's cell is set, no matter what is skipped in between, also over several rounds; and rays that
//! exceed the capacity are dropped completely.
//!
//! The brute-force version runs in f64. If the middle of a step is within rounding of a cell face, the two versions may
//! see different cells, and either result is accepted. Such steps are few, and the tests count them.

use crate::common::Random;
use gridfield::config::MarchConfig;
use gridfield::device::args::{self, CompositeArgs, MarchArgs, OccupancyRaysArgs};
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::radiance::{Chunk, ChunkSize, Occupancy};

/// f32 rounding of coordinates up to 4.
const ROUNDING: f64 = 2e-6;

/// Beyond this distance, steps in a contracted space grow with the square of the distance.
const FAR: f32 = 2.0;

#[derive(Clone, Copy)]
struct Space {
    resolution: u32,
    cascades: u32,
    step_size: f32,
    cone_angle: f32,
    max_step_size: f32,
    /// All of space in one cascade: mip-NeRF 360, equation 10, with the largest ball in the unit cube as the unit ball.
    contracted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Ray {
    origin: [f32; 3],
    direction: [f32; 3],
    t: f32,
    t_end: f32,
}

/// A step of the lattice, and whether its cell is occupied; None within rounding of a face.
struct Step {
    middle: f64,
    dt: f64,
    occupied: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    t: f32,
    dt: f32,
    position: [f32; 3],
}

impl Space {
    fn constant(resolution: u32, cascades: u32, step_size: f32) -> Self {
        Space { resolution, cascades, step_size, cone_angle: 0.0, max_step_size: 1.0, contracted: false }
    }

    /// Returns the occupancy grid of this shape with these bits.
    fn occupancy(&self, device: &Device, bits: &[u64]) -> Occupancy {
        let config =
            MarchConfig { occupancy_resolution: self.resolution, cascades: self.cascades, ..MarchConfig::default() };
        let mut occupancy = Occupancy::full(device, &config).unwrap();
        occupancy.bits.upload(0, bits).unwrap();
        occupancy.renew_blocks(device).unwrap();
        occupancy
    }

    fn side(&self) -> f64 {
        f64::from(1u32 << (self.cascades - 1))
    }

    /// Returns the position in the field, whose box is [0, 1]^3.
    fn field(&self, point: [f64; 3]) -> [f64; 3] {
        if !self.contracted {
            return point.map(|x| (x - 0.5) / self.side() + 0.5);
        }
        let ball = point.map(|x| 2.0 * (x - 0.5));
        let radius = ball.iter().map(|x| x * x).sum::<f64>().sqrt();
        let shrink = if radius <= 1.0 { 1.0 } else { (2.0 - 1.0 / radius) / radius };
        ball.map(|x| 0.5 + shrink * x / 4.0)
    }

    /// Returns the factor between a step's length and the length it counts for: in a contracted field, its contracted
    /// length along the radius.
    fn slope(&self, point: [f64; 3]) -> f64 {
        let radius = 2.0 * point.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>().sqrt();
        if self.contracted && radius > 1.0 { radius.powi(-2) } else { 1.0 }
    }

    fn n_cells(&self) -> usize {
        self.cascades as usize * (self.resolution as usize).pow(3)
    }

    fn step_at(&self, t: f64) -> f64 {
        let square = if self.contracted { (t / f64::from(FAR)).max(1.0) } else { 1.0 };
        (t * f64::from(self.cone_angle) * square).clamp(f64::from(self.step_size), f64::from(self.max_step_size))
    }

    /// Returns the bit of the cell that contains the point, in the smallest cascade around it; None within `rounding`
    /// of a face.
    fn occupied(&self, bits: &[u64], point: [f64; 3], rounding: f64) -> Option<bool> {
        let point = if self.contracted { self.field(point) } else { point };
        let reach = point.iter().fold(0.0f64, |reach, x| reach.max((x - 0.5).abs()));
        let cascade = (0..self.cascades - 1).find(|&m| reach <= 0.5 * f64::from(1 << m)).unwrap_or(self.cascades - 1);
        let side = f64::from(1u32 << cascade);
        let cells = point.map(|x| ((x - 0.5) / side + 0.5) * f64::from(self.resolution));
        if cells.iter().any(|x| (x - x.round()).abs() * side < rounding * f64::from(self.resolution)) {
            return None;
        }
        let cell = cells.map(|x| x as usize);
        let blocks = self.resolution as usize / 4;
        let block = cell[0] / 4 + blocks * (cell[1] / 4 + blocks * (cell[2] / 4 + blocks * cascade as usize));
        let bit = cell[0] % 4 + 4 * (cell[1] % 4) + 16 * (cell[2] % 4);
        Some(bits[block] >> bit & 1 == 1)
    }

    /// Returns all steps of a ray.
    fn lattice(&self, bits: &[u64], ray: &Ray) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut t = f64::from(ray.t);
        loop {
            let dt = self.step_at(t);
            let middle = t + 0.5 * dt;
            // t is a sum, rounded at every step.
            let rounding = ROUNDING + 3e-8 * t * steps.len() as f64;
            let past_end = middle - f64::from(ray.t_end);
            if past_end > rounding {
                return steps;
            }
            let point = std::array::from_fn(|k| f64::from(ray.origin[k]) + middle * f64::from(ray.direction[k]));
            let occupied = if past_end > -rounding { None } else { self.occupied(bits, point, rounding) };
            steps.push(Step { middle, dt, occupied });
            t += dt;
        }
    }

    /// Returns the ray with its entry and exit for the box of all cascades, by the slab test in f64; None if it misses.
    fn enter(&self, origin: [f32; 3], direction: [f32; 3]) -> Option<Ray> {
        let (mut enter, mut leave) = (0.0f64, f64::MAX);
        for k in 0..3 {
            let (o, d) = (f64::from(origin[k]), f64::from(direction[k]));
            let (low, high) = (0.5 - 0.5 * self.side(), 0.5 + 0.5 * self.side());
            if d == 0.0 && !(low..=high).contains(&o) {
                return None;
            }
            if d != 0.0 {
                enter = enter.max(((low - o) / d).min((high - o) / d));
                leave = leave.min(((low - o) / d).max((high - o) / d));
            }
        }
        (enter < leave).then_some(Ray { origin, direction, t: enter as f32, t_end: leave as f32 })
    }
}

/// Returns rays from inside and outside the box; every third is parallel to a plane, every sixth to an axis.
fn random_rays(space: &Space, n: usize, random: &mut Random) -> Vec<Ray> {
    let mut rays = Vec::new();
    while rays.len() < n {
        let number = rays.len();
        let reach = 1.2 * space.side();
        let origin = std::array::from_fn(|_| (0.5 + random.between(-reach, reach)) as f32);
        let mut direction = random.direction();
        if number.is_multiple_of(3) {
            direction[random.below(3)] = 0.0;
        }
        if number.is_multiple_of(6) {
            direction = [0.0; 3];
            direction[random.below(3)] = random.sign();
        }
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let direction = direction.map(|x| (x / length) as f32);
        let unbounded = Ray { origin, direction, t: 0.0, t_end: 300.0 };
        let entered = if space.contracted { Some(unbounded) } else { space.enter(origin, direction) };
        if let Some(mut ray) = entered {
            ray.t += space.step_size * random.unit() as f32;
            rays.push(ray);
        }
    }
    rays
}

/// Sets bits with probability `share`, and leaves words empty with probability `empty_words`, as well as whole
/// stretches of words, so that there are cells, blocks and groups of blocks to skip.
fn random_bits(space: &Space, share: f64, empty_words: f64, random: &mut Random) -> Vec<u64> {
    let word = |random: &mut Random| (0..64).fold(0, |word, bit| word | u64::from(random.unit() < share) << bit);
    // Every second group of blocks along z is empty, at alternating positions from cascade to cascade.
    let layer = (space.resolution as usize / 4).pow(2);
    let n = space.n_cells() / 64;
    (0..n)
        .map(|i| {
            let cascade = i / (layer * space.resolution as usize / 4);
            let clear = empty_words > 0.5 && (i / layer / 4 + cascade).is_multiple_of(2);
            if clear || random.unit() < empty_words { 0 } else { word(random) }
        })
        .collect()
}

fn chunk(device: &Device, rays: &[Ray], samples: usize) -> Chunk {
    let n = rays.len();
    // A capacity larger than the number of rays, so that the columns' stride differs from that number.
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: n + 5, samples }).unwrap();
    chunk.n_rays = n;
    let capacity = chunk.rays.capacity;
    for (i, ray) in rays.iter().enumerate() {
        for axis in 0..3 {
            chunk.rays.origin.upload(axis * capacity + i, &[ray.origin[axis]]).unwrap();
            chunk.rays.direction.upload(axis * capacity + i, &[ray.direction[axis]]).unwrap();
        }
        chunk.rays.t.upload(i, &[ray.t]).unwrap();
        chunk.rays.t_end.upload(i, &[ray.t_end]).unwrap();
        chunk.rays.transmittance.upload(i, &[1.0]).unwrap();
    }
    chunk
}

fn march_args<'a>(
    chunk: &'a Chunk,
    space: &Space,
    occupancy: &'a Occupancy,
    round: u32,
    max_steps: u32,
) -> MarchArgs<'a> {
    MarchArgs {
        rays: chunk.ray_args(),
        samples: chunk.samples.args(),
        occupancy: occupancy.bits.ptr(),
        occupied_blocks: occupancy.blocks.ptr(),
        resolution: space.resolution,
        cascades: space.cascades,
        round,
        max_steps,
        steps: args::Steps {
            size: space.step_size,
            cone_angle: space.cone_angle,
            largest: space.max_step_size,
            inverse_far: if space.contracted { 1.0 / FAR } else { 0.0 },
        },
        space: args::Space { map: if space.contracted { 2 } else { 0 }, ..args::Space::default() },
    }
}

/// Marches the rays through rounds of `lengths` samples. Compositing only carries the counts from round to round.
fn march(device: &Device, chunk: &Chunk, space: &Space, bits: &[u64], lengths: &[u32]) {
    let occupancy = space.occupancy(device, bits);
    for (round, &max_steps) in lengths.iter().enumerate() {
        let round = round as u32;
        let args = march_args(chunk, space, &occupancy, round, max_steps);
        device.launch_chunk(&kernels::MARCH_RAYS, &args, LaunchDims::items(chunk.n_rays)).unwrap();
        let (rays, samples) = (chunk.ray_args(), chunk.samples.args());
        let args = CompositeArgs {
            rays,
            samples,
            round,
            stop_transmittance: 0.0,
            huber_delta: 0.1,
            losses: args::RayLosses::default(),
            space: args::Space::default(),
            exposure: Ptr::NULL,
            dl_dexposure: Ptr::NULL,
        };
        device.launch_chunk(&kernels::COMPOSITE_RAYS, &args, LaunchDims::items(chunk.n_rays)).unwrap();
    }
}

/// Returns the samples of each ray over `rounds`, in order.
fn samples(chunk: &Chunk, rounds: usize) -> Vec<Vec<Sample>> {
    let read = |buffer: &Buffer<f32>| buffer.download().unwrap();
    let (t, dt, position) = (read(&chunk.samples.t), read(&chunk.samples.dt), read(&chunk.samples.position));
    let rays = chunk.samples.ray.download().unwrap();
    let begins = chunk.rays.segment_begin.download().unwrap();
    let counts = chunk.rays.segment_count.download().unwrap();
    let segment = |ray: usize, round: usize| {
        let place = round * chunk.rays.capacity + ray;
        begins[place] as usize..(begins[place] + counts[place]) as usize
    };
    let sample = |ray: usize, s: usize| {
        assert_eq!(rays[s] as usize, ray, "sample {s} knows its ray");
        Sample { t: t[s], dt: dt[s], position: position[3 * s..3 * s + 3].try_into().unwrap() }
    };
    (0..chunk.n_rays)
        .map(|ray| (0..rounds).flat_map(|round| segment(ray, round)).map(|s| sample(ray, s)).collect())
        .collect()
}

/// Fails unless the samples are the occupied steps; returns the number of steps for which either result is accepted.
fn compare(space: &Space, ray: &Ray, steps: &[Step], samples: &[Sample]) -> usize {
    let mut samples = samples.iter().peekable();
    for step in steps {
        let taken = samples.next_if(|sample| (f64::from(sample.t) - step.middle).abs() < 0.05 * step.dt);
        let right = step.occupied.is_none_or(|occupied| occupied == taken.is_some());
        assert!(right, "{ray:?} at {}: occupied {:?}, taken {taken:?}", step.middle, step.occupied);
        let Some(sample) = taken else { continue };
        let along = |k: usize| f64::from(ray.origin[k]) + f64::from(sample.t) * f64::from(ray.direction[k]);
        let point = std::array::from_fn(along);
        let length = step.dt * space.slope(point);
        assert!((f64::from(sample.dt) - length).abs() < 1e-3 * length, "{ray:?}: {sample:?}");
        let expected = space.field(point);
        for (&position, expected) in sample.position.iter().zip(expected) {
            assert!((f64::from(position) - expected).abs() < ROUNDING, "{ray:?}: {sample:?}");
            assert!((0.0..=1.0).contains(&position), "{ray:?}: {sample:?}");
        }
    }
    assert!(samples.next().is_none(), "{ray:?} has samples off the lattice");
    steps.iter().filter(|step| step.occupied.is_none()).count()
}

fn check(device: &Device, space: &Space, bits: &[u64], lengths: &[u32], random: &mut Random) {
    let rays = random_rays(space, 120, random);
    let lattices: Vec<Vec<Step>> = rays.iter().map(|ray| space.lattice(bits, ray)).collect();
    let n_steps: usize = lattices.iter().map(Vec::len).sum();
    let chunk = chunk(device, &rays, n_steps);
    march(device, &chunk, space, bits, lengths);
    let unclear: usize = rays
        .iter()
        .zip(&lattices)
        .zip(samples(&chunk, lengths.len()))
        .map(|((ray, steps), samples)| compare(space, ray, steps, &samples))
        .sum();
    assert!(unclear * 10 < n_steps, "{unclear} of {n_steps} steps are within rounding of a face");
    let ends = chunk.rays.t.download().unwrap();
    assert!(ends[..rays.len()].iter().all(|&t| t == -1.0), "all rays reach their end");
}

/// A walk in small steps finds no occupied point before the place where a ray meets a cell in the picture of the grid, and
/// that place is occupied.
fn pictures_of_cells_show_the_first_that_is_occupied(device: &Device) {
    let mut random = Random::new(29);
    let contracted =
        Space { contracted: true, cone_angle: 1.0 / 64.0, max_step_size: 4.0, ..Space::constant(32, 1, 0.01) };
    for space in [Space::constant(32, 1, 0.01), Space::constant(64, 1, 0.003), Space::constant(32, 2, 0.01), contracted]
    {
        let bits = random_bits(&space, 0.1, 0.7, &mut random);
        let rays: Vec<Ray> = random_rays(&space, 90, &mut random)
            .into_iter()
            .map(|ray| Ray { t_end: ray.t_end.min(20.0), ..ray })
            .collect();
        let (chunk, occupancy) = (chunk(device, &rays, 1), space.occupancy(device, &bits));
        let args = OccupancyRaysArgs {
            march: march_args(&chunk, &space, &occupancy, 0, 0),
            value: occupancy.value.ptr(),
            pixel: 1e-3,
        };
        device.launch_chunk(&kernels::OCCUPANCY_RAYS, &args, LaunchDims::items(chunk.n_rays)).unwrap();
        let (depth, transmittance) =
            (chunk.rays.depth.download().unwrap(), chunk.rays.transmittance.download().unwrap());
        for (i, ray) in rays.iter().enumerate() {
            let at = |t: f64| {
                let point = std::array::from_fn(|k| f64::from(ray.origin[k]) + t * f64::from(ray.direction[k]));
                space.occupied(&bits, point, 2e-4)
            };
            let met = transmittance[i] == 0.0;
            let end = f64::from(if met { depth[i] } else { ray.t_end });
            // Where space is bent, the kernel goes by a tenth of a step.
            let stride = if space.contracted { 0.1 * space.step_at(end) } else { 0.0 };
            let step = |t: f64| 0.05 * space.step_at(t);
            let before = std::iter::successors(Some(f64::from(ray.t)), |t| Some(t + step(*t)));
            let mut missed = before.take_while(|t| t + 1e-3 + stride < end).filter(|&t| at(t) == Some(true));
            assert_eq!(missed.next(), None, "{ray:?} meets {met} at {end}");
            assert!(!met || at(end) != Some(false), "{ray:?} meets an empty cell at {end}");
        }
        let n_met = transmittance[..rays.len()].iter().filter(|&&t| t == 0.0).count();
        assert!((10..rays.len()).contains(&n_met), "{n_met} rays meet a cell");
    }
}

const ONE_ROUND: [u32; 1] = [1 << 16];

fn samples_are_the_occupied_steps_at_every_resolution(device: &Device) {
    let mut random = Random::new(21);
    for resolution in [16, 32, 64, 128] {
        for cascades in [1, 2] {
            let space = Space::constant(resolution, cascades, 0.004);
            let bits = random_bits(&space, 0.3, 0.6, &mut random);
            check(device, &space, &bits, &ONE_ROUND, &mut random);
        }
    }
}

fn sparse_and_dense_fields_are_sampled_alike(device: &Device) {
    let mut random = Random::new(22);
    let space = Space::constant(64, 1, 0.003);
    for (share, empty_words) in [(0.02, 0.9), (0.02, 0.0), (0.98, 0.0)] {
        let bits = random_bits(&space, share, empty_words, &mut random);
        check(device, &space, &bits, &ONE_ROUND, &mut random);
    }
}

fn an_empty_field_has_no_samples_and_a_full_one_every_step(device: &Device) {
    let mut random = Random::new(23);
    for cascades in [1, 3] {
        let space = Space::constant(16, cascades, 0.01);
        for word in [0, u64::MAX] {
            check(device, &space, &vec![word; space.n_cells() / 64], &ONE_ROUND, &mut random);
        }
    }
}

fn steps_larger_than_cells_are_sampled_alike(device: &Device) {
    let mut random = Random::new(24);
    let space = Space::constant(128, 1, 0.03);
    let bits = random_bits(&space, 0.5, 0.5, &mut random);
    check(device, &space, &bits, &ONE_ROUND, &mut random);
}

fn growing_steps_are_sampled_alike(device: &Device) {
    let mut random = Random::new(25);
    // Steps stay smaller than cells, so the position alone determines the cascade.
    let space = Space { cone_angle: 0.01, max_step_size: 0.03, ..Space::constant(32, 2, 0.004) };
    let bits = random_bits(&space, 0.3, 0.6, &mut random);
    check(device, &space, &bits, &ONE_ROUND, &mut random);
}

/// Rays bend in a contracted field: skipping empty cells must not skip occupied ones.
fn a_contracted_space_is_sampled_alike_to_its_rim(device: &Device) {
    let mut random = Random::new(29);
    for (resolution, empty_words) in [(16, 0.6), (64, 0.9), (32, 0.0)] {
        let space =
            Space { cone_angle: 0.02, max_step_size: 1e3, contracted: true, ..Space::constant(resolution, 1, 0.01) };
        let bits = random_bits(&space, 0.3, empty_words, &mut random);
        check(device, &space, &bits, &ONE_ROUND, &mut random);
    }
}

fn rounds_go_on_where_the_last_one_ended(device: &Device) {
    let mut random = Random::new(26);
    let space = Space::constant(32, 1, 0.01);
    let bits = random_bits(&space, 0.5, 0.3, &mut random);
    check(device, &space, &bits, &[1, 3, 8, 16, 1000], &mut random);
}

fn rays_that_missed_the_box_stay_as_they_are(device: &Device) {
    let space = Space::constant(16, 1, 0.01);
    let missed = Ray { origin: [2.0; 3], direction: [1.0, 0.0, 0.0], t: -1.0, t_end: -1.0 };
    let chunk = chunk(device, &[missed], 10);
    march(device, &chunk, &space, &[u64::MAX; 64], &[8]);
    assert_eq!(chunk.rays.t.download().unwrap()[0], -1.0);
    assert!(samples(&chunk, 1)[0].is_empty());
}

fn rays_that_find_no_room_are_dropped_and_the_others_kept_whole(device: &Device) {
    let mut random = Random::new(27);
    let space = Space::constant(16, 1, 0.01);
    let rays = random_rays(&space, 60, &mut random);
    let bits = vec![u64::MAX; space.n_cells() / 64];
    let room = 1500;
    let chunk = chunk(device, &rays, room);
    march(device, &chunk, &space, &bits, &[8, 16, 1000]);
    let ends = chunk.rays.t.download().unwrap();
    let found = samples(&chunk, 3);
    let mut kept = 0;
    for (i, ray) in rays.iter().enumerate() {
        if ends[i] == -2.0 {
            // Samples written before the capacity was exceeded have zero length, and so zero weight.
            assert!(found[i].iter().skip(24).all(|sample| sample.dt == 0.0));
        } else {
            compare(&space, ray, &space.lattice(&bits, ray), &found[i]);
            kept += 1;
        }
    }
    assert!((1..rays.len()).contains(&kept), "{kept} of {} rays are kept", rays.len());
    assert_eq!(chunk.samples.count.download().unwrap()[3], room as u32);
}

on_every_target!(
    rays_that_missed_the_box_stay_as_they_are,
    rays_that_find_no_room_are_dropped_and_the_others_kept_whole,
    samples_are_the_occupied_steps_at_every_resolution,
    sparse_and_dense_fields_are_sampled_alike,
    an_empty_field_has_no_samples_and_a_full_one_every_step,
    steps_larger_than_cells_are_sampled_alike,
    growing_steps_are_sampled_alike,
    a_contracted_space_is_sampled_alike_to_its_rim,
    rounds_go_on_where_the_last_one_ended,
    pictures_of_cells_show_the_first_that_is_occupied,
);
