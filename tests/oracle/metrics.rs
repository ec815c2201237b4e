//! PSNR and SSIM against an independent float64 implementation (`vectors/metrics.json`).

use gridfield::metrics::{psnr, ssim};
use serde_json::Value;

struct Case {
    width: usize,
    height: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    psnr: f64,
    ssim: f64,
}

fn flatten(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flatten).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

fn case() -> Case {
    let case: Value = serde_json::from_str(include_str!("../vectors/metrics.json")).unwrap();
    Case {
        height: case["a"].as_array().unwrap().len(),
        width: case["a"][0].as_array().unwrap().len(),
        a: flatten(&case["a"]),
        b: flatten(&case["b"]),
        psnr: case["psnr"].as_f64().unwrap(),
        ssim: case["ssim_gaussian_11"].as_f64().unwrap(),
    }
}

#[test]
fn psnr_and_ssim_match_the_oracle_in_double_precision() {
    let case = case();
    assert!((psnr(&case.a, &case.b) - case.psnr).abs() < 1e-11);
    assert!((ssim(&case.a, &case.b, case.width, case.height).unwrap() - case.ssim).abs() < 1e-12);
}

#[test]
fn single_precision_images_differ_only_by_their_rounding() {
    let case = case();
    let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    let (a, b) = (single(&case.a), single(&case.b));
    // Inputs are rounded by at most 3e-8 each; the sums are in f64.
    assert!((psnr(&a, &b) - case.psnr).abs() < 1e-6);
    assert!((ssim(&a, &b, case.width, case.height).unwrap() - case.ssim).abs() < 1e-7);
}
