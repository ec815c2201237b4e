//! COLMAP scenes: reading the files, and what their numbers mean.

use std::collections::BTreeMap;
use std::path::Path;

use crate::captures::{Colmap, colmap};
use gridfield::geometry::Lens;
use gridfield::scene::{CaptureKind, Format, OpenOptions, Scene, View};

fn scene_of(model: &Colmap, binary: bool, sparse: &str) -> (tempfile::TempDir, Scene) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join(sparse);
    if binary {
        model.write_binary(&at)
    } else {
        model.write_text(&at)
    }
    model.write_images(folder.path());
    let scene = Scene::open(folder.path()).unwrap();
    (folder, scene)
}

#[test]
fn binary_and_text_are_the_same_scene() {
    let mut model = colmap(10, 300.0);
    model.cameras.push((7, "OPENCV", 40, 30, vec![50.0, 51.0, 20.0, 15.0, 0.1, -0.02, 1e-3, 2e-3]));
    model.images[4].2 = 7;
    model.images.reverse();
    let (_binary, binary) = scene_of(&model, true, "sparse/0");
    let (_text, text) = scene_of(&model, false, "sparse");
    assert_eq!((binary.format, binary.capture.kind), (Format::Colmap, CaptureKind::Inward));
    assert_eq!(binary.points.len(), 20);
    let described = |scene: &Scene| {
        let view = |view: &View| (view.name.clone(), view.camera, view.bounds);
        let views = scene.splits.train.iter().chain(&scene.splits.test).map(view).collect::<Vec<_>>();
        (views, scene.points.clone(), scene.unit_cube)
    };
    assert_eq!(described(&binary), described(&text));
    let names: Vec<&str> = binary.splits.test.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["000", "008"], "every 8th by name");
    let other = binary.splits.train.iter().find(|view| view.name == "004").unwrap().camera.intrinsics;
    assert_eq!(other.lens, Lens::OpenCv { k: [0.1, -0.02, 0.0, 0.0], p: [1e-3, 2e-3] });
}

#[test]
fn cameras_look_at_the_points_in_front_of_them() {
    let model = colmap(10, 300.0);
    let (_folder, scene) = scene_of(&model, true, "colmap/sparse/0");
    for view in scene.splits.train.iter().chain(&scene.splits.test) {
        assert!((view.camera.position().iter().map(|x| x * x).sum::<f32>().sqrt() - 4.0).abs() < 1e-5);
        // The origin is on the optical axis, so it projects to the principal point.
        let [x, y] = view.camera.project([0.0; 3]).unwrap();
        assert!((x - 20.5).abs() < 1e-3 && (y - 14.5).abs() < 1e-3, "{x} {y}");
        let [near, far] = view.bounds.unwrap();
        assert!(near > 3.4 && near < 3.9 && far > 4.1 && far < 4.6, "{near} {far}");
        assert!(view.camera.up()[1] < -0.99, "in this world y is down");
    }
}

