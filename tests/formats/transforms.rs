//! nerfstudio and instant-ngp scenes: transforms.json.

use crate::binary::{printed, sentence, without_times};
use crate::captures::{SIZE, data, transforms, write_json};
use gridfield::geometry::{Intrinsics, Lens, UnitCube};
use gridfield::scene::{CaptureKind, Format, Scene, View};
use serde_json::{Value, json};

/// Returns the scene of `n` frames around the origin after `change`.
fn scene_with(n: usize, change: impl FnOnce(&std::path::Path, &mut Value)) -> (tempfile::TempDir, Scene) {
    let folder = tempfile::tempdir().unwrap();
    let mut document = transforms(folder.path(), n, 300.0);
    change(folder.path(), &mut document);
    write_json(folder.path().join("transforms.json"), &document);
    let scene = Scene::open(folder.path()).unwrap();
    (folder, scene)
}

fn names(views: &[View]) -> Vec<&str> {
    views.iter().map(|view| view.name.trim_start_matches("images/")).collect()
}

#[test]
fn every_eighth_frame_by_name_is_held_out() {
    let (_folder, scene) = scene_with(10, |_, document| document["frames"].as_array_mut().unwrap().reverse());
    assert_eq!((scene.format, scene.capture.kind), (Format::Transforms, CaptureKind::Inward));
    assert_eq!(names(&scene.splits.test), ["000", "008"]);
    assert_eq!(names(&scene.splits.train), ["001", "002", "003", "004", "005", "006", "007", "009"]);
    assert!(scene.notes.is_empty());
}

#[test]
fn listed_splits_are_taken() {
    let (_folder, scene) = scene_with(5, |_, document| {
        document["train_filenames"] = json!(["images/000.png", "./images/003.png"]);
        document["val_filenames"] = json!(["images/001.png"]);
        document["test_filenames"] = json!(["images/002.png"]);
    });
    let splits = &scene.splits;
    assert_eq!(
        (names(&splits.train), names(&splits.val), names(&splits.test)),
        (vec!["000", "003"], vec!["001"], vec!["002"])
    );
}

#[test]
fn frames_without_an_image_are_skipped_with_a_note() {
    let (_folder, scene) = scene_with(12, |folder, _| {
        for name in ["000", "005", "011"] {
            std::fs::remove_file(folder.join(format!("images/{name}.png"))).unwrap();
        }
    });
    assert_eq!(names(&scene.splits.test), ["001", "010"], "every eighth frame that has an image");
    assert_eq!(scene.splits.train.len(), 7);
    assert_eq!(scene.notes, ["3 of 12 frames have no image and are skipped, the first of them images/000.png"]);
}

#[test]
fn without_a_place_of_its_own_the_scene_is_centred_on_what_the_cameras_look_at() {
    let (_folder, scene) = scene_with(24, |_, document| {
        for frame in document["frames"].as_array_mut().unwrap() {
            let height = &mut frame["transform_matrix"][2][3];
            *height = json!(height.as_f64().unwrap() + 7.0);
        }
    });
    let centre = scene.unit_cube.to_unit([0.0, 0.0, 7.0]);
    assert!(centre.iter().all(|x| (x - 0.5).abs() < 1e-4), "{centre:?}");
    assert!((scene.unit_cube.scale - 0.1).abs() < 1e-3, "4 of 5 scene units: {}", scene.unit_cube.scale);
    assert_eq!(scene.capture.aabb_scale, None);
}

#[test]
fn the_place_that_instant_ngp_gives_is_kept_in_the_axes_of_the_scene() {
    let (_folder, scene) = scene_with(4, |_, document| document["aabb_scale"] = json!(4));
    assert_eq!((scene.unit_cube, scene.capture.aabb_scale), (UnitCube::BLENDER, Some(4)));
    let (_folder, scene) = scene_with(4, |_, document| {
        document["scale"] = json!(0.2);
        document["offset"] = json!([0.5, 0.25, -0.75]);
        document["aabb_scale"] = json!(5);
    });
    assert_eq!(scene.unit_cube, UnitCube::new(0.2, [0.5, 0.25, -0.75]));
    assert_eq!(scene.capture.aabb_scale, Some(8), "the next power of two");
}

