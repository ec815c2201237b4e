//! LPIPS against a plain re-implementation, its weights file and invalid ones, and `eval --lpips`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::binary::{gridfield, printed, sentence, stderr, train_tiny};
use crate::common::Random;
use gridfield::metrics::Lpips;
use gridfield::scene::Scene;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Number, outputs, inputs, side, stride and padding of a convolution, whether a pooling precedes it, and whether its
/// features are compared.
type Layer = (usize, usize, usize, usize, usize, usize, bool, bool);

const ALEX: [Layer; 5] = [
    (0, 64, 3, 11, 4, 2, false, true),
    (3, 192, 64, 5, 1, 2, true, true),
    (6, 384, 192, 3, 1, 1, true, true),
    (8, 256, 384, 3, 1, 1, false, true),
    (10, 256, 256, 3, 1, 1, false, true),
];

const VGG: [Layer; 13] = [
    (0, 64, 3, 3, 1, 1, false, false),
    (2, 64, 64, 3, 1, 1, false, true),
    (5, 128, 64, 3, 1, 1, true, false),
    (7, 128, 128, 3, 1, 1, false, true),
    (10, 256, 128, 3, 1, 1, true, false),
    (12, 256, 256, 3, 1, 1, false, false),
    (14, 256, 256, 3, 1, 1, false, true),
    (17, 512, 256, 3, 1, 1, true, false),
    (19, 512, 512, 3, 1, 1, false, false),
    (21, 512, 512, 3, 1, 1, false, true),
    (24, 512, 512, 3, 1, 1, true, false),
    (26, 512, 512, 3, 1, 1, false, false),
    (28, 512, 512, 3, 1, 1, false, true),
];

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Returns random weights under torchvision's names, of a size that keeps activations near 1.
fn random_weights(layers: &[Layer]) -> Tensors {
    let mut random = Random::new(3);
    let mut tensors = Tensors::new();
    let mut compared = 0;
    for &(number, n_out, n_in, side, _, _, _, is_compared) in layers {
        let n = n_out * n_in * side * side;
        let range = (6.0 / (n_in * side * side) as f64).sqrt();
        tensors.insert(format!("features.{number}.weight"), (vec![n_out, n_in, side, side], random.vector(n, range)));
        tensors.insert(format!("features.{number}.bias"), (vec![n_out], random.vector(n_out, 0.1)));
        if is_compared {
            let weights = random.f32s(n_out, 0.0, 1.0);
            tensors.insert(format!("lin{compared}.model.1.weight"), (vec![1, n_out, 1, 1], weights));
            compared += 1;
        }
    }
    tensors
}

fn save(folder: &Path, tensors: &Tensors) -> PathBuf {
    let path = folder.join("weights.safetensors");
    let views = tensors.iter().map(|(name, (shape, numbers))| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(numbers)).unwrap())
    });
    safetensors::serialize_to_file(views, None, &path).unwrap();
    path
}

/// Channels, height, width and values.
type Image = (usize, usize, usize, Vec<f64>);

fn convolve((_, height, width, values): &Image, layer: &Layer, tensors: &Tensors) -> Image {
    let &(number, n_out, n_in, side, stride, padding, ..) = layer;
    let weights = &tensors[&format!("features.{number}.weight")].1;
    let bias = &tensors[&format!("features.{number}.bias")].1;
    let extent = |length: usize| (length + 2 * padding - side) / stride + 1;
    let (rows, columns) = (extent(*height), extent(*width));
    let mut out = Vec::new();
    for (o, y, x) in (0..n_out * rows * columns).map(|k| (k / (rows * columns), k / columns % rows, k % columns)) {
        let mut sum = f64::from(bias[o]);
        for (dy, dx) in (0..side * side).map(|k| (k / side, k % side)) {
            let (row, column) = (y * stride + dy, x * stride + dx);
            if row < padding || column < padding || row - padding >= *height || column - padding >= *width {
                continue;
            }
            for i in 0..n_in {
                let value = values[(i * height + row - padding) * width + column - padding];
                sum += value * f64::from(weights[((o * n_in + i) * side + dy) * side + dx]);
            }
        }
        out.push(sum.max(0.0));
    }
    (n_out, rows, columns, out)
}

fn pool((channels, height, width, values): &Image, side: usize) -> Image {
    let (rows, columns) = ((height - side) / 2 + 1, (width - side) / 2 + 1);
    let largest = |k: usize| {
        let (c, y, x) = (k / (rows * columns), k / columns % rows, k % columns);
        let places = (0..side * side).map(|k| (c * height + 2 * y + k / side) * width + 2 * x + k % side);
        places.map(|place| values[place]).fold(f64::MIN, f64::max)
    };
    (*channels, rows, columns, (0..channels * rows * columns).map(largest).collect())
}

