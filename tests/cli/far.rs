//! Scenes and meshes whose coordinates are large compared with their extent are trained, evaluated, rendered and
//! exported like those at the origin, in their own coordinates.

use std::path::Path;

use crate::binary::{ORRERY, moved_orrery, printed, stderr, tiny_checkpoint, train_tiny, train_tiny_on};
use gridfield::checkpoint::{Checkpoint, TensorData};
use gridfield::mesh::{Mesh, MeshFormat, Surface};
use serde_json::{Value, json};

/// A place in the coordinates of a map, in metres.
const PLACE: [f64; 3] = [441547.0, 5121946.0, 345.0];

/// Returns the vertices of a mesh in the coordinates of its file, relative to [`PLACE`].
fn places(path: &Path) -> Vec<[f64; 3]> {
    let mesh = Mesh::read(path, None).unwrap();
    let place = |vertex: &[f32; 3]| std::array::from_fn(|k| f64::from(vertex[k]) + mesh.origin[k] - PLACE[k]);
    mesh.vertices.iter().map(place).collect()
}

fn psnr(folder: &Path) -> f64 {
    printed(folder, &["eval", "latest", "--max-images=4", "--output=eval.json", "--threads=2"]);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("eval.json")).unwrap()).unwrap();
    report["results"]["psnr"].as_f64().unwrap()
}

/// Renders a camera that looks at `place` from the side, in the coordinates of the scene.
fn rendered(folder: &Path, place: [f64; 3]) -> image::RgbImage {
    // Right, up and back are y, z and x.
    let [x, y, z] = place;
    let matrix = [0.0, 0.0, 1.0, x + 4.0, 1.0, 0.0, 0.0, y, 0.0, 1.0, 0.0, z, 0.0, 0.0, 0.0, 1.0];
    let frame = json!({ "camera_to_world": matrix, "fov": 40.0 });
    let path = json!({ "render_width": 40, "render_height": 40, "camera_path": [frame] });
    std::fs::write(folder.join("path.json"), path.to_string()).unwrap();
    printed(folder, &["render", "latest", "--path=path.json", "--output=view-%d.png", "--threads=2"]);
    image::open(folder.join("view-0.png")).unwrap().into_rgb8()
}

