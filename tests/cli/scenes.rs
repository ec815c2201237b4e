//! Scenes on the command line: named by one of their files, described without writing anything, and their faults.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::binary::{ORRERY, TINY, printed, sentence, train_tiny_on};
use crate::captures::{colmap, image, llff, name, pose, transforms, write_json};

/// Returns what `info` says about a path, without the lines that depend on how it was given.
fn info(folder: &Path, path: &str) -> String {
    printed(folder, &["info", path])
}

/// Writes a scene in each format to the folder, and a Blender scene whose file of test views has `n_test` of the three
/// training frames.
fn scenes(folder: &Path, n_test: usize) {
    write_json(folder.join("ns/transforms.json"), &transforms(&folder.join("ns"), 9, 300.0));
    llff(&folder.join("llff"), 9, 20.0);
    let reconstruction = colmap(9, 300.0);
    reconstruction.write_images(&folder.join("colmap"));
    reconstruction.write_text(&folder.join("colmap/sparse/0"));
    let frame = |i: usize| {
        image(folder.join(format!("blender/train/{}.png", name(i))), (16, 16), 60 * i as u8);
        let [a, b, c] = pose(i, 3, 300.0);
        json!({ "file_path": format!("./train/{}", name(i)), "transform_matrix": [a, b, c, [0, 0, 0, 1]] })
    };
    let frames: Vec<_> = (0..3).map(frame).collect();
    for (split, n) in [("train", 3), ("test", n_test)] {
        let document = json!({ "camera_angle_x": 0.7, "frames": frames[..n] });
        write_json(folder.join(format!("blender/transforms_{split}.json")), &document);
    }
}

#[test]
fn a_file_of_a_scene_stands_for_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    scenes(here, 2);
    for (scene, files) in [
        ("ns", &["ns/transforms.json"][..]),
        ("blender", &["blender/transforms_train.json", "blender/transforms_test.json"]),
        ("llff", &["llff/poses_bounds.npy"]),
        ("colmap", &["colmap/sparse/0", "colmap/sparse/0/images.txt", "colmap/sparse/0/cameras.txt"]),
    ] {
        let expected = info(here, scene);
        assert!(expected.contains(&format!("scene       {scene}\n")), "{expected}");
        for file in files {
            assert_eq!(info(here, file), expected, "{file}");
        }
    }
    assert_eq!(info(&here.join("ns"), "transforms.json"), info(here, "ns"), "from within the folder");
    // The file chooses the format where a folder has several.
    fs::copy(here.join("ns/transforms.json"), here.join("colmap/transforms.json")).unwrap();
    assert!(info(here, "colmap").contains("nerfstudio or instant-ngp"));
    assert!(info(here, "colmap/sparse/0").contains("COLMAP (a reconstruction"));
}

#[test]
fn a_run_of_a_scene_named_by_its_file_is_evaluated_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("{ORRERY}/transforms_train.json");
    train_tiny_on(&file, folder.path(), &["--max-steps=3", "--stop-after=2", "--quiet"]);
    let said = printed(folder.path(), &["eval", "outputs/orrery/hash/tiny", "--max-images=1"]);
    assert!(said.contains("1 test"), "{said}");
    printed(folder.path(), &["train", "--resume", "latest", "--quiet"]);
    printed(folder.path(), &["eval", "latest", "--max-images=1", &format!("--scene={file}")]);
}

#[test]
fn files_that_stand_for_no_scene_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    scenes(here, 2);
    fs::rename(here.join("colmap/images"), here.join("colmap/photos")).unwrap();
    fs::write(here.join("other.json"), "{}").unwrap();
    fs::remove_file(here.join("blender/transforms_train.json")).unwrap();
    for (args, says) in [
        (&["info", "colmap/sparse/0"][..], "no folder above it holds the photographs in images/"),
        (&["train", "colmap/sparse/0/images.txt"], "no folder above it holds the photographs in images/"),
        (&["info", "other.json"], "other.json: is a file; give the folder that holds one of transforms_train.json"),
        (&["train", "other.json"], "other.json: is a file; give the folder that holds one of transforms_train.json"),
        (&["train", "ns/transform.json"], "ns/transform.json: there is no such file; check the path"),
        (&["train", "nosuch"], "nosuch: there is no such folder; check the path"),
        (&["info", "blender/transforms_test.json"], "blender: holds no scene: none of transforms_train.json"),
        (
            &["info", "ns/transforms.json", "--format=colmap"],
            "ns/transforms.json: is of a scene in the format transforms, but colmap was asked for; leave --format away",
        ),
    ] {
        let error = sentence(here, args);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    fs::rename(here.join("colmap/photos"), here.join("colmap/images")).unwrap();
    let error = sentence(here, &["info", "colmap/sparse/0", "--sparse=sparse/0"]);
    assert!(error.contains("leave --sparse away"), "{error}");
    assert!(!here.join("outputs").exists());
}

#[test]
fn info_writes_a_picture_only_where_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    scenes(folder.path(), 2);
    let before = fs::read_dir(folder.path()).unwrap().count();
    assert!(!info(folder.path(), "ns").contains("picture"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before, "nothing is written");
    let said = printed(folder.path(), &["info", "ns", "--picture=pictures/cameras.svg"]);
    assert!(said.contains("a picture of the cameras is in pictures/cameras.svg"), "{said}");
    assert!(fs::read_to_string(folder.path().join("pictures/cameras.svg")).unwrap().starts_with("<svg"));
    train_tiny_on(ORRERY, folder.path(), &["--max-steps=1", "--quiet"]);
    let error = sentence(folder.path(), &["info", "latest", "--picture=a.svg"]);
    assert!(error.starts_with("--picture is for scenes"), "{error}");
    assert!(!folder.path().join("a.svg").exists());
}

#[test]
fn images_of_two_splits_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    scenes(here, 2);
    let says = "2 of 2 test images are training images too, the first of them train/000; figures over them";
    assert!(info(here, "blender").contains(says), "{}", info(here, "blender"));
    let output = crate::binary::gridfield(here, &[&["train", "blender", "--max-steps=1"], &TINY[1..]].concat());
    assert!(crate::binary::stderr(&output).contains(&format!("gridfield: note: {says}")), "{output:?}");

    // A copy under another name is the same photograph; another picture from the same camera is not.
    let file = here.join("blender/transforms_test.json");
    let text = fs::read_to_string(&file).unwrap().replace("train/", "test/");
    fs::write(&file, text).unwrap();
    fs::create_dir(here.join("blender/test")).unwrap();
    fs::copy(here.join("blender/train/000.png"), here.join("blender/test/000.png")).unwrap();
    image(here.join("blender/test/001.png"), (16, 16), 200);
    let text = info(here, "blender");
    assert!(text.contains("1 of 2 test images are training images too, the first of them test/000"), "{text}");
    for scene in ["ns", "llff", "colmap", ORRERY] {
        assert!(!info(here, scene).contains("training images too"), "{scene}");
    }
}