#[test]
fn each_camera_model_has_its_parameters_in_its_own_order() {
    let k = |k1, k2| Lens::OpenCv { k: [k1, k2, 0.0, 0.0], p: [0.0; 2] };
    let fisheye = |k1, k2| Lens::Fisheye { k: [k1, k2, 0.0, 0.0] };
    let cases = [
        ("SIMPLE_PINHOLE", vec![50.0, 20.0, 15.0], [50.0, 50.0, 20.0, 15.0], Lens::Perspective),
        ("PINHOLE", vec![50.0, 51.0, 20.0, 15.0], [50.0, 51.0, 20.0, 15.0], Lens::Perspective),
        ("SIMPLE_RADIAL", vec![50.0, 20.0, 15.0, 0.1], [50.0, 50.0, 20.0, 15.0], k(0.1, 0.0)),
        ("RADIAL", vec![50.0, 20.0, 15.0, 0.1, 0.2], [50.0, 50.0, 20.0, 15.0], k(0.1, 0.2)),
        (
            "OPENCV",
            vec![50.0, 51.0, 20.0, 15.0, 0.1, 0.2, 0.3, 0.4],
            [50.0, 51.0, 20.0, 15.0],
            Lens::OpenCv { k: [0.1, 0.2, 0.0, 0.0], p: [0.3, 0.4] },
        ),
        (
            "OPENCV_FISHEYE",
            vec![50.0, 51.0, 20.0, 15.0, 0.1, 0.2, 0.3, 0.4],
            [50.0, 51.0, 20.0, 15.0],
            Lens::Fisheye { k: [0.1, 0.2, 0.3, 0.4] },
        ),
        (
            "FULL_OPENCV",
            vec![50.0, 51.0, 20.0, 15.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
            [50.0, 51.0, 20.0, 15.0],
            Lens::FullOpenCv { k: [0.1, 0.2, 0.5, 0.6, 0.7, 0.8], p: [0.3, 0.4] },
        ),
        (
            "THIN_PRISM_FISHEYE",
            vec![50.0, 51.0, 20.0, 15.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
            [50.0, 51.0, 20.0, 15.0],
            Lens::ThinPrismFisheye { k: [0.1, 0.2, 0.5, 0.6], p: [0.3, 0.4], s: [0.7, 0.8] },
        ),
        ("SIMPLE_RADIAL_FISHEYE", vec![50.0, 20.0, 15.0, 0.1], [50.0, 50.0, 20.0, 15.0], fisheye(0.1, 0.0)),
        ("RADIAL_FISHEYE", vec![50.0, 20.0, 15.0, 0.1, 0.2], [50.0, 50.0, 20.0, 15.0], fisheye(0.1, 0.2)),
        ("SIMPLE_FISHEYE", vec![50.0, 20.0, 15.0], [50.0, 50.0, 20.0, 15.0], fisheye(0.0, 0.0)),
        ("FISHEYE", vec![50.0, 51.0, 20.0, 15.0], [50.0, 51.0, 20.0, 15.0], fisheye(0.0, 0.0)),
    ];
    // Width and height are those of the image.
    let panorama = ("EQUIRECTANGULAR", vec![40.0, 30.0], [20.0, 30.0, 20.0, 15.0], Lens::Equirectangular);
    for (name, parameters, pinhole, lens) in cases.into_iter().chain([panorama]) {
        let mut model = colmap(3, 200.0);
        model.cameras[0] = (1, name, 40, 30, parameters);
        for binary in [true, false] {
            let (_folder, scene) = scene_of(&model, binary, "sparse/0");
            let found = scene.splits.train[0].camera.intrinsics;
            assert_eq!([found.fl_x, found.fl_y, found.cx, found.cy], pinhole, "{name}");
            assert_eq!(found.lens, lens, "{name}");
        }
    }
}

#[test]
fn absent_images_are_an_error_or_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let model = colmap(10, 300.0);
    model.write_binary(&folder.path().join("sparse/0"));
    model.write_images(folder.path());
    std::fs::remove_file(folder.path().join("images/000.png")).unwrap();
    std::fs::remove_file(folder.path().join("images/003.png")).unwrap();
    let error = Scene::open(folder.path()).unwrap_err().to_string();
    let told = "2 of 10 images of the reconstruction are not in images/, the first of them 000.png";
    assert!(error.contains(told) && error.contains("--allow-missing"), "{error}");
    let options = OpenOptions { allow_missing: true, ..OpenOptions::default() };
    let scene = Scene::open_with(folder.path(), &options).unwrap();
    assert_eq!((scene.splits.train.len(), scene.splits.test.len()), (7, 1));
    assert_eq!(scene.notes, [format!("{told}; they are skipped")]);
}

#[test]
fn a_named_reconstruction_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    colmap(10, 300.0).write_binary(&folder.path().join("sparse/0"));
    let other = colmap(4, 300.0);
    other.write_text(&folder.path().join("sparse/1"));
    other.write_images(folder.path());
    let options = OpenOptions { sparse: Some("sparse/1".into()), ..OpenOptions::default() };
    assert_eq!(Scene::open_with(folder.path(), &options).unwrap().splits.train.len(), 3);
    let options = OpenOptions { sparse: Some("sparse/2".into()), ..OpenOptions::default() };
    let error = Scene::open_with(folder.path(), &options).unwrap_err().to_string();
    assert!(error.contains("sparse/2 with cameras and images"), "{error}");
}

