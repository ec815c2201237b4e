//! Fitting images, from training to rendering, including user errors.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::{gridfield, printed, sentence, stderr, without_times};
use gridfield::config::ModelName;
use image::{DynamicImage, ImageBuffer, Rgb, RgbImage};
use serde_json::Value;

/// Settings that make a step take milliseconds.
const TINY: [&str; 8] = [
    "--set=train.batch_samples=2048",
    "--set=model.grid.log2_hashmap_size=10",
    "--set=model.grid.n_levels=6",
    "--set=optimizer.schedule.warmup_steps=0",
    "--run-name=tiny",
    "--device=cpu",
    "--threads=2",
    "--quiet",
];

/// Waves of several lengths, in [0, 1].
fn wave(x: u32, y: u32, c: u32) -> f32 {
    0.5 + 0.25 * (0.2 * x as f32 + c as f32).sin() + 0.2 * (0.31 * y as f32 - 0.1 * x as f32).cos()
}

fn picture() -> RgbImage {
    RgbImage::from_fn(60, 44, |x, y| Rgb([0, 1, 2].map(|c| (255.0 * wave(x, y, c)) as u8)))
}

/// Creates a folder with the picture as `image.png`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    picture().save(folder.path().join("image.png")).unwrap();
    folder
}

fn fit(folder: &Path, image: &str, args: &[&str]) -> String {
    printed(folder, &[&["fit-image", image], &TINY[..], args].concat())
}

fn run(folder: &Path, image: &str, model: &str) -> PathBuf {
    folder.join("outputs").join(image).join(model).join("tiny")
}

fn figures(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("eval.json")).unwrap()).unwrap()
}

/// Fits `image`, evaluates the run, and returns the PSNR.
fn psnr(folder: &Path, image: &str, model: &str, args: &[&str]) -> f64 {
    fit(folder, image, &[&["--model", model, "--max-steps=300"], args].concat());
    let run = run(folder, image.split('.').next().unwrap(), model);
    printed(folder, &["eval", run.to_str().unwrap(), "--device=cpu"]);
    figures(&run)["results"]["psnr"].as_f64().unwrap()
}

#[test]
fn every_model_fits_a_picture() {
    let folder = folder();
    let models = [
        ("hash", 33.0),
        ("mulfagrid", 33.0),
        ("cascade", 33.0),
        ("local", 33.0),
        ("cascade_local", 33.0),
        ("amplitude", 33.0),
        ("dense", 33.0),
        ("fourier", 28.0),
        ("points", 28.0),
        ("fourier_features", 34.0),
        ("fourier_net", 40.0),
        ("gabor_net", 40.0),
    ];
    let expected: Vec<_> = ModelName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(models.map(|(model, _)| model).as_slice(), expected, "every model, in order");
    for (model, least) in models {
        let own: &[&str] = match model {
            "fourier_features" => {
                &["--set=model.grid.n_levels=0", "--set=model.grid.waves.width=64", "--set=model.grid.waves.sigma=2"]
            }
            "fourier_net" | "gabor_net" => &[
                "--set=model.grid.n_levels=0",
                "--set=model.grid.waves.width=64",
                "--set=model.grid.waves.input_scale=16",
            ],
            "dense" => &["--set=model.grid.n_levels=1", "--set=model.grid.base_resolution=64"],
            "fourier" => &["--set=model.grid.n_levels=5", "--set=model.grid.base_resolution=32"],
            "points" => &["--set=model.grid.n_levels=1", "--set=model.grid.points.resolution=32"],
            _ => &[],
        };
        let psnr = psnr(folder.path(), "image.png", model, own);
        assert!(psnr > least, "{model}: {psnr} dB");
    }
}

