//! Distances to a mesh and winding numbers.

use gridfield::device::args::BvhArgs;
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::mesh::{Bvh, Mesh};

use crate::common::Random;
use crate::compare::{Outputs, get};

/// Differences of coordinates around 1, squared and added.
const FP32: f64 = 2e-6;
const POINTS: usize = 300;

/// Returns triangles of many sizes around an empty centre, more than one node's children can hold.
fn mesh() -> Mesh {
    let mut random = Random::new(41);
    let mut mesh = Mesh::default();
    for _ in 0..500 {
        let first = mesh.vertices.len() as u32;
        let at: [f64; 3] = random.direction().map(|x| 0.5 + 0.3 * x);
        let size = random.between(0.001, 0.1);
        mesh.vertices.extend([(); 3].map(|()| at.map(|x| (x + random.between(-size, size)) as f32)));
        mesh.triangles.push([first, first + 1, first + 2]);
    }
    mesh
}

fn positions(device: &Device) -> Buffer<f32> {
    device.upload(&Random::new(42).f32s(3 * POINTS, 0.0, 1.0)).unwrap()
}

pub fn bvh_distance(device: &Device) -> Outputs {
    let bvh = Bvh::new(device, &mesh()).unwrap();
    let position = positions(device);
    let (distance, triangle) = (device.zeros::<f32>(POINTS).unwrap(), device.zeros::<u32>(POINTS).unwrap());
    let launch = |bound: Ptr<f32>| {
        let query = bvh.query(position.ptr(), POINTS);
        let args = BvhArgs { bound, distance: distance.ptr(), triangle: triangle.ptr(), ..query };
        device.launch(&kernels::BVH_DISTANCE, &args, LaunchDims::tiles(POINTS)).unwrap();
        (get(&distance), get(&triangle))
    };
    let (free, triangles) = launch(Ptr::NULL);
    // A valid bound changes nothing; a bound that is too low is returned itself.
    let bound = device.upload(&free).unwrap();
    let (bounded, same) = launch(bound.ptr());
    assert_eq!((&free, &triangles), (&bounded, &same));
    let half: Vec<f32> = free.iter().map(|distance| 0.5 * distance).collect();
    let (low, none) = launch(device.upload(&half).unwrap().ptr());
    assert!(none.iter().all(|&triangle| triangle == u32::MAX));
    let mut outputs = Outputs::new();
    outputs.rounded("distance", &free, FP32);
    outputs.rounded("distance below the bound", &low, FP32);
    // Two triangles may be equally near up to rounding, but almost none are.
    outputs.exact("triangle", &triangles);
    outputs
}

pub fn bvh_winding(device: &Device) -> Outputs {
    let bvh = Bvh::new(device, &mesh()).unwrap();
    let position = positions(device);
    let winding = device.zeros::<f32>(POINTS).unwrap();
    let distance = device.upload(&vec![1.0f32; POINTS]).unwrap();
    let query = bvh.query(position.ptr(), POINTS);
    let args = BvhArgs { distance: distance.ptr(), winding: winding.ptr(), accuracy: 2.0, ..query };
    device.launch(&kernels::BVH_WINDING, &args, LaunchDims::tiles(POINTS)).unwrap();
    let (winding, signs) = (get(&winding), get(&distance));
    assert!(winding.iter().zip(&signs).all(|(&w, &sign)| (w > 0.5) == (sign == -1.0)));
    let mut outputs = Outputs::new();
    // Sums of hundreds of terms, added in a different order.
    outputs.rounded("winding", &winding, 2e-5);
    outputs
}