#[test]
fn lenses_are_read_for_the_file_or_a_frame() {
    let (_folder, scene) = scene_with(3, |_, document| {
        document["k1"] = json!(0.1);
        document["p2"] = json!(-0.01);
        document["frames"][2]["k1"] = json!(0.2);
        document["camera_model"] = json!("OPENCV");
    });
    let lens = |i: usize| scene.splits.train[i].camera.intrinsics.lens;
    assert_eq!(lens(0), Lens::OpenCv { k: [0.1, 0.0, 0.0, 0.0], p: [0.0, -0.01] });
    assert_eq!(lens(1), Lens::OpenCv { k: [0.2, 0.0, 0.0, 0.0], p: [0.0, -0.01] });
    for fisheye in [json!({"is_fisheye": true}), json!({"camera_model": "OPENCV_FISHEYE"})] {
        let (_folder, scene) = scene_with(3, |_, document| {
            document["k3"] = json!(0.3);
            document.as_object_mut().unwrap().extend(fisheye.as_object().unwrap().clone());
        });
        assert_eq!(scene.splits.train[0].camera.intrinsics.lens, Lens::Fisheye { k: [0.0, 0.0, 0.3, 0.0] });
    }
    let (_folder, scene) = scene_with(3, |_, document| {
        document["camera_model"] = json!("FULL_OPENCV");
        document["k5"] = json!(0.05);
        document["frames"][1].as_object_mut().unwrap().extend([("k6".into(), json!(0.06)), ("p1".into(), json!(0.01))]);
    });
    let lens = |i: usize| scene.splits.train[i].camera.intrinsics.lens;
    assert_eq!(lens(0), Lens::FullOpenCv { k: [0.0, 0.0, 0.0, 0.0, 0.05, 0.06], p: [0.01, 0.0] });
    assert_eq!(lens(1), Lens::FullOpenCv { k: [0.0, 0.0, 0.0, 0.0, 0.05, 0.0], p: [0.0; 2] });
    assert!(!scene.notes.iter().any(|note| note.contains("passed over")), "{:?}", scene.notes);
    let (_folder, scene) = scene_with(3, |_, document| document["k1"] = json!(0));
    assert_eq!(scene.splits.train[0].camera.intrinsics.lens, Lens::Perspective);
}

#[test]
fn panoramas_of_nerfstudio_hold_what_their_focal_lengths_say() {
    let (_folder, scene) = scene_with(3, |_, document| {
        document["camera_model"] = json!("EQUIRECTANGULAR");
        document.as_object_mut().unwrap().remove("fl_x");
        document["frames"][1]["fl_x"] = json!(40.0);
        document["frames"][2]["w"] = json!(80);
        document["frames"][2]["h"] = json!(60);
        document["frames"][2]["fl_y"] = json!(90.0);
        document["frames"][2]["cy"] = json!(45.0);
    });
    let (width, height) = SIZE;
    let whole = Intrinsics::panorama(width, height);
    assert_eq!((whole.lens, whole.fl_x, whole.fl_y), (Lens::Equirectangular, 20.0, 30.0));
    let found: Vec<Intrinsics> =
        scene.splits.test.iter().chain(&scene.splits.train).map(|view| view.camera.intrinsics).collect();
    assert_eq!(found, [whole, Intrinsics { fl_x: 40.0, ..whole }, Intrinsics { fl_y: 45.0, cy: 22.5, ..whole }]);
    let note = "3 panoramas are not twice as wide as high, the first of them images/001, of 40×30; it is taken to cover \
                180° by 180°";
    assert_eq!(scene.notes, [note]);
}

#[test]
fn panoramas_of_instant_ngp_hold_the_whole_sphere() {
    for (flag, lens) in [("latlong", Lens::Equirectangular), ("equirectangular", Lens::EqualArea)] {
        let (_folder, scene) = scene_with(3, |_, document| {
            document[flag] = json!(true);
            document["k1"] = json!(0.1);
        });
        let (width, height) = SIZE;
        let expected = Intrinsics { lens, ..Intrinsics::panorama(width, height) };
        assert_eq!(scene.splits.train[0].camera.intrinsics, expected, "{flag}");
        let passed_over = "panoramas have no lens, so these keys of transforms.json are passed over: k1";
        assert!(scene.notes.iter().any(|note| note == passed_over), "{:?}", scene.notes);
        // Only images evenly spaced in both angles have square pixels at 2:1.
        assert_eq!(scene.notes.len(), if flag == "latlong" { 2 } else { 1 });
    }
    let (_folder, scene) = scene_with(3, |_, document| document["latlong"] = json!(false));
    assert_eq!(scene.splits.train[0].camera.intrinsics.lens, Lens::Perspective);
}

