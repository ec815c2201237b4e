//! Points drawn on, near and around meshes, and measurements made with them.

use gridfield::device::args::BvhArgs;
use gridfield::device::{Device, LaunchDims, Ptr, kernels};
use gridfield::mesh::{Bvh, Scatter};
use gridfield::metrics::{Measured, compare_surfaces, intersection_over_union};

on_every_target!(points_spread_over_the_area, points_near_the_surface_are_within_their_bound, points_fill_the_cube);

fn points_spread_over_the_area(device: &Device) {
    let mesh = crate::shapes::torus(8);
    let bvh = Bvh::new(device, &mesh).unwrap();
    let n = 20_000;
    let drawn = bvh.sampler(device, &mesh).unwrap().on_surface(device, n, 1).unwrap();
    let nearest = bvh.nearest(&drawn.points).unwrap();
    assert!(nearest.distance.iter().all(|&distance| distance < 1e-6));
    // Stratified sampling: a triangle's count deviates from its share by at most the two strata at its ends.
    let mut counts = vec![0i32; mesh.triangles.len()];
    drawn.triangles.iter().for_each(|&triangle| counts[triangle as usize] += 1);
    let corners = |triangle: usize| mesh.corners(triangle).map(|c| c.map(f64::from));
    let area = |triangle: usize| {
        let [a, b, c] = corners(triangle);
        let (u, v): ([f64; 3], [f64; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
        let cross: [f64; 3] =
            std::array::from_fn(|k| u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3]);
        0.5 * cross.iter().map(|x| x * x).sum::<f64>().sqrt()
    };
    for (triangle, &count) in counts.iter().enumerate() {
        let expected = n as f64 * area(triangle) / mesh.area();
        assert!((f64::from(count) - expected).abs() <= 2.0, "{count} points on {triangle}, {expected} expected");
    }
    // Within a triangle points are uniform: their mean is the centroid.
    let (mut sums, largest) = ([0.0; 3], (0..counts.len()).max_by_key(|&t| counts[t]).unwrap());
    let own = drawn.points.iter().zip(&drawn.triangles).filter(|(_, t)| **t as usize == largest);
    own.for_each(|(point, _)| (0..3).for_each(|k| sums[k] += f64::from(point[k]) / f64::from(counts[largest])));
    let side = area(largest).sqrt();
    for k in 0..3 {
        let middle = corners(largest).iter().map(|corner| corner[k]).sum::<f64>() / 3.0;
        assert!((sums[k] - middle).abs() < 0.1 * side, "{} instead of {middle}", sums[k]);
    }
}

fn points_near_the_surface_are_within_their_bound(device: &Device) {
    let mesh = crate::shapes::sphere(4);
    let bvh = Bvh::new(device, &mesh).unwrap();
    let sampler = bvh.sampler(device, &mesh).unwrap();
    let n = 4000;
    let (position, bound) = (device.zeros::<f32>(3 * n).unwrap(), device.zeros::<f32>(n).unwrap());
    let distance = device.zeros::<f32>(n).unwrap();
    let scatter = Scatter { seed: 1, step: 2, stream: 1, deviation: 0.01, n, first: 0 };
    let args = sampler.args(&scatter, position.ptr(), bound.ptr(), Ptr::NULL);
    device.launch(&kernels::SURFACE_POINTS, &args, LaunchDims::items(n)).unwrap();
    let args = BvhArgs { bound: bound.ptr(), distance: distance.ptr(), ..bvh.query(position.ptr(), n) };
    device.launch(&kernels::BVH_DISTANCE, &args, LaunchDims::tiles(n)).unwrap();
    let points: Vec<[f32; 3]> = position.download().unwrap().as_chunks().0.to_vec();
    let (bound, bounded) = (bound.download().unwrap(), distance.download().unwrap());
    let free = bvh.nearest(&points).unwrap().distance;
    assert!(free.iter().zip(&bound).all(|(free, bound)| *free <= bound + 1e-6));
    assert!(
        free.iter().zip(&bounded).all(|(free, bounded)| (free - bounded).abs() <= 2e-6),
        "the bound changes no distance"
    );
    // A logistic variable of scale s has the mean absolute value 2 ln 2 s; here over three axes, partly off the surface
    // and partly along it.
    let mean = free.iter().sum::<f32>() / n as f32;
    assert!((mean - 0.0139).abs() < 0.0015, "{mean}");
}

/// About 10^8 numbers, so that even the rarest bit patterns occur.
#[test]
fn points_near_the_surface_stay_in_the_cube() {
    let (device, mesh) = (crate::common::host(), crate::shapes::sphere(4));
    let sampler = Bvh::new(&device, &mesh).unwrap().sampler(&device, &mesh).unwrap();
    let n = 1 << 20;
    let (position, bound) = (device.zeros::<f32>(3 * n).unwrap(), device.zeros::<f32>(n).unwrap());
    for step in 0..32 {
        let scatter = Scatter { seed: 1, step, stream: 1, deviation: 0.05, n, first: 0 };
        let args = sampler.args(&scatter, position.ptr(), bound.ptr(), Ptr::NULL);
        device.launch(&kernels::SURFACE_POINTS, &args, LaunchDims::items(n)).unwrap();
        assert!(position.download().unwrap().iter().all(|x| (0.0..=1.0).contains(x)));
        assert!(bound.download().unwrap().iter().all(|&bound| bound < 17.0 * 0.05 * 1.74));
    }
}

fn points_fill_the_cube(device: &Device) {
    let mesh = crate::shapes::cube(1);
    let sampler = Bvh::new(device, &mesh).unwrap().sampler(device, &mesh).unwrap();
    let n = 4096;
    let points = sampler.in_cube(device, n, 3).unwrap();
    // Points are stratified into 4096 cells, except that they may fall past a stratum's end, so all cells of an eighth
    // of the side have equal counts.
    let mut counts = vec![0; 512];
    for point in &points {
        assert!(point.iter().all(|x| (0.0..1.0).contains(x)));
        let cell = point.map(|x| (x * 8.0) as usize);
        counts[cell[0] + 8 * (cell[1] + 8 * cell[2])] += 1;
    }
    assert!(counts.iter().all(|&count| count == 8), "{counts:?}");
    let others = sampler.in_cube(device, n, 4).unwrap();
    assert_ne!(points, others, "another seed gives other points");
}

#[test]
fn surfaces_apart_are_as_far_apart() {
    let host = crate::common::host();
    let (mesh, n) = (crate::shapes::sphere(24), 20_000);
    let bigger = mesh.clone().mapped([0.0; 3], |point| point.map(|x| 0.5 + (x - 0.5) * 1.01));
    let (one, other) = (Bvh::new(&host, &mesh).unwrap(), Bvh::new(&host, &bigger).unwrap());
    let (truth, fit) = (Measured::new(&mesh, &one), Measured::new(&bigger, &other));
    let same = compare_surfaces(&host, &truth, &truth, n, 0.6, 1e-3).unwrap();
    assert!(same.chamfer_l1 < 1e-6 && same.f_score == 1.0 && same.normal_consistency > 0.9999, "{same:?}");
    // 0.003 apart, and distances are in units of the diameter 0.6.
    let apart = compare_surfaces(&host, &fit, &truth, n, 0.6, 1e-3).unwrap();
    assert!((apart.chamfer_l1 - 0.005).abs() < 1e-4, "{apart:?}");
    assert!((apart.accuracy - apart.completeness).abs() < 1e-4);
    assert!(apart.f_score == 0.0 && apart.normal_consistency > 0.99, "{apart:?}");
    assert_eq!(compare_surfaces(&host, &fit, &truth, n, 0.6, 6e-3).unwrap().f_score, 1.0);
    // A quarter of the true surface is covered: what is there is accurate, and three quarters are missing.
    let mut quarter = mesh.clone();
    quarter.triangles.truncate(mesh.triangles.len() / 4);
    let bvh = Bvh::new(&host, &quarter).unwrap();
    let part = compare_surfaces(&host, &Measured::new(&quarter, &bvh), &truth, n, 0.6, 1e-3).unwrap();
    assert!(part.accuracy < 1e-6 && part.completeness > 0.1, "{part:?}");
    assert!((part.f_score - 0.4).abs() < 0.02, "2 · 1 · ¼ / (1 + ¼): {part:?}");
}

#[test]
fn volumes_are_compared_by_points() {
    let iou = |fit: &[bool], truth: &[bool]| intersection_over_union(fit.iter().copied(), truth.iter().copied());
    assert_eq!(iou(&[true, true, false, false], &[true, false, true, false]), 1.0 / 3.0);
    assert_eq!(iou(&[false], &[false]), 1.0);
    // Concentric spheres of radius 0.3 and 0.27: the ratio of their volumes.
    let host = crate::common::host();
    let mesh = crate::shapes::sphere(24);
    let smaller = mesh.clone().mapped([0.0; 3], |point| point.map(|x| 0.5 + (x - 0.5) * 0.9));
    let bvh = Bvh::new(&host, &mesh).unwrap();
    let points = bvh.sampler(&host, &mesh).unwrap().in_cube(&host, 1 << 16, 1).unwrap();
    let inside =
        |bvh: &Bvh| bvh.winding_numbers(&points, 3.0).unwrap().into_iter().map(|w| w > 0.5).collect::<Vec<_>>();
    let found = iou(&inside(&Bvh::new(&host, &smaller).unwrap()), &inside(&bvh));
    assert!((found - 0.729).abs() < 0.01, "{found}");
}