#[test]
fn evaluation_and_pictures_are_as_documented() {
    let folder = folder();
    fit(folder.path(), "image.png", &["--max-steps=100", "--save-error-map"]);
    let run = run(folder.path(), "image", "hash");
    let at = |name: &str| run.join("renders").join(name);
    assert!(at("error.png").is_file(), "--save-error-map writes it");
    let path = run.to_str().unwrap();
    let said = printed(folder.path(), &["eval", path, "--save-images", "--device=cpu"]);
    assert!(said.contains("PSNR") && said.contains("comparison.png"), "{said}");
    let report = figures(&run);
    assert_eq!((&report["width"], &report["height"], &report["n_channels"]), (&60.into(), &44.into(), &3.into()));
    let parameters = report["results"]["n_parameters"].as_f64().unwrap();
    let ratio = report["results"]["compression_ratio"].as_f64().unwrap();
    assert!((ratio - f64::from(60 * 44 * 3) / (4.0 * parameters)).abs() < 1e-9);
    assert_eq!(image::image_dimensions(at("comparison.png")).unwrap(), (180, 44));

    // The reported PSNR is that of the written image, up to rounding to 8 bits.
    let fitted = image::open(at("fitted.png")).unwrap().into_rgb8();
    let squared = |(a, b): (&u8, &u8)| ((f64::from(*a) - f64::from(*b)) / 255.0).powi(2);
    let mse = fitted.as_raw().iter().zip(picture().as_raw()).map(squared).sum::<f64>() / (60.0 * 44.0 * 3.0);
    assert!((-10.0 * mse.log10() - report["results"]["psnr"].as_f64().unwrap()).abs() < 0.1);

    // A crop at the image's own resolution equals the same part of the whole image.
    let part = folder.path().join("part.png");
    let args = ["render", path, "--crop=10,4,30,20", "--device=cpu", "--output", part.to_str().unwrap()];
    printed(folder.path(), &args);
    let (part, whole) = (image::open(&part).unwrap().into_rgb8(), fitted);
    assert_eq!(part.dimensions(), (30, 20));
    for (x, y, pixel) in part.enumerate_pixels() {
        let near = pixel.0.iter().zip(whole.get_pixel(x + 10, y + 4).0).all(|(&a, b)| a.abs_diff(b) <= 1);
        assert!(near, "pixel {x}, {y}");
    }
    let wide = folder.path().join("wide.exr");
    printed(folder.path(), &["render", path, "--width=120", "--device=cpu", "--output", wide.to_str().unwrap()]);
    assert_eq!(image::image_dimensions(&wide).unwrap(), (120, 88));
    printed(folder.path(), &["render", path, "--device=cpu", "--output=pictures/"]);
    assert_eq!(image::image_dimensions(folder.path().join("pictures/image.png")).unwrap(), (60, 44));
}

#[test]
fn all_kinds_of_pixels_are_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, image: DynamicImage| image.save(folder.path().join(name)).unwrap();
    save("grey.png", DynamicImage::ImageLuma8(DynamicImage::ImageRgb8(picture()).into_luma8()));
    save("alpha.png", DynamicImage::ImageRgba8(DynamicImage::ImageRgb8(picture()).into_rgba8()));
    save("deep.tiff", DynamicImage::ImageRgb16(DynamicImage::ImageRgb8(picture()).into_rgb16()));
    save("photo.jpg", DynamicImage::ImageRgb8(picture()));
    let linear = ImageBuffer::from_fn(60, 44, |x, y| Rgb([0, 1, 2].map(|c| 0.1 + 2.0 * wave(x, y, c))));
    save("bright.exr", DynamicImage::ImageRgb32F(linear));
    for name in ["grey.png", "alpha.png", "deep.tiff", "photo.jpg", "bright.exr"] {
        let psnr = psnr(folder.path(), name, "hash", &[]);
        assert!(psnr > 30.0, "{name}: {psnr} dB");
    }
    let report = figures(&run(folder.path(), "bright", "hash"));
    assert!(report["results"]["relative_mse"].as_f64().unwrap() < 1e-2, "{report}");
}

#[test]
fn models_are_compared_at_equal_size() {
    let folder = folder();
    let args = ["compare-image", "image.png", "--models=hash,dense,gabor_net", "--parameters=2,4", "--max-seconds=1.5"];
    // Steps are small, so that a network without a grid takes enough of them in the time even on a busy machine.
    let said = printed(folder.path(), &[&args[..], &["--set=train.batch_samples=1024", "--device=cpu"]].concat());
    assert!(said.starts_with("model") && said.contains("dense"), "{said}");
    let at = |name: &str| folder.path().join("compare").join(name);
    let report: Value = serde_json::from_str(&fs::read_to_string(at("compare.json")).unwrap()).unwrap();
    let entries = report["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 6);
    for entry in entries {
        let (share, n) = (entry["share"].as_f64().unwrap(), entry["n_parameters"].as_f64().unwrap());
        // The network of a grid model, at most 7168 parameters, comes on top.
        let of_grid = if entry["model"] == "gabor_net" { n } else { n - 7168.0 };
        assert!(of_grid < 1.1 * share * 60.0 * 44.0 && n > 0.9 * share * 60.0 * 44.0, "{entry}");
        assert!(entry["psnr"].as_f64().unwrap() > 20.0, "{entry}");
        assert!(!entry["course"].as_array().unwrap().is_empty(), "{entry}");
    }
    assert_eq!(image::image_dimensions(at("errors-2.png")).unwrap(), (240, 44));
    assert!(fs::read_to_string(at("compare.svg")).unwrap().contains("4 parameters a pixel"));
    let error =
        sentence(folder.path(), &["compare-image", "image.png", "--set=model.network.n_neurons=7", "--device=cpu"]);
    assert!(error.contains("model.network.n_neurons"), "{error}");
}

#[test]
fn models_are_compared_with_several_seeds_for_equal_steps() {
    let folder = folder();
    let args =
        ["compare-image", "image.png", "--models=hash,cascade", "--parameters=2", "--max-steps=20", "--seeds=3,5"];
    let said = printed(folder.path(), &[&args[..], &["--set=train.batch_samples=2048", "--device=cpu"]].concat());
    assert_eq!(said.lines().filter(|line| line.contains(" ± ")).count(), 2, "{said}");
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("compare/compare.json")).unwrap()).unwrap();
    let entries = report["entries"].as_array().unwrap();
    let of = |key: &str| entries.iter().map(|entry| entry[key].clone()).collect::<Vec<Value>>();
    assert_eq!(of("seed"), [3, 5, 3, 5]);
    assert_eq!(of("steps"), [20; 4]);
    assert_ne!(entries[0]["psnr"], entries[1]["psnr"]);
    // As with one seed, the maps are the image and one for each model.
    assert_eq!(image::image_dimensions(folder.path().join("compare/errors-2.png")).unwrap(), (180, 44));
}