/// Computes equation 1 of the paper, literally.
fn plain(layers: &[Layer], tensors: &Tensors, side_of_pool: usize, images: [&[f32]; 2], size: (usize, usize)) -> f64 {
    let (width, height) = size;
    let shift = [-0.030, -0.088, -0.188];
    let scale = [0.458, 0.448, 0.450];
    let planes = |image: &[f32]| -> Image {
        let at = |k: usize| {
            let (c, pixel) = (k / (width * height), k % (width * height));
            (2.0 * f64::from(image[3 * pixel + c]) - 1.0 - shift[c]) / scale[c]
        };
        (3, height, width, (0..3 * width * height).map(at).collect())
    };
    let mut pair = images.map(planes);
    let (mut distance, mut compared) = (0.0, 0);
    for layer in layers {
        pair = pair.map(|image| {
            let pooled = if layer.6 { pool(&image, side_of_pool) } else { image };
            convolve(&pooled, layer, tensors)
        });
        if layer.7 {
            let weights = &tensors[&format!("lin{compared}.model.1.weight")].1;
            compared += 1;
            let (channels, rows, columns, _) = pair[0];
            let area = rows * columns;
            for pixel in 0..area {
                let [a, b] = [0, 1].map(|k| {
                    let features: Vec<f64> = (0..channels).map(|c| pair[k].3[c * area + pixel]).collect();
                    let length = features.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-10;
                    features.into_iter().map(|x| x / length).collect::<Vec<f64>>()
                });
                let terms = (0..channels).map(|c| f64::from(weights[c]) * (a[c] - b[c]).powi(2));
                distance += terms.sum::<f64>() / area as f64;
            }
        }
    }
    distance
}

fn assert_agrees(layers: &[Layer], side_of_pool: usize, size: (usize, usize), least_side: usize) {
    let folder = tempfile::tempdir().unwrap();
    let tensors = random_weights(layers);
    let lpips = Lpips::read(&save(folder.path(), &tensors)).unwrap();
    let mut random = Random::new(4);
    let n = 3 * size.0 * size.1;
    let (a, b) = (random.f32s(n, 0.0, 1.0), random.f32s(n, 0.0, 1.0));
    let found = lpips.distance(&a, &b, size.0, size.1).unwrap();
    let expected = plain(layers, &tensors, side_of_pool, [&a, &b], size);
    assert!((found / expected - 1.0).abs() < 1e-4 && expected > 0.05, "{found}, expected {expected}");
    assert_eq!(lpips.distance(&a, &a, size.0, size.1), Some(0.0));
    assert_eq!(lpips.least_side(), least_side);
    let small = 3 * least_side * (least_side - 1);
    assert_eq!(lpips.distance(&a[..small], &b[..small], least_side, least_side - 1), None);
}

#[test]
fn distances_by_alexnet_are_those_of_the_plain_formula() {
    assert_agrees(&ALEX, 3, (39, 35), 31);
}

#[test]
fn distances_by_vgg_are_those_of_the_plain_formula() {
    assert_agrees(&VGG, 2, (19, 17), 16);
}

/// Renames the tensors as in the state dict of `lpips.LPIPS(net="alex")`.
fn as_saved_by_lpips(tensors: Tensors) -> Tensors {
    let slices = [(0, 1), (3, 2), (6, 3), (8, 4), (10, 5)];
    let renamed = tensors.into_iter().map(|(name, tensor)| {
        let slice = slices.iter().find(|(number, _)| name.starts_with(&format!("features.{number}.")));
        let name = slice.map_or(name.clone(), |(_, slice)| name.replace("features", &format!("net.slice{slice}")));
        (name, tensor)
    });
    renamed.collect()
}