#[test]
fn a_scene_far_from_the_origin_gives_the_field_of_the_one_at_the_origin() {
    let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let moved = moved_orrery(there.path(), PLACE);
    let args = ["--max-steps=150", "--quiet"];
    train_tiny(here.path(), &args);
    train_tiny_on(moved.to_str().unwrap(), there.path(), &args);
    let (expected, found) = (psnr(here.path()), psnr(there.path()));
    assert!(expected > 12.0 && (found - expected).abs() < 0.4, "{found} dB, at the origin {expected} dB");
    let (expected, found) = (rendered(here.path(), [0.0; 3]), rendered(there.path(), PLACE));
    let apart: f64 = expected.iter().zip(found.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    let mean = apart / (3.0 * 1600.0);
    assert!(expected.iter().max() > expected.iter().min() && mean < 8.0, "{mean} levels apart");

    let said = printed(there.path(), &["info", "latest"]);
    let origin = Checkpoint::read(&tiny_checkpoint(there.path(), 150)).unwrap().header.unit_cube.origin;
    assert!(said.contains(&format!("(x_scene - {origin:?})")), "{said}");
    let said = printed(there.path(), &["info", "orrery"]);
    assert!(said.contains("coordinates are large for the extent of the cameras"), "{said}");
    printed(there.path(), &["train", "--resume", "latest", "--quiet", "--max-steps=152", "--threads=2"]);

    let export = ["export", "latest", "--resolution=32", "--density-threshold=2"];
    for name in ["a.ply", "a.obj"] {
        printed(there.path(), &[&export[..], &["--mesh", name]].concat());
        let places = places(&there.path().join(name));
        assert!(places.len() > 100 && places.as_flattened().iter().all(|x| x.abs() < 1.6), "{name}");
        // In single precision, y would be a multiple of a half.
        let fine = places.iter().filter(|place| (place[1] * 2.0 - (place[1] * 2.0).round()).abs() > 0.05).count();
        assert!(fine > places.len() / 2, "{name}: {fine} of {}", places.len());
    }

    // Points of a surface become nodes in the place of that surface.
    printed(there.path(), &[&export[..], &["--point-cloud=points.ply", "--points=500"]].concat());
    let of_points = ["train", "orrery", "--model=points", "--set=model.grid.points.file=points.ply", "--max-steps=2"];
    let small = ["--downscale=8", "--set=train.batch_samples=2048", "--run-name=tiny", "--quiet", "--device=cpu"];
    printed(there.path(), &[&of_points[..], &small].concat());
    let path = there.path().join("outputs/orrery/points/tiny/checkpoints/step-000000002.safetensors");
    let checkpoint = Checkpoint::read(&path).unwrap();
    let nodes = checkpoint.tensors.iter().find(|tensor| tensor.name == "grid.nodes").unwrap();
    let TensorData::F32(nodes) = &nodes.data else { panic!("nodes are floats") };
    let heights = nodes.chunks(3).map(|node| node[2]);
    let (least, most) = (heights.clone().fold(1.0, f32::min), heights.clone().fold(0.0, f32::max));
    assert!(nodes.len() > 3 * 400 && most - least > 0.05, "{} nodes from {least} to {most}", nodes.len() / 3);
    // In single precision, y would be one of about ten numbers.
    let mut across: Vec<f32> = nodes.chunks(3).map(|node| node[1]).collect();
    across.sort_by(f32::total_cmp);
    across.dedup();
    assert!(across.len() > 300, "{} places across", across.len());
}

#[test]
fn a_mesh_far_from_the_origin_is_fitted_and_exported_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = crate::shapes::torus(24);
    let near: Vec<[f64; 3]> = mesh.vertices.iter().map(|vertex| vertex.map(f64::from)).collect();
    mesh.origin = PLACE;
    let settings = [
        "--set=train.batch_samples=4096",
        "--set=model.grid.log2_hashmap_size=13",
        "--set=model.grid.n_levels=8",
        "--set=model.grid.base_resolution=8",
        "--set=optimizer.schedule.warmup_steps=10",
        "--max-steps=250",
        "--run-name=tiny",
        "--quiet",
        "--device=cpu",
        "--threads=2",
    ];
    for name in ["shape.obj", "shape.glb"] {
        let path = folder.path().join(name);
        Surface { mesh: &mesh, normals: None, colors: None, texture: None }
            .write(&path, MeshFormat::of(&path).unwrap())
            .unwrap();
        let output = format!("--output-dir={name}.out");
        printed(folder.path(), &[&["fit-sdf", name, &output], &settings[..]].concat());
        let run = format!("{name}.out/shape/hash/tiny");
        printed(folder.path(), &["eval", &run, "--resolution=64", "--output=eval.json", "--threads=2"]);
        let report = std::fs::read_to_string(folder.path().join("eval.json")).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert!(report["results"]["iou"].as_f64().unwrap() > 0.95, "{name}: {report}");
        for exported in ["a.ply", "a.obj", "a.glb", "a.stl"] {
            let args = ["export", &run, "--resolution=48", "--mesh", exported, "--threads=2"];
            let output = crate::binary::gridfield(folder.path(), &args);
            assert!(output.status.success(), "{}", stderr(&output));
            let is_single = exported == "a.glb" || exported == "a.stl";
            assert_eq!(stderr(&output).contains("note: "), is_single, "{exported}: {}", stderr(&output));
            let found = bounds(&places(&folder.path().join(exported)));
            let (expected, tolerance) = (bounds(&near), if exported == "a.stl" { 0.35 } else { 0.05 });
            let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < tolerance, "{name} as {exported}: {found:?}, not {expected:?}");
        }
    }
    let frames = ["--output=f/%d.png", "--width=40", "--height=30", "--seconds=0.03", "--fps=30"];
    printed(folder.path(), &[&["render", "shape.glb.out/shape/hash/tiny"], &frames[..]].concat());
    let picture = image::open(folder.path().join("f/0.png")).unwrap().into_rgb8();
    let white = picture.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
    assert!((300..1150).contains(&white), "{white} of 1200 pixels are background");
}

/// Returns the least and the greatest coordinates.
fn bounds(places: &[[f64; 3]]) -> [f64; 6] {
    let by = |k: usize, pick: fn(f64, f64) -> f64| places.iter().map(|place| place[k]).reduce(pick).unwrap();
    [by(0, f64::min), by(1, f64::min), by(2, f64::min), by(0, f64::max), by(1, f64::max), by(2, f64::max)]
}

#[test]
fn the_bundled_scene_keeps_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let said = printed(folder.path(), &["info", ORRERY]);
    assert!(
        said.contains("x_unit = 0.33 x_scene + [0.5, 0.5, 0.5]") && !said.contains("coordinates are large"),
        "{said}"
    );
}