#[test]
fn a_crop_of_fisheye_images_has_no_effect_on_panoramas() {
    let (_folder, scene) = scene_with(3, |_, document| {
        document["equirectangular"] = json!(true);
        document["fisheye_crop_radius"] = json!(20.0);
    });
    assert_eq!(scene.splits.train[0].crop_radius, None);
    assert!(scene.notes.len() == 1 && scene.notes[0].contains("no effect without a fisheye lens"), "{:?}", scene.notes);
}

#[test]
fn panoramas_are_placed_by_where_they_are() {
    // As perspective cameras these look away from each other, and their axes meet behind them.
    let outward = |document: &mut Value, shift: f64| {
        for frame in document["frames"].as_array_mut().unwrap() {
            for row in frame["transform_matrix"].as_array_mut().unwrap().iter_mut().take(3) {
                for column in [0, 2] {
                    row[column] = json!(-row[column].as_f64().unwrap());
                }
            }
            let height = &mut frame["transform_matrix"][2][3];
            *height = json!(height.as_f64().unwrap() + shift);
        }
    };
    let (_folder, scene) = scene_with(24, |_, document| {
        outward(document, 7.0);
        document["camera_model"] = json!("EQUIRECTANGULAR");
        document.as_object_mut().unwrap().remove("fl_x");
    });
    assert_eq!(scene.rig_faults(), []);
    let positions: Vec<[f32; 3]> = scene.splits.train.iter().map(|view| view.camera.position()).collect();
    let mean: [f32; 3] = std::array::from_fn(|k| positions.iter().map(|p| p[k]).sum::<f32>() / positions.len() as f32);
    let centre = scene.unit_cube.to_unit(mean);
    assert!(centre.iter().all(|x| (x - 0.5).abs() < 1e-4), "{centre:?}");
    for position in positions {
        assert!(scene.unit_cube.to_unit(position).iter().all(|x| (0.09..0.91).contains(x)));
    }
    assert!(scene.rig_picture().contains("polyline"));
}

#[test]
fn masks_of_both_programs_say_what_counts() {
    // Writes a mask whose left half is black.
    let half = |path: std::path::PathBuf| {
        let grey = |x: u32, _| image::Luma([if x < SIZE.0 / 2 { 0u8 } else { 255 }]);
        image::GrayImage::from_fn(SIZE.0, SIZE.1, grey).save(path).unwrap();
    };
    let (_folder, scene) = scene_with(4, |folder, document| {
        half(folder.join("mask.png"));
        half(folder.join("images/dynamic_mask_002.png"));
        document["frames"][1]["mask_path"] = json!("mask.png");
    });
    let mask = |i: usize, downscale| scene.splits.train[i].load_mask(downscale).unwrap();
    let (nerfstudio, instant_ngp) = (mask(0, 1).unwrap(), mask(1, 1).unwrap());
    assert_eq!(nerfstudio.len(), 1200);
    assert!((0..1200).all(|i| nerfstudio[i] == (i % 40 >= 20) && instant_ngp[i] == (i % 40 < 20)));
    assert_eq!(mask(2, 1), None);
    // At a sixth of the size a row has 6 pixels. The middle blocks contain both halves and are masked out.
    let row = |i: usize| mask(i, 6).unwrap()[..6].to_vec();
    assert_eq!(row(0), [false, false, false, false, true, true]);
    assert_eq!(row(1), [true, true, true, false, false, false]);
}