#[test]
fn models_that_no_width_makes_so_large_are_named() {
    let folder = folder();
    let args = ["compare-image", "image.png", "--parameters=2000", "--max-seconds=0.05", "--device=cpu"];
    let output = gridfield(folder.path(), &[&args[..], &["--set=train.batch_samples=2048"]].concat());
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for model in ["fourier_features", "fourier_net", "gabor_net"] {
        assert!(said.contains(&format!("{model} is left out at 2000 numbers a pixel: ")), "{said}");
    }
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("compare/compare.json")).unwrap()).unwrap();
    assert!(report["entries"].as_array().unwrap().iter().any(|entry| entry["model"] == "hash"), "{report}");
}

#[test]
fn resume_gives_the_same_bits_for_any_number_of_threads() {
    resumes_bit_for_bit("mulfagrid", &[]);
    resumes_bit_for_bit("cascade_local", &["--set=model.grid.local.n_frequencies=2"]);
}

/// With a moving average, and with steps of 65 chunks, which share gradient buffers in pairs.
#[test]
fn networks_without_a_grid_resume_bit_for_bit_for_any_number_of_threads() {
    for model in ["fourier_features", "fourier_net", "gabor_net"] {
        let own = ["model.grid.n_levels=0", "model.grid.waves.width=20", "model.grid.waves.depth=3"];
        let own = own.map(|setting| format!("--set={setting}"));
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        resumes_bit_for_bit(
            model,
            &[&own[..], &["--set=train.ema_decay=0.9", "--set=train.batch_samples=8300"]].concat(),
        );
    }
}

fn resumes_bit_for_bit(model: &str, settings: &[&str]) {
    let folder = folder();
    let checkpoint = |name: &str| {
        let run = run(folder.path(), "image", model).with_file_name(name);
        without_times(&run.join("checkpoints/step-000000030.safetensors"))
    };
    let model_flag = format!("--model={model}");
    let tiny = TINY.iter().copied().filter(|arg| !arg.contains("run-name") && !arg.contains("threads"));
    let args: Vec<&str> = ["fit-image", "image.png", &model_flag, "--max-steps=30"]
        .into_iter()
        .chain(tiny)
        .chain(settings.iter().copied())
        .collect();
    printed(folder.path(), &[&args[..], &["--run-name=once", "--threads=1"]].concat());
    printed(folder.path(), &[&args[..], &["--run-name=two", "--stop-after=13", "--threads=3"]].concat());
    let resume = format!("--resume=outputs/image/{model}/two");
    printed(folder.path(), &["fit-image", &resume, "--device=cpu", "--threads=2", "--quiet"]);
    let (once, two) = (checkpoint("once"), checkpoint("two"));
    assert_eq!(once.tensors, two.tensors);
    assert_eq!(once.header.trainer, two.header.trainer);
}

