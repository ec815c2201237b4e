//! Exporting the surface and points of a radiance field, in scene coordinates.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::binary::{ORRERY, printed, sentence, stderr, tiny_checkpoint, train_tiny};
use gridfield::checkpoint::Checkpoint;
use gridfield::mesh::{Bvh, Edges, Mesh};
use gridfield::radiance::Renderer;
use gridfield::scene::Scene;
use serde_json::Value;

/// Half the side of the scene's box: half of the unit cube, divided by the scale for Blender scenes.
const REACH: f32 = 0.5 / 0.33 + 1e-3;

#[test]
fn a_scene_becomes_a_mesh_and_points_where_its_surfaces_are() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=1500", "--quiet"]);
    let shown = printed(
        folder.path(),
        &[
            "export",
            "latest",
            "--resolution=96",
            "--mesh=out/scene.ply",
            "--point-cloud=out/points.ply",
            "--points=5000",
            "--density-threshold=20",
        ],
    );
    assert!(shown.contains("triangles") && shown.contains("5,000 points"), "{shown}");
    let mesh = Mesh::read(&folder.path().join("out/scene.ply"), None).unwrap();
    assert!(Edges::of(&mesh).are_closed() && mesh.volume() > 0.0);
    let (low, high) = mesh.bounds();
    assert!(low.iter().chain(&high).all(|x| x.abs() < REACH), "{low:?} {high:?}");
    assert!(mesh.triangles.len() > 1000);

    // What a camera sees lies on the mesh: the median distance over its pixels is below two cells of 3 / 96.
    let host = crate::common::host();
    let checkpoint = Checkpoint::read(&tiny_checkpoint(folder.path(), 1500)).unwrap();
    let renderer = Renderer::from_checkpoint(&host, &checkpoint).unwrap();
    let view = &Scene::open(Path::new(ORRERY)).unwrap().splits.test[0];
    let camera = view.camera_at(2);
    let frame = renderer.render(&camera, [1.0; 3]).unwrap();
    let opaque = (0..frame.width * frame.height).filter(|&pixel| frame.opacity[pixel] > 0.95);
    let seen: Vec<[f32; 3]> = opaque
        .map(|pixel| {
            let (origin, direction) =
                camera.ray((pixel % frame.width) as f32 + 0.5, (pixel / frame.width) as f32 + 0.5);
            std::array::from_fn(|k| origin[k] + frame.depth[pixel] * direction[k])
        })
        .collect();
    assert!(seen.len() > 100, "the view shows something");
    let mut apart = Bvh::new(&host, &mesh).unwrap().nearest(&seen).unwrap().distance;
    apart.sort_by(f32::total_cmp);
    let median = apart[apart.len() / 2];
    assert!(median < 2.0 * 3.0 / 96.0, "the surface is {median} away from the mesh");

    // Points lie on the mesh, with unit normals and with colours.
    let (points, normals, colors) = read_points(&folder.path().join("out/points.ply"));
    assert_eq!(points.len(), 5000);
    let nearest = Bvh::new(&host, &mesh).unwrap().nearest(&points).unwrap();
    assert!(nearest.distance.iter().all(|&distance| distance < 1e-4));
    let of_mesh = mesh.triangle_normals();
    let aligned = normals
        .iter()
        .zip(&nearest.triangle)
        .filter(|(normal, triangle)| (0..3).map(|k| normal[k] * of_mesh[**triangle as usize][k]).sum::<f32>() > 0.99);
    assert!(aligned.count() > 4800, "normals agree with the surface and point outwards");
    let (least, most) = (colors.iter().flatten().min().unwrap(), colors.iter().flatten().max().unwrap());
    assert!(most - least > 50, "colours differ: {least} to {most}");
    assert_trimesh_reads("a_scene_becomes_a_mesh_and_points_where_its_surfaces_are", folder.path(), &mesh);

    let error =
        sentence(folder.path(), &["export", "latest", "--mesh=no.ply", "--resolution=32", "--density-threshold=1e30"]);
    assert!(error.contains("reaches 1000000000000000000000000000000 nowhere"), "{error}");
    assert!(!folder.path().join("no.ply").exists());
    let error = sentence(folder.path(), &["eval", "latest", "--resolution=32"]);
    assert!(error.contains("--resolution is for distance fields"), "{error}");
}