#[test]
fn images_in_folders_with_copies_and_masks_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = colmap(3, 200.0);
    model.images.iter_mut().for_each(|image| image.3 = format!("left/{}", image.3));
    model.write_text(&folder.path().join("sparse/0"));
    model.write_images(folder.path());
    crate::captures::image(folder.path().join("images_2/left/001.png"), (20, 15), 9);
    crate::captures::image(folder.path().join("masks/left/001.png.png"), crate::captures::SIZE, 0);
    let scene = Scene::open(folder.path()).unwrap();
    let view = &scene.splits.train[0];
    assert_eq!((view.name.as_str(), view.load(2).unwrap().pixel(0, 0)[0]), ("left/001", 9));
    assert_eq!(view.load_mask(1).unwrap(), Some(vec![false; 1200]));
    assert_eq!(scene.splits.train[1].load_mask(1).unwrap(), None);
}

#[test]
fn cameras_that_look_one_way_are_forward_facing() {
    assert_eq!(scene_of(&colmap(9, 40.0), true, "sparse/0").1.capture.kind, CaptureKind::ForwardFacing);
    assert_eq!(scene_of(&colmap(9, 120.0), true, "sparse/0").1.capture.kind, CaptureKind::Inward);
}

/// COLMAP writes the mean distance between each point's projections and the pixels where its images see it. The
/// reconstruction was made by COLMAP itself (version 3.8, OPENCV) from images with lens distortion.
#[test]
fn projections_are_those_of_colmap() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/colmap");
    let folder = tempfile::tempdir().unwrap();
    for name in ["cameras.txt", "images.txt", "points3D.txt"] {
        crate::captures::write(folder.path().join("sparse/0").join(name), std::fs::read(vectors.join(name)).unwrap());
    }
    let text = std::fs::read_to_string(vectors.join("images.txt")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    // For each point: the images that see it, and the pixels.
    let mut seen: BTreeMap<u64, Vec<(String, [f64; 2])>> = BTreeMap::new();
    for pair in lines.chunks(2) {
        let name = pair[0].split(' ').next_back().unwrap();
        crate::captures::image(folder.path().join("images").join(name), (640, 480), 1);
        let words: Vec<&str> = pair[1].split_whitespace().collect();
        for point in words.chunks(3).filter(|point| point[2] != "-1") {
            let at = [point[0].parse().unwrap(), point[1].parse().unwrap()];
            seen.entry(point[2].parse().unwrap()).or_default().push((name.trim_end_matches(".png").to_owned(), at));
        }
    }
    let scene = Scene::open(folder.path()).unwrap();
    let views: BTreeMap<&str, &View> =
        scene.splits.train.iter().chain(&scene.splits.test).map(|view| (view.name.as_str(), view)).collect();
    let k = scene.splits.train[0].camera.intrinsics;
    assert!(matches!(k.lens, Lens::OpenCv { k: [k1, ..], .. } if k1 < -0.1), "the lens bends: {:?}", k.lens);
    let points = std::fs::read_to_string(vectors.join("points3D.txt")).unwrap();
    let (mut compared, mut farthest) = (0, 0.0f64);
    for line in points.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<f64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let point = [1, 2, 3].map(|k| words[k] as f32);
        let sightings = &seen[&(words[0] as u64)];
        let miss = |(name, at): &(String, [f64; 2])| {
            let camera = &views[name.as_str()].camera;
            let found = camera.project(point).unwrap().map(f64::from);
            // The ray through the projection passes through the point, up to rounding.
            let (origin, direction) = camera.ray(found[0] as f32, found[1] as f32);
            let offset: [f32; 3] = std::array::from_fn(|k| point[k] - origin[k]);
            let along: f32 = offset.iter().zip(direction).map(|(a, b)| a * b).sum();
            let beside = (0..3).map(|k| (offset[k] - along * direction[k]).powi(2)).sum::<f32>().sqrt();
            assert!(beside / along < 1e-5, "the ray misses its point by {beside} at {along}");
            (found[0] - at[0]).hypot(found[1] - at[1])
        };
        let mean = sightings.iter().map(miss).sum::<f64>() / sightings.len() as f64;
        assert!((mean - words[7]).abs() < 5e-3, "{mean} pixels, but COLMAP says {}", words[7]);
        farthest = farthest.max(mean);
        compared += 1;
    }
    assert!(compared > 100 && farthest > 0.1, "{compared} points, up to {farthest} pixels off");
}
