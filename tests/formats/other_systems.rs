//! Scenes as programs on other systems write them: byte order marks, path separators, letter case, unrelated files in
//! their folders.

use crate::captures::{SIZE, colmap, image, llff, name, transforms, write, write_json};
use gridfield::config::Config;
use gridfield::image_field::Image;
use gridfield::scene::{Scene, View};
use serde_json::{Value, json};
use std::path::Path;

fn utf_16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn names(views: &[View]) -> Vec<&str> {
    views.iter().map(|view| view.name.as_str()).collect()
}

/// Writes a scene of four frames whose document `change` has changed, and opens it.
fn opened(change: impl FnOnce(&Path, &mut Value)) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let mut document = transforms(folder.path(), 4, 90.0);
    change(folder.path(), &mut document);
    write_json(folder.path().join("transforms.json"), &document);
    let scene = Scene::open(folder.path()).unwrap();
    scene.splits.train.iter().for_each(|view| _ = view.load(1).unwrap());
    scene
}

#[test]
fn texts_may_begin_with_a_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let document = transforms(folder.path(), 4, 90.0).to_string();
    for bytes in [format!("\u{feff}{document}").into_bytes(), utf_16(&document)] {
        write(folder.path().join("transforms.json"), bytes);
        assert_eq!(Scene::open(folder.path()).unwrap().splits.train.len(), 3);
    }
    let config = folder.path().join("config.json");
    for bytes in [b"\xEF\xBB\xBF{\"train.max_steps\": 7}".to_vec(), utf_16("{\"train.max_steps\": 7}")] {
        write(&config, bytes);
        assert_eq!(Config::load(&config).unwrap().train.max_steps, 7);
    }
}

#[test]
fn texts_of_colmap_may_begin_with_a_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let reconstruction = colmap(4, 90.0);
    reconstruction.write_images(folder.path());
    let sparse = folder.path().join("sparse/0");
    reconstruction.write_text(&sparse);
    for file in ["cameras.txt", "images.txt", "points3D.txt"] {
        let text = std::fs::read_to_string(sparse.join(file)).unwrap();
        let text = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n"));
        write(sparse.join(file), format!("\u{feff}{}", text.collect::<String>()));
    }
    let scene = Scene::open(folder.path()).unwrap();
    assert_eq!((scene.splits.train.len(), scene.points.len()), (3, 20));
}

#[test]
fn images_whose_names_begin_with_a_dot_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 4, 30.0);
    write(folder.path().join("images/._000.png"), [0, 5, 22, 7]);
    write(folder.path().join("images/.hidden.png"), "");
    assert_eq!(names(&Scene::open(folder.path()).unwrap().splits.train), ["001", "002", "003"]);
}

#[test]
fn backslashes_separate_folders_where_the_name_as_it_stands_is_not_there() {
    let scene = opened(|folder, document| {
        for (i, frame) in document["frames"].as_array_mut().unwrap().iter_mut().enumerate() {
            frame["file_path"] = json!(format!(".\\images\\{}.png", name(i)));
        }
        image(folder.join("masks/1.png"), SIZE, 255);
        document["frames"][1]["mask_path"] = json!("masks\\1.png");
        document["train_filenames"] = json!(["images/001.png", "images\\002.png"]);
    });
    assert_eq!(names(&scene.splits.train), ["images/001", "images/002"]);
    assert!(scene.splits.train[0].mask.is_some());

    let folder = tempfile::tempdir().unwrap();
    let mut reconstruction = colmap(4, 90.0);
    reconstruction.images.iter_mut().for_each(|image| image.3 = format!("left/{}", image.3));
    reconstruction.write_images(folder.path());
    reconstruction.images.iter_mut().for_each(|image| image.3 = image.3.replace('/', "\\"));
    reconstruction.write_binary(&folder.path().join("sparse/0"));
    assert_eq!(names(&Scene::open(folder.path()).unwrap().splits.train), ["left/001", "left/002", "left/003"]);
}