#[test]
fn checkpoints_of_networks_without_a_grid_hold_what_is_documented() {
    let folder = folder();
    let args = ["--set=model.grid.n_levels=0", "--set=model.grid.waves.width=20", "--set=model.grid.waves.depth=2"];
    for (model, expected) in [
        ("fourier_features", "B[20, 2] W_1[20, 40] W_2[3, 20] b_1[20] b_2[3]"),
        ("fourier_net", "W_1[20, 20] W_2[3, 20] b_1[20] b_2[3] omega_1[20, 2] omega_2[20, 2] phi_1[20] phi_2[20]"),
        (
            "gabor_net",
            "W_1[20, 20] W_2[3, 20] b_1[20] b_2[3] gamma_1[20] gamma_2[20] mu_1[20, 2] mu_2[20, 2] omega_1[20, 2] \
             omega_2[20, 2] phi_1[20] phi_2[20]",
        ),
    ] {
        fit(folder.path(), "image.png", &[&["--model", model, "--max-steps=2"], &args[..]].concat());
        let checkpoint =
            without_times(&run(folder.path(), "image", model).join("checkpoints/step-000000002.safetensors"));
        let mut own: Vec<String> = checkpoint
            .tensors
            .iter()
            .filter_map(|tensor| Some(format!("{}{:?}", tensor.name.strip_prefix("waves.")?, tensor.shape)))
            .collect();
        own.sort();
        assert_eq!(own.join(" "), expected, "{model}");
        let of_a_grid =
            |name: &str| name.starts_with("grid.") || name.contains("network.") || name.contains("optimizer.grid");
        assert!(!checkpoint.tensors.iter().any(|tensor| of_a_grid(&tensor.name)), "{model}");
    }
}

#[test]
fn networks_without_a_grid_are_refused_elsewhere() {
    let folder = folder();
    fs::write(folder.path().join("mesh.obj"), "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n").unwrap();
    let orrery = concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/orrery");
    for model in ["fourier_features", "fourier_net", "gabor_net"] {
        for task in [["train", orrery], ["fit-sdf", "mesh.obj"]] {
            let error = sentence(folder.path(), &[&task[..], &["--device=cpu", "--model", model]].concat());
            assert!(error.contains("references for images"), "{task:?}: {error}");
        }
    }
    let error =
        sentence(folder.path(), &["fit-image", "image.png", "--model=gabor_net", "--set=model.grid.waves.width=2000"]);
    assert!(error.contains("model.grid.waves.width is 2000"), "{error}");
    let error = sentence(folder.path(), &["compare-image", "image.png", "--models=fourier_net", "--parameters=4000"]);
    assert!(error.contains("model.grid.waves.width") && error.contains("from 16 to 1024"), "{error}");
    assert!(!folder.path().join("outputs").exists() && !folder.path().join("compare").exists(), "nothing was written");
}

#[test]
fn images_that_are_none() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let whole = fs::read(at("image.png")).unwrap();
    fs::write(at("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(at("text.png"), "no image").unwrap();
    fs::write(at("empty.tiff"), "").unwrap();
    let mut jpeg = Vec::new();
    DynamicImage::ImageRgb8(picture())
        .write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg)
        .unwrap();
    fs::write(at("cut.jpg"), &jpeg[..jpeg.len() - 40]).unwrap();
    let infinite = ImageBuffer::from_fn(8, 8, |x, _| Rgb([if x == 3 { f32::INFINITY } else { 0.5 }; 3]));
    DynamicImage::ImageRgb32F(infinite).save(at("infinite.exr")).unwrap();
    for (name, says) in [
        ("cut.png", "is not a whole PNG"),
        ("text.png", "is not a whole PNG"),
        ("empty.tiff", "is not a whole PNG"),
        ("cut.jpg", "truncated JPEG"),
        ("infinite.exr", "pixel at 3, 0 that is not a finite number"),
        ("missing.png", "there is no such image"),
    ] {
        let error = sentence(folder.path(), &["fit-image", name, "--device=cpu", "--max-steps=2"]);
        assert!(error.contains(name) && error.contains(says), "{error}");
        assert!(!at("outputs").exists(), "nothing was written: {error}");
    }
}

#[test]
fn flags_and_runs_of_another_task() {
    let folder = folder();
    fit(folder.path(), "image.png", &["--max-steps=3"]);
    let run = "outputs/image/hash/tiny";
    for (args, says) in [
        (&["train", "--resume", run, "--max-steps=9"][..], "gridfield fit-image"),
        (&["eval", run, "--split=val", "--device=cpu"], "--split is for radiance fields"),
        (&["render", run, "--path=orbit", "--device=cpu"], "--path is for fields in space"),
        (&["render", run, "--crop=50,0,20,20", "--device=cpu"], "reaches out of the image"),
        (&["render", run, "--output=film.mp4", "--device=cpu"], "written as .png or .exr"),
        (&["fit-image", "image.png", "--set=image.loss=l3", "--device=cpu"], "image.loss"),
    ] {
        let error = sentence(folder.path(), args);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let crop = gridfield(folder.path(), &["render", run, "--crop=1,2,3"]);
    assert!(crop.status.code() == Some(2) && stderr(&crop).contains("x,y,width,height"), "{}", stderr(&crop));
    RgbImage::new(20, 20).save(folder.path().join("image.png")).unwrap();
    let error = sentence(folder.path(), &["eval", run, "--device=cpu"]);
    assert!(error.contains("but the field was fitted to 60×44"), "{error}");
}