#[test]
fn the_box_that_instant_ngp_gives_fills_the_unit_cube() {
    let (_folder, scene) = scene_with(3, |_, document| {
        document["aabb"] = json!([[-1, 2, 0], [3, 0, 1]]);
        document["aabb_scale"] = json!(2);
        document["scale"] = json!(7);
    });
    assert_eq!((scene.unit_cube.scale, scene.capture.aabb_scale), (0.25, Some(2)));
    let ends = [[-1.0, 1.0, 0.5], [3.0, 1.0, 0.5], [1.0, 1.0, 0.5]].map(|point| scene.unit_cube.to_unit(point));
    assert_eq!(ends, [[0.0, 0.5, 0.5], [1.0, 0.5, 0.5], [0.5; 3]]);
    assert!(scene.notes.is_empty(), "{:?}", scene.notes);
    let folder = tempfile::tempdir().unwrap();
    for (value, says) in [
        (json!([[0, 0, 0]]), "aabb has 1 corners, expected 2"),
        (json!([[0, 0, 0], [0, 0]]), "aabb[1] has 2 numbers, expected 3"),
        (json!([[1, 1, 1], [1, 1, 1]]), "aabb is a box without size"),
    ] {
        let mut document = transforms(folder.path(), 3, 300.0);
        document["aabb"] = value;
        write_json(folder.path().join("transforms.json"), &document);
        let error = Scene::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn angles_in_degrees_give_focal_lengths() {
    let (_folder, scene) = scene_with(3, |_, document| {
        document["x_fov"] = json!(90.0);
        document["frames"][2]["fl_x"] = json!(33.0);
    });
    let focal = |i: usize| scene.splits.train[i].camera.intrinsics.fl_x;
    assert!((focal(0) - 20.0).abs() < 1e-5, "half of the width: {}", focal(0));
    assert_eq!(focal(1), 33.0, "that of the frame");
}

#[test]
fn a_crop_of_fisheye_images_masks_what_is_outside() {
    let cropped = |lens: &'static str| {
        scene_with(3, |folder, document| {
            document["camera_model"] = json!(lens);
            document["k1"] = json!(0.01);
            document["fisheye_crop_radius"] = json!(20.0);
            // The images are half as large as the file says.
            (document["w"], document["h"]) = (json!(80), json!(60));
            let left = |x: u32, _| image::Luma([if x < SIZE.0 / 2 { 0u8 } else { 255 }]);
            image::GrayImage::from_fn(SIZE.0, SIZE.1, left).save(folder.join("mask.png")).unwrap();
            document["frames"][1]["mask_path"] = json!("mask.png");
        })
    };
    let (_folder, scene) = cropped("OPENCV_FISHEYE");
    let view = &scene.splits.train[1];
    assert_eq!(view.crop_radius, Some(10.0));
    let counts = view.load_mask(1).unwrap().unwrap();
    let within = |i: usize| ((i % 40) as f32 + 0.5 - 20.0).hypot((i / 40) as f32 + 0.5 - 15.0) <= 10.0;
    assert!((0..1200).all(|i| counts[i] == within(i)) && counts.iter().any(|&counts| counts));
    let masked = scene.splits.train[0].load_mask(1).unwrap().unwrap();
    assert!((0..1200).all(|i| masked[i] == (within(i) && i % 40 >= 20)), "within the mask and the circle");
    // At a fifth of the size, each pixel covers 5 × 5, which must all be within: those from 15 to 25 and 10 to 20.
    let row = |y: usize| view.load_mask(5).unwrap().unwrap()[8 * y..8 * y + 8].to_vec();
    assert_eq!(row(2), [false, false, false, true, true, false, false, false]);
    assert_eq!(row(0), [false; 8]);
    assert!(scene.notes.is_empty(), "{:?}", scene.notes);
    let (_folder, scene) = cropped("OPENCV");
    assert_eq!(scene.splits.train[1].load_mask(1).unwrap(), None);
    assert!(scene.notes.len() == 1 && scene.notes[0].contains("no effect without a fisheye lens"), "{:?}", scene.notes);
}

#[test]
fn training_draws_no_pixels_outside_of_the_crop() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("fisheye");
    let hash = |radius: Option<f64>| {
        let mut document = transforms(&scene, 6, 300.0);
        document["camera_model"] = json!("OPENCV_FISHEYE");
        document["fisheye_crop_radius"] = json!(radius);
        write_json(scene.join("transforms.json"), &document);
        let output = format!("out-{}", radius.unwrap_or(0.0));
        let args = ["train", "fisheye", "--max-steps=3", "--run-name=r", "--output-dir", &output, "--quiet"];
        let small =
            ["--set=train.batch_samples=2048", "--set=model.grid.log2_hashmap_size=12", "--device=cpu", "--threads=2"];
        printed(folder.path(), &[&args[..], &small].concat());
        without_times(&folder.path().join(output).join("fisheye/hash/r/checkpoints/step-000000003.safetensors")).tensors
    };
    assert!(hash(None) != hash(Some(6.0)));
    assert!(hash(Some(100.0)) == hash(Some(90.0)), "all pixels count");
    let mut document = transforms(&scene, 6, 300.0);
    document["camera_model"] = json!("OPENCV_FISHEYE");
    document["fisheye_crop_radius"] = json!(0.5);
    write_json(scene.join("transforms.json"), &document);
    let error = sentence(folder.path(), &["train", "fisheye", "--max-steps=3"]);
    assert!(error.contains("has no pixel within the fisheye_crop_radius of images/001; correct it"), "{error}");
}