#[test]
fn extensions_may_be_in_another_case() {
    let scene = opened(|folder, document| {
        std::fs::rename(folder.join("images/001.png"), folder.join("images/001.PNG")).unwrap();
        std::fs::rename(folder.join("images/002.png"), folder.join("images/002.Png")).unwrap();
        document["frames"][2]["file_path"] = json!("images/002");
    });
    assert_eq!(names(&scene.splits.train), ["images/001", "images/002", "images/003"]);
    assert!(scene.notes.is_empty(), "{:?}", scene.notes);
}

#[test]
fn depth_maps_are_looked_for_only_where_they_are_used() {
    let scene = opened(|_, document| document["frames"][1]["depth_file_path"] = json!("depth/1.png"));
    let missing = scene.splits.train[0].load_depth(1).unwrap_err().to_string();
    assert!(missing.contains("the depth map of images/001 is not there; restore it"), "{missing}");
}

#[test]
fn numbers_in_quotes_matrices_of_three_rows_and_a_single_offset_are_read() {
    let plain = opened(|_, document| document["offset"] = json!([0.25, 0.25, 0.25]));
    let other = opened(|_, document| {
        document["fl_x"] = json!("50.0");
        document["offset"] = json!("0.25");
        document["frames"][1]["transform_matrix"].as_array_mut().unwrap().pop();
        let number = document["frames"][2]["transform_matrix"][0][3].to_string();
        document["frames"][2]["transform_matrix"][0][3] = json!(number);
    });
    assert_eq!(plain.unit_cube, other.unit_cube);
    for (a, b) in plain.splits.train.iter().zip(&other.splits.train) {
        assert_eq!(a.camera, b.camera);
    }
}

#[test]
fn webp_images_are_read() {
    let scene = opened(|folder, document| {
        std::fs::remove_file(folder.join("images/001.png")).unwrap();
        image(folder.join("images/001.webp"), SIZE, 100);
        document["frames"][1]["file_path"] = json!("images/001");
    });
    assert!(scene.splits.train[0].image_path().ends_with("images/001.webp"));
}

#[test]
fn splits_without_images_or_frames_are_empty_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let document = transforms(folder.path(), 4, 90.0);
    write_json(folder.path().join("transforms_train.json"), &document);
    let test = document.to_string().replace("images/", "test/");
    write(folder.path().join("transforms_test.json"), test);
    write(folder.path().join("transforms_val.json"), r#"{"frames": []}"#);
    let scene = Scene::open(folder.path()).unwrap();
    assert_eq!((scene.splits.train.len(), scene.splits.val.len(), scene.splits.test.len()), (4, 0, 0));
    assert_eq!(scene.notes.len(), 2, "{:?}", scene.notes);
    assert!(scene.notes[0].starts_with("transforms_val.json lists no frames"), "{:?}", scene.notes);
    assert!(scene.notes[1].starts_with("none of the 4 images of transforms_test.json is there"), "{:?}", scene.notes);
    // Where some are there, one that is not is an error.
    image(folder.path().join("test/001.png"), SIZE, 100);
    assert!(Scene::open(folder.path()).unwrap_err().to_string().contains("(test/000.png)"));
}

#[test]
fn images_to_fit_may_be_webp_bmp_tga_or_gif() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["webp", "bmp", "tga", "gif", "TGA"] {
        let path = folder.path().join(format!("a.{extension}"));
        image(&path, (6, 4), 200);
        let read = Image::read(&path).unwrap();
        assert_eq!((read.width, read.height), (6, 4), "{extension}");
        assert!(read.values().iter().all(|value| [200.0 / 255.0, 1.0].contains(value)), "{extension}");
    }
}

#[test]
fn formats_that_are_not_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    for (bytes, says) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "a HEIC image, which is not read; convert it"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    ] {
        write(&path, bytes);
        let error = Image::read(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let document = transforms(folder.path(), 4, 90.0);
    write_json(folder.path().join("transforms.json"), &document);
    write(folder.path().join("images/001.png"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    let error = Scene::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("images/001 is a HEIC image"), "{error}");
}
