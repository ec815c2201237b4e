//! Checkpoints of earlier versions can be read.

use std::fs;

use crate::binary::{ORRERY, printed};

/// Mean PSNR of the first two test views, as version 0.1.0 measured it.
const PSNR_OF_0_1_0: f64 = 13.357;

/// A checkpoint that version 0.1.0 wrote is read, evaluated and rendered.
#[test]
fn checkpoints_of_the_version_before_still_load() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/checkpoints");
    let (radiance, gabor) =
        (format!("{vectors}/radiance-0.1.0.safetensors"), format!("{vectors}/gabor_net-0.1.0.safetensors"));
    let folder = tempfile::tempdir().unwrap();
    let cpu = ["--device=cpu", "--threads=2"];
    let said = printed(folder.path(), &["info", &radiance]);
    assert!(said.contains("hash") && said.contains("400"), "{said}");
    let output = folder.path().join("eval.json");
    let output = output.to_str().unwrap();
    let flags = ["--scene", ORRERY, "--max-images=2", "--output", output];
    printed(folder.path(), &[&["eval", &radiance], &flags[..], &cpu].concat());
    let figures: serde_json::Value = serde_json::from_str(&fs::read_to_string(output).unwrap()).unwrap();
    let psnr = figures["results"]["psnr"].as_f64().unwrap();
    assert!((psnr - PSNR_OF_0_1_0).abs() < 0.01, "{psnr} dB, but version 0.1.0 measured {PSNR_OF_0_1_0} dB");
    let said = printed(folder.path(), &["info", &gabor]);
    assert!(said.contains("gabor_net"), "{said}");
    printed(folder.path(), &[&["render", &gabor, "--output=gabor.png"], &cpu[..]].concat());
    assert!(folder.path().join("gabor.png").is_file());
}
