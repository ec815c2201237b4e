//! `eval --protocol`: the published evaluation protocol, checked against the saved images.

use std::fs;
use std::path::Path;

use crate::binary::{ORRERY, TINY, printed, sentence, tiny_run, train_tiny};
use gridfield::metrics::ssim;
use gridfield::scene::Scene;
use serde_json::Value;

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the channels of an image that an evaluation of `folder`'s run saved.
fn saved(folder: &Path, name: &str) -> Vec<u8> {
    image::open(tiny_run(folder).join("renders/eval-test").join(name)).unwrap().to_rgb8().into_raw()
}

/// Returns the PSNR in dB between 8-bit images.
fn psnr_of_bytes(a: &[u8], b: &[u8]) -> f64 {
    let squares: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    -10.0 * (squares as f64 / a.len() as f64 / 255.0 / 255.0).log10()
}

#[test]
fn figures_by_the_published_protocol_are_those_of_the_pictures_in_8_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A run that was trained over black is nevertheless evaluated over white.
    train_tiny(folder, &["--max-steps=40", "--set=train.background=black", "--quiet"]);
    let eval = ["eval", "latest", "--max-images=2", "--save-images", "--threads=2"];
    let over_white = printed(folder, &[&eval[..], &["--background=white", "--output=floats.json"]].concat());
    assert!(over_white.contains("unrounded"), "{over_white}");
    let rounded = saved(folder, "test_r_1.png");
    let said = printed(folder, &[&eval[..], &["--protocol=nerfbaselines"]].concat());
    assert!(said.contains("nerfbaselines") && said.contains("2 test"), "{said}");

    let (floats, report) = (read_json(&folder.join("floats.json")), read_json(&tiny_run(folder).join("eval.json")));
    assert_eq!((&floats["protocol"], &floats["background"]), (&"unrounded".into(), &"white".into()));
    assert_eq!((&report["protocol"], &report["background"]), (&"nerfbaselines".into(), &"white".into()));
    assert_eq!((&report["n_images"], &report["split"]), (&2.into(), &"test".into()));

    let scene = Scene::open(Path::new(ORRERY)).unwrap();
    for (view, i) in scene.splits.test.iter().zip(0..2) {
        let truth: Vec<u8> =
            view.load(8).unwrap().over([1.0; 3]).iter().map(|value| (value * 255.0).floor() as u8).collect();
        let rendered = saved(folder, &format!("test_r_{i}.png"));
        let found = &report["per_image"][i];
        let psnr = found["psnr"].as_f64().unwrap();
        assert!((psnr - psnr_of_bytes(&rendered, &truth)).abs() < 1e-4, "{psnr}");
        assert!((psnr - floats["per_image"][i]["psnr"].as_f64().unwrap()).abs() > 1e-4, "truncation changes the PSNR");
        let of_steps = |bytes: &[u8]| bytes.iter().map(|&v| f64::from(v) / 255.0).collect::<Vec<_>>();
        let expected = ssim(&of_steps(&rendered), &of_steps(&truth), 20, 20).unwrap();
        assert!((found["ssim"].as_f64().unwrap() - expected).abs() < 1e-5, "{expected}");
    }
    // The saved image is the one that was compared: truncated values are never above the rounded ones, and about half
    // of them are below.
    let cut = saved(folder, "test_r_1.png");
    assert!(rounded.iter().zip(&cut).all(|(&rounded, &cut)| rounded - cut <= 1));
    let below = rounded.iter().zip(&cut).filter(|(rounded, cut)| rounded > cut).count();
    assert!((cut.len() / 5..cut.len() * 4 / 5).contains(&below), "{below} of {}", cut.len());
}

#[test]
fn a_protocol_and_what_contradicts_it_are_refused_together() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=1", "--quiet"]);
    let eval = ["eval", "latest", "--protocol=nerfbaselines", "--max-images=1"];
    let refused = sentence(folder.path(), &[&eval[..], &["--background=black"]].concat());
    assert_eq!(refused.trim_end(), "--protocol nerfbaselines is over white, leave --background away");
    assert!(!tiny_run(folder.path()).join("eval.json").exists());
    printed(folder.path(), &[&eval[..], &["--background=white", "--split=val"]].concat());
    assert_eq!(read_json(&tiny_run(folder.path()).join("eval.json"))["split"], "val");
}

#[test]
fn protocols_are_for_views() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_fn(24, 24, |x, y| image::Rgb([x as u8 * 10, y as u8 * 10, 90]))
        .save(folder.path().join("a.png"))
        .unwrap();
    let fit = ["fit-image", "a.png", "--max-steps=1", "--set=train.batch_samples=1024", "--quiet"];
    printed(folder.path(), &[&fit[..], &TINY[2..4], &["--device=cpu"]].concat());
    for protocol in ["unrounded", "nerfbaselines"] {
        let refused = sentence(folder.path(), &["eval", "latest", "--protocol", protocol]);
        assert!(refused.starts_with("--protocol is for radiance fields"), "{refused}");
    }
}