#[test]
fn white_and_black_may_be_transparent() {
    let colors = |white: bool, black: bool| {
        let (_folder, scene) = scene_with(3, |folder, document| {
            document["white_transparent"] = json!(white);
            document["black_transparent"] = json!(black);
            let pixel = |x: u32, _| image::Rgb([[255; 3], [0; 3], [255, 255, 254], [0, 0, 1]][x as usize / 10]);
            image::RgbImage::from_fn(SIZE.0, SIZE.1, pixel).save(folder.join("images/001.png")).unwrap();
        });
        let image = scene.splits.train[0].load(1).unwrap();
        [5, 15, 25, 35].map(|x| image.pixel(x, 3)[3])
    };
    assert_eq!(colors(false, false), [255; 4]);
    assert_eq!(colors(true, false), [0, 255, 255, 255]);
    assert_eq!(colors(true, true), [0, 0, 255, 255]);
}

#[test]
fn files_that_instant_ngp_reads_beside_images_are_named() {
    let (_folder, scene) = scene_with(4, |folder, document| {
        crate::captures::write(folder.join("images/rays_001.dat"), "");
        crate::captures::write(folder.join("images/002.png.alpha.png"), "");
        document["rolling_shutter"] = json!([0.0, 0.0, 1.0]);
    });
    assert_eq!(scene.notes.len(), 2, "{:?}", scene.notes);
    assert!(scene.notes[0].ends_with("passed over: rolling_shutter"), "{:?}", scene.notes);
    assert!(scene.notes[1].starts_with("2 images have files beside them"), "{:?}", scene.notes);
}

#[test]
fn depth_maps_are_in_scene_units() {
    let (_folder, scene) = scene_with(4, |folder, document| {
        let millimetres = |x: u32, y: u32| image::Luma([(100 * y + x) as u16]);
        image::ImageBuffer::from_fn(SIZE.0, SIZE.1, millimetres).save(folder.join("depth.png")).unwrap();
        let metres: Vec<f64> = (0..1200).map(|i| if i == 0 { f64::NAN } else { f64::from(i) }).collect();
        crate::captures::write(folder.join("depth.npy"), crate::captures::npy(&[30, 40], &metres));
        document["frames"][1]["depth_file_path"] = json!("depth.png");
        document["frames"][2]["depth_path"] = json!("depth.npy");
        document["integer_depth_scale"] = json!(0.5);
    });
    let depth = |i: usize, downscale| scene.splits.train[i].load_depth(downscale).unwrap();
    let full = depth(0, 1).unwrap();
    assert!((full[40 * 3 + 7] - 0.307).abs() < 1e-6, "nerfstudio's depths are in millimetres: {}", full[127]);
    assert_eq!(depth(1, 1).unwrap()[..3], [0.0, 0.5, 1.0]);
    assert_eq!(depth(2, 1), None);
    let half = depth(0, 2).unwrap();
    assert_eq!(half.len(), 20 * 15);
    assert!((half[20 + 2] - 0.305).abs() < 1e-6, "picked from the middle of the block: {}", half[22]);
}

#[test]
fn reduced_images_lie_beside_the_full_ones() {
    let (_folder, scene) = scene_with(3, |folder, _| {
        (0..3).for_each(|i| {
            crate::captures::image(folder.join(format!("images_2/{}.png", crate::captures::name(i))), (20, 15), 7)
        });
    });
    let view = &scene.splits.train[0];
    assert_eq!((view.load(1).unwrap().pixel(0, 0)[0], view.load(2).unwrap().pixel(0, 0)[0]), (100, 7));
}

#[test]
fn fox_opens_without_its_absent_frames() {
    let Some(path) = data("fox_opens_without_its_absent_frames", "nerf/fox") else { return };
    let scene = Scene::open(&path).unwrap();
    assert_eq!((scene.splits.train.len(), scene.splits.test.len()), (43, 7));
    assert!(scene.notes[0].starts_with("17 of 67 frames have no image"), "{:?}", scene.notes);
    assert_eq!((scene.unit_cube, scene.capture.aabb_scale), (UnitCube::BLENDER, Some(4)));
    let camera = scene.splits.train[0].camera;
    assert!(matches!(camera.intrinsics.lens, Lens::OpenCv { k: [k1, ..], .. } if k1 == 0.0578421));
    // Rays through the corners are distorted, and projection inverts this.
    let (origin, direction) = camera.ray(3.5, 5.5);
    let [x, y] = camera.project(std::array::from_fn(|k| origin[k] + 5.0 * direction[k])).unwrap();
    assert!((x - 3.5).abs() < 2e-3 && (y - 5.5).abs() < 2e-3, "{x} {y}");
    assert!(scene.rig_faults().is_empty());
}