#[test]
fn glb_files_are_upright_and_other_formats_keep_the_axes() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene");
    copy_scene(&scene);
    crate::binary::train_tiny_on(scene.to_str().unwrap(), folder.path(), &["--max-steps=300", "--quiet"]);
    let export = |args: &[&str]| {
        let own = ["export", "latest", "--resolution=24", "--density-threshold=2"];
        printed(folder.path(), &[&own, args].concat())
    };
    let read = |name: &str| Mesh::read(&folder.path().join(name), None).unwrap();
    assert!(!export(&["--mesh=a.ply"]).contains("turned"));
    assert!(export(&["--mesh=a.glb", "--point-cloud=a_points.ply", "--points=10"]).contains("a.glb"));
    assert!(export(&["--mesh=turned.obj", "--axes=y-up"]).contains("turned so that y is up"));
    assert!(!export(&["--mesh=kept.glb", "--axes=scene"]).contains("turned"));
    // The scene was made with Blender, where z is up.
    let plain = read("a.ply");
    let upright: Vec<[f32; 3]> = plain.vertices.iter().map(|&[x, y, z]| [x, z, -y]).collect();
    let glb = read("a.glb");
    assert_eq!((&glb.vertices, &glb.triangles), (&upright, &plain.triangles));
    assert!(glb.volume() > 0.0);
    assert_eq!(read("turned.obj").vertices, upright);
    assert_eq!(read("kept.glb").vertices, plain.vertices);
    let (points, ..) = read_points(&folder.path().join("a_points.ply"));
    let nearest = Bvh::new(&crate::common::host(), &plain).unwrap().nearest(&points).unwrap();
    assert!(nearest.distance.iter().all(|&distance| distance < 1e-4), "the point cloud keeps the scene's axes");

    // Without the scene's cameras z is up, and that is said.
    fs::rename(&scene, folder.path().join("moved")).unwrap();
    let args = ["export", "latest", "--resolution=24", "--density-threshold=2", "--mesh=b.glb"];
    let output = crate::binary::gridfield(folder.path(), &args);
    let note = "gridfield: note: z is taken as up, since the scene's cameras cannot be read: ";
    assert!(output.status.success() && stderr(&output).starts_with(note), "{}", stderr(&output));
    assert_eq!(read("b.glb").vertices, upright);
    assert_eq!(stderr(&crate::binary::gridfield(folder.path(), &[&args[..], &["--scene=moved"]].concat())), "");
    let error = sentence(folder.path(), &[&args[..], &["--scene=nowhere"]].concat());
    assert!(error.starts_with("nowhere: there is no such folder"), "{error}");
}

/// Copies what the bundled scene needs for training.
fn copy_scene(to: &Path) {
    fs::create_dir_all(to.join("train")).unwrap();
    fs::copy(Path::new(ORRERY).join("transforms_train.json"), to.join("transforms_train.json")).unwrap();
    for entry in fs::read_dir(Path::new(ORRERY).join("train")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join("train").join(entry.file_name())).unwrap();
    }
}

pub type Points = (Vec<[f32; 3]>, Vec<[f32; 3]>, Vec<[u8; 3]>);

/// Reads a point cloud in the one layout that `export` writes.
pub fn read_points(path: &Path) -> Points {
    let bytes = fs::read(path).unwrap();
    let end = bytes.windows(11).position(|window| window == b"end_header\n").unwrap() + 11;
    let header = std::str::from_utf8(&bytes[..end]).unwrap();
    assert!(!header.contains("face") && header.contains("nx") && header.contains("blue"), "{header}");
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    let mut read = Points::default();
    for row in bytes[end..].chunks_exact(27) {
        let vector = |at: usize| std::array::from_fn(|k| number(&row[at + 4 * k..at + 4 * k + 4]));
        read.0.push(vector(0));
        read.1.push(vector(12));
        read.2.push(std::array::from_fn(|k| row[24 + k]));
    }
    read
}

fn assert_trimesh_reads(test: &str, folder: &Path, mesh: &Mesh) {
    if !Command::new("python3").args(["-c", "import trimesh"]).output().is_ok_and(|output| output.status.success()) {
        crate::skip::skipped(test, "no python3 with trimesh: exported meshes are not opened with it");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check_mesh.py");
    let output =
        Command::new("python3").args([script, "out/scene.ply", "out/points.ply"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["watertight"], true, "{}", lines[0]);
    assert_eq!(lines[0]["triangles"].as_u64(), Some(mesh.triangles.len() as u64));
    assert!(lines.iter().all(|line| line["mean_color"].is_array()), "{text}");
    assert_eq!(lines[1]["vertices"], 5000);
}
