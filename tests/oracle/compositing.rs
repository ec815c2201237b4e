//! Compositing of whole rays, and its gradients, against an independent float64 implementation
//! (`vectors/compositing.json`).

use crate::common::{assert_close, flatten};
use gridfield::device::args::CompositeRayArgs;
use gridfield::device::{Device, LaunchDims, kernels};
use serde_json::Value;

/// Sums of at most 17 terms in f64.
const TOLERANCE: f64 = 1e-12;
/// The oracle's derivatives are central differences and have errors of up to 5e-10.
const GRADIENT_TOLERANCE: f64 = 1e-9;

fn three(value: &Value) -> [f64; 3] {
    flatten(value).try_into().unwrap()
}

fn check(device: &Device, case: &Value) {
    let upload = |key: &str| device.upload(&flatten(&case[key])).unwrap();
    let (density, color, dt, t) = (upload("sigma"), upload("rgb"), upload("dt"), upload("t"));
    let n = density.len();
    let zeros = |len| device.zeros::<f64>(len).unwrap();
    let (weights, pixel, dl_ddensity, dl_dsample) = (zeros(n), zeros(6), zeros(n), zeros(3 * n));
    let args = CompositeRayArgs {
        density: density.ptr(),
        color: color.ptr(),
        dt: dt.ptr(),
        t: t.ptr(),
        background: three(&case["background"]),
        dl_dcolor: three(&case["upstream_color"]),
        weights: weights.ptr(),
        pixel: pixel.ptr(),
        dl_ddensity: dl_ddensity.ptr(),
        dl_dsample: dl_dsample.ptr(),
        n: n as u32,
    };
    device.launch(&kernels::COMPOSITE_RAY_F64, &args, LaunchDims::items(1)).unwrap();
    let pixel = pixel.download().unwrap();
    let same = |what: &str, found: &[f64]| assert_close(what, found, &flatten(&case[what]), TOLERANCE);
    same("weights", &weights.download().unwrap());
    same("color", &pixel[..3]);
    same("depth", &pixel[3..4]);
    same("opacity", &pixel[4..5]);
    same("transmittance", &pixel[5..]);
    for (what, found) in [("dL_dsigma", dl_ddensity), ("dL_drgb", dl_dsample)] {
        assert_close(what, &found.download().unwrap(), &flatten(&case[what]), GRADIENT_TOLERANCE);
    }
}

fn rays_of_1_4_and_17_samples_match_the_oracle(device: &Device) {
    let cases: Value = serde_json::from_str(include_str!("../vectors/compositing.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 3);
    cases.iter().for_each(|case| check(device, case));
}

on_every_target!(rays_of_1_4_and_17_samples_match_the_oracle,);