#[test]
fn weights_are_told_by_their_names_and_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = as_saved_by_lpips(random_weights(&ALEX));
    assert_eq!(Lpips::read(&save(folder.path(), &tensors)).unwrap().backbone.as_str(), "alex");
    let sentence = |tensors: &Tensors| Lpips::read(&save(folder.path(), tensors)).err().unwrap().to_string();
    let taken = tensors.remove("lin2.model.1.weight").unwrap();
    assert!(sentence(&tensors).contains("holds no tensor lin2.weight; docs/formats.md"), "{}", sentence(&tensors));
    tensors.insert("lin2.weight".to_owned(), (vec![384], taken.1));
    Lpips::read(&save(folder.path(), &tensors)).unwrap();
    tensors.get_mut("net.slice4.8.bias").unwrap().1[3] = f32::NAN;
    assert!(sentence(&tensors).contains("its tensor net.slice4.8.bias holds NaN"), "{}", sentence(&tensors));
    tensors.insert("net.slice4.8.bias".to_owned(), (vec![2, 128], vec![0.0; 256]));
    assert!(sentence(&tensors).contains("net.slice4.8.bias is F32 [2, 128], expected F32 [256]"));
    tensors.remove("net.slice1.0.weight");
    assert!(sentence(&tensors).contains("no first convolution of AlexNet or VGG16"));
    let whole = std::fs::read(save(folder.path(), &tensors)).unwrap();
    let cut = folder.path().join("cut.safetensors");
    for length in [0, 5, 100, whole.len() - 1] {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let sentence = Lpips::read(&cut).err().unwrap().to_string();
        assert!(sentence.contains("cut.safetensors: is not a complete safetensors file"), "{sentence}");
    }
}

#[test]
fn eval_measures_lpips_where_it_has_weights_and_else_says_so() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=1", "--set=scene.downscale=4", "--quiet"]);
    let eval = ["eval", "latest", "--max-images=2"];
    let without = printed(folder.path(), &eval);
    assert!(without.contains("LPIPS was not measured: it needs weights, --lpips FILE.safetensors"), "{without}");
    let written = || -> serde_json::Value {
        let run = crate::binary::tiny_run(folder.path());
        serde_json::from_str(&std::fs::read_to_string(run.join("eval.json")).unwrap()).unwrap()
    };
    assert!(written()["results"]["lpips"].is_null() && written()["lpips_network"].is_null());
    save(folder.path(), &random_weights(&ALEX));
    let with = printed(folder.path(), &[&eval[..], &["--lpips=weights.safetensors"]].concat());
    assert!(!with.contains("was not measured") && with.contains("LPIPS"), "{with}");
    let report = written();
    let each = [0, 1].map(|i| report["per_image"][i]["lpips"].as_f64().unwrap());
    assert!(each[0] > 0.0 && (report["results"]["lpips"].as_f64().unwrap() - 0.5 * (each[0] + each[1])).abs() < 1e-12);
    assert_eq!(report["lpips_network"], "alex");
    let none = sentence(folder.path(), &[&eval[..], &["--lpips=none.safetensors"]].concat());
    assert!(none.starts_with("none.safetensors: the weights cannot be read"), "{none}");
    assert!(gridfield(folder.path(), &eval).status.success(), "{}", stderr(&gridfield(folder.path(), &eval)));
}

#[test]
fn the_published_protocol_takes_vgg_alone_and_measures_the_cut_pictures() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=1", "--quiet"]);
    let eval = ["eval", "latest", "--max-images=1", "--protocol=nerfbaselines", "--lpips=weights.safetensors"];
    save(folder.path(), &random_weights(&ALEX));
    let refused = sentence(folder.path(), &eval);
    assert_eq!(
        refused.trim_end(),
        "weights.safetensors: these are weights of AlexNet, and LPIPS of --protocol nerfbaselines is by VGG16"
    );
    let run = crate::binary::tiny_run(folder.path());
    assert!(!run.join("eval.json").exists());

    let lpips = Lpips::read(&save(folder.path(), &random_weights(&VGG))).unwrap();
    printed(folder.path(), &[&eval[..], &["--save-images"]].concat());
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("eval.json")).unwrap()).unwrap();
    let rendered = image::open(run.join("renders/eval-test/test_r_0.png")).unwrap().to_rgb8();
    let truth = Scene::open(Path::new(crate::binary::ORRERY)).unwrap().splits.test[0].load(8).unwrap().over([1.0; 3]);
    let bytes = |values: Vec<u8>| values.into_iter().map(|v| f32::from(v) / 255.0).collect::<Vec<f32>>();
    let cut = bytes(truth.iter().map(|v| (v * 255.0).floor() as u8).collect());
    let (width, height) = rendered.dimensions();
    let expected = lpips.distance(&bytes(rendered.into_raw()), &cut, width as usize, height as usize).unwrap();
    let found = report["results"]["lpips"].as_f64().unwrap();
    assert!((found / expected - 1.0).abs() < 1e-9 && report["lpips_network"] == "vgg", "{found}, expected {expected}");
}
