//! Spherical harmonics against an independent float64 implementation (`vectors/spherical_harmonics.json`), and what
//! lower degrees omit.

use crate::common::{assert_close, flatten};
use gridfield::device::args::{MAX_HARMONICS, SphereArgs};
use gridfield::device::{Device, LaunchDims, kernels};
use serde_json::Value;

/// Polynomials of degree 5 in f64.
const TOLERANCE: f64 = 1e-14;

/// Returns the values, `[n, MAX_HARMONICS]`.
fn harmonics(device: &Device, directions: &[f64], degree: u32) -> Vec<f64> {
    let n = directions.len() / 3;
    let (direction, basis) = (device.upload(directions).unwrap(), device.zeros(MAX_HARMONICS * n).unwrap());
    let args = SphereArgs { direction: direction.ptr(), basis: basis.ptr(), degree };
    device.launch(&kernels::SPHERICAL_HARMONICS_F64, &args, LaunchDims::items(n)).unwrap();
    basis.download().unwrap()
}

fn vectors() -> (Vec<f64>, Vec<f64>) {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/spherical_harmonics.json")).unwrap();
    (flatten(&vectors["direction"]), flatten(&vectors["basis"]))
}

fn the_basis_to_degree_6_matches_the_oracle(device: &Device) {
    let (directions, expected) = vectors();
    assert_close("basis", &harmonics(device, &directions, 6), &expected, TOLERANCE);
}

fn a_lower_degree_keeps_its_bands_and_leaves_zeros(device: &Device) {
    let (directions, whole) = vectors();
    for degree in 1..6u32 {
        let kept = (degree * degree) as usize;
        let expected: Vec<f64> =
            whole.iter().enumerate().map(|(i, &value)| if i % MAX_HARMONICS < kept { value } else { 0.0 }).collect();
        assert_close("basis", &harmonics(device, &directions, degree), &expected, TOLERANCE);
    }
}

on_every_target!(the_basis_to_degree_6_matches_the_oracle, a_lower_degree_keeps_its_bands_and_leaves_zeros,);
