//! Exporting parts of a field, simplified and textured meshes, and volumes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

use crate::binary::{gridfield, printed, sentence, stderr, tiny_checkpoint, train_tiny};
use gridfield::checkpoint::Checkpoint;
use gridfield::geometry::{Bounds, Camera, Intrinsics, SceneBox};
use gridfield::mesh::{Edges, Mesh};
use gridfield::radiance::Renderer;
use nalgebra::Vector3;
use serde_json::Value;

const STEPS: u64 = 600;
/// A box that the scene's objects cross, as an argument.
const BOX: &str = "--box=-0.55,-0.6,-0.4,0.6,0.45,0.5";

/// Returns a folder with a run, in which tests write files of different names.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let train = || {
        let folder = tempfile::tempdir().unwrap();
        train_tiny(folder.path(), &[&format!("--max-steps={STEPS}"), "--quiet"]);
        folder
    };
    FOLDER.get_or_init(train).path()
}

fn renderer() -> Renderer {
    renderer_of(trained(), STEPS)
}

fn renderer_of(folder: &Path, steps: u64) -> Renderer {
    let checkpoint = Checkpoint::read(&tiny_checkpoint(folder, steps)).unwrap();
    Renderer::from_checkpoint(&crate::common::host(), &checkpoint).unwrap()
}

fn args<'a>(own: &[&'a str]) -> Vec<&'a str> {
    [&["export", "latest", "--resolution=48", "--density-threshold=5", "--device=cpu", "--threads=2"], own].concat()
}

fn export(own: &[&str]) -> String {
    printed(trained(), &args(own))
}

fn read(name: &str) -> Mesh {
    Mesh::read(&trained().join(name), None).unwrap()
}

fn bounds() -> Bounds {
    BOX["--box=".len()..].parse::<SceneBox>().unwrap().relative(&[0.0; 3])
}

#[test]
fn nothing_outside_of_the_box_comes_out_and_all_inside_does() {
    export(&[BOX, "--mesh=part.ply", "--point-cloud=part_points.ply", "--points=3000"]);
    export(&[BOX, "--mesh=part.glb"]);
    export(&["--mesh=all.ply"]);
    let (part, mut whole) = (read("part.ply"), read("all.ply"));
    let inside = |points: &[[f32; 3]]| points.iter().all(|&point| bounds().clamp(point) == point);
    assert!(inside(&part.vertices) && !inside(&whole.vertices));
    let all = whole.area();
    whole.clip(&bounds());
    assert!((part.area() / whole.area() - 1.0).abs() < 1e-5, "{} {}", part.area(), whole.area());
    assert!(whole.area() < 0.8 * all, "the box cuts something off");
    let edges = Edges::of(&part);
    assert!(edges.boundary > 0 && edges.crowded + edges.flipped == 0, "open at the walls: {edges:?}");
    let (points, ..) = super::export::read_points(&trained().join("part_points.ply"));
    assert!(points.len() == 3000 && inside(&points));
    let upright: Vec<[f32; 3]> = part.vertices.iter().map(|&[x, y, z]| [x, z, -y]).collect();
    assert_eq!(read("part.glb").vertices, upright, "the box is in the scene's axes");

    // A box around everything changes nothing.
    export(&["--mesh=around.ply", "--box", "-9,-9,-9,9,9,9"]);
    let bytes = |name: &str| fs::read(trained().join(name)).unwrap();
    assert!(bytes("around.ply") == bytes("all.ply"));
}

#[test]
fn boxes_that_hold_nothing_are_refused() {
    for (given, says) in [
        ("--box=0,0,0,1,1", "a box has six finite numbers"),
        ("--box=0,0,0,1,1,up", "a box has six finite numbers"),
        ("--box=0,0,0,1,-1,1", "the box is empty, as it reaches from 0 to -1 along y"),
        ("--box=3,3,3,4,4,4", "the box is outside of the field, which reaches from -1.5152,-1.5152,-1.5152 to"),
        ("--box=-1.51,-1.51,1.45,-1.45,-1.45,1.51", "no surface in the box"),
    ] {
        let error = sentence(trained(), &args(&["--mesh=refused.ply", given]));
        assert!(error.contains(says), "{given}: {error}");
        assert!(!trained().join("refused.ply").exists());
    }
}

#[test]
fn small_components_are_dropped_on_request() {
    export(&["--mesh=kept.ply"]);
    let output = gridfield(trained(), &args(&["--mesh=dropped.ply", "--min-component=200"]));
    let (mut kept, dropped) = (read("kept.ply"), read("dropped.ply"));
    let n = kept.drop_small_components(200).unwrap();
    assert!(n > 0, "the field has specks");
    assert!(
        stderr(&output).contains(&format!("fewer than 200 triangles that were dropped: {n}")),
        "{}",
        stderr(&output)
    );
    assert_eq!(kept, dropped);
    let error = sentence(trained(), &args(&["--mesh=refused.ply", "--min-component=1000000000"]));
    assert!(error.contains("lower --min-component"), "{error}");
}

#[test]
fn a_simplified_mesh_has_the_triangles_asked_for_and_no_holes() {
    export(&["--mesh=fine.ply", "--min-component=200"]);
    let shown = export(&["--mesh=coarse.ply", "--min-component=200", "--triangles=1000"]);
    let (fine, coarse) = (read("fine.ply"), read("coarse.ply"));
    assert!(fine.triangles.len() > 3000 && coarse.triangles.len() <= 1000, "{shown}");
    assert!(coarse.triangles.len() > 900);
    // Thin parts may become edges of four triangles.
    let edges = Edges::of(&coarse);
    assert!(Edges::of(&fine).are_closed() && edges.boundary + edges.flipped == 0, "{edges:?}");
    assert!(edges.crowded * 100 < edges.edges, "{edges:?}");
    assert!((coarse.volume() / fine.volume() - 1.0).abs() < 0.05);
    let cut = read({
        export(&[BOX, "--mesh=cut.ply", "--min-component=200", "--triangles=600"]);
        "cut.ply"
    });
    assert!(cut.vertices.iter().all(|&vertex| bounds().clamp(vertex) == vertex));

    // However few are asked for, what is written is a closed surface.
    export(&["--mesh=least.ply", "--triangles=4"]);
    let least = read("least.ply");
    let edges = Edges::of(&least);
    assert!((1..=4).contains(&least.triangles.len()) && edges.boundary + edges.flipped == 0, "{edges:?}");
}

/// A GLB file's numbers by attribute, its indices, and its image.
struct Glb {
    json: Value,
    attributes: BTreeMap<String, Vec<f32>>,
    indices: Vec<u32>,
    image: Vec<u8>,
}

/// Reads what the one primitive of a GLB file has, from its two chunks.
fn read_glb(path: &Path) -> Glb {
    let bytes = fs::read(path).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(number(8) as usize, bytes.len());
    let end = 20 + number(12) as usize;
    let json: Value = serde_json::from_slice(&bytes[20..end]).unwrap();
    assert_eq!((end + 8 + number(end) as usize, &bytes[end + 4..end + 8]), (bytes.len(), &b"BIN\0"[..]));
    let binary = &bytes[end + 8..];
    let view = |number: &Value| {
        let view = &json["bufferViews"][number.as_u64().unwrap() as usize];
        let offset = view["byteOffset"].as_u64().unwrap() as usize;
        assert_eq!(offset % 4, 0, "aligned");
        &binary[offset..offset + view["byteLength"].as_u64().unwrap() as usize]
    };
    let accessor = |number: &Value| view(&json["accessors"][number.as_u64().unwrap() as usize]["bufferView"]);
    let primitive = &json["meshes"][0]["primitives"][0];
    let of = |accessor: &[u8]| accessor.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let attributes = primitive["attributes"].as_object().unwrap();
    let attributes = attributes.iter().map(|(name, number)| (name.clone(), of(accessor(number)))).collect();
    let indices = accessor(&primitive["indices"]).as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let image = view(&json["images"][0]["bufferView"]).to_vec();
    Glb { indices: indices.collect(), image, attributes, json: json.clone() }
}

#[test]
fn texels_have_the_colours_of_the_field() {
    let own = [BOX, "--min-component=200", "--triangles=1500", "--texture=512", "--axes=scene"];
    let shown = export(&[&own[..], &["--mesh=baked.glb"]].concat());
    assert!(shown.contains("a texture of 512 × 512"), "{shown}");
    let glb = read_glb(&trained().join("baked.glb"));
    let image = image::load_from_memory(&glb.image).unwrap().into_rgb8();
    assert_eq!(image.dimensions(), (512, 512));
    let names: Vec<&String> = glb.attributes.keys().collect();
    assert_eq!(names, ["NORMAL", "POSITION", "TEXCOORD_0"]);
    let material = &glb.json["materials"][0];
    assert!(material["extensions"]["KHR_materials_unlit"].is_object() && glb.json["extensionsUsed"][0].is_string());

    // The texel in the middle of each triangle, and the point of the surface that its own middle shows.
    let vector = |name: &str, vertex: u32, n: usize| -> Vec<f64> {
        glb.attributes[name][n * vertex as usize..][..n].iter().map(|x| f64::from(*x)).collect()
    };
    let (mut points, mut normals, mut texels) = (Vec::new(), Vec::new(), Vec::new());
    for triangle in glb.indices.as_chunks::<3>().0 {
        let [a, b, c] = triangle.map(|vertex| vector("TEXCOORD_0", vertex, 2));
        let texel = [0, 1].map(|k| (512.0 * (a[k] + b[k] + c[k]) / 3.0).floor());
        let at = texel.map(|x| (x + 0.5) / 512.0);
        let area = |p: &[f64], q: &[f64], r: &[f64]| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
        let shares = [area(&at, &b, &c), area(&a, &at, &c), area(&a, &b, &at)].map(|part| part / area(&a, &b, &c));
        let mixed = |name: &str| -> [f64; 3] {
            let corners = triangle.map(|vertex| vector(name, vertex, 3));
            std::array::from_fn(|k| (0..3).map(|i| shares[i] * corners[i][k]).sum())
        };
        let normal = mixed("NORMAL");
        let length = normal.iter().map(|x| x * x).sum::<f64>().sqrt();
        points.push(mixed("POSITION").map(|x| x as f32));
        normals.push(normal.map(|x| (x / length) as f32));
        texels.push(image[(texel[0] as u32, texel[1] as u32)].0);
    }
    assert!(points.len() > 1000 && points.iter().all(|&point| bounds().clamp(point) == point));
    let colors = renderer().colors_from_above(&points, &normals).unwrap();
    let apart = texels.as_flattened().iter().zip(colors.as_flattened()).map(|(a, b)| (f32::from(*a) - 255.0 * b).abs());
    let most = apart.fold(0.0, f32::max);
    assert!(most < 1.0, "{most} levels of 255 apart");
    let red = colors.iter().map(|color| color[0]);
    let range = red.clone().fold(0.0, f32::max) - red.fold(1.0, f32::min);
    assert!(range > 0.1, "all colours are within {range}");

    // The OBJ file has the same triangles, coordinates and image.
    let shown = export(&[&own[..], &["--mesh=baked.obj"]].concat());
    assert!(shown.starts_with("baked.obj, baked.mtl, baked.png: "), "{shown}");
    assert!(fs::read(trained().join("baked.png")).unwrap() == glb.image);
    assert!(fs::read_to_string(trained().join("baked.mtl")).unwrap().contains("map_Kd baked.png"));
    let text = fs::read_to_string(trained().join("baked.obj")).unwrap();
    let numbers = |key: &str| -> Vec<Vec<f64>> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        lines.map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect()).collect()
    };
    let (places, coordinates) = (numbers("v"), numbers("vt"));
    let faces = text.lines().filter_map(|line| line.strip_prefix("f ")).flat_map(|line| line.split(' '));
    for (corner, &vertex) in faces.zip(&glb.indices) {
        let at: Vec<usize> = corner.split('/').map(|number| number.parse::<usize>().unwrap() - 1).collect();
        let (place, [u, v]) = (&places[at[0]], [coordinates[at[1]][0], 1.0 - coordinates[at[1]][1]]);
        let expected = [vector("POSITION", vertex, 3), vector("TEXCOORD_0", vertex, 2)].concat();
        let found = [place[0], place[1], place[2], u, v];
        assert!((0..5).all(|k| (found[k] - expected[k]).abs() < 2e-6), "{found:?} {expected:?}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("f ")).count(), points.len());
}

/// Returns the camera of one pixel that looks against a normal from a point above a surface.
fn above(point: [f32; 3], normal: [f32; 3], height: f32) -> Camera {
    let z = Vector3::from(normal);
    let along = if z.x.abs() < 0.8 { Vector3::x() } else { Vector3::y() };
    let x = along.cross(&z).normalize();
    let (y, eye) = (z.cross(&x), Vector3::from(point) + height * z);
    let camera_to_world = std::array::from_fn(|k| [x[k], y[k], z[k], eye[k]]);
    Camera { intrinsics: Intrinsics::from_fov_y(1, 1, 1e-3), camera_to_world }
}

#[test]
fn a_surface_has_the_colours_that_pictures_of_it_show() {
    // Long enough for surfaces that light does not pass.
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=3000", "--quiet"]);
    printed(folder.path(), &args(&[BOX, "--min-component=200", "--triangles=1500", "--mesh=seen.ply"]));
    let mesh = Mesh::read(&folder.path().join("seen.ply"), None).unwrap();
    let renderer = renderer_of(folder.path(), 3000);
    let (points, normals) = (mesh.vertices.clone(), mesh.vertex_normals());
    let from_above = renderer.colors_from_above(&points, &normals).unwrap();
    let inwards: Vec<[f32; 3]> = normals.iter().map(|normal| normal.map(|x| -x)).collect();
    let at_surface = renderer.colors_along(&points, &inwards).unwrap();
    let (mut n_seen, mut apart, mut apart_at_surface) = (0.0, 0.0, 0.0);
    for i in (0..points.len()).step_by(5) {
        let frame = renderer.render(&above(points[i], normals[i], 0.2), [0.0; 3]).unwrap();
        let opacity = frame.opacity[0];
        if opacity > 0.9 {
            // Over black, a picture has the colour times the opacity.
            let difference =
                |color: [f32; 3]| (0..3).map(|k| (color[k] - frame.rgb[k] / opacity).abs()).sum::<f32>() / 3.0;
            n_seen += 1.0;
            apart += difference(from_above[i]);
            apart_at_surface += difference(at_surface[i]);
        }
    }
    let (apart, apart_at_surface) = (255.0 * apart / n_seen, 255.0 * apart_at_surface / n_seen);
    eprintln!("{n_seen} points: {apart} levels apart, {apart_at_surface} at the surface itself");
    assert!(n_seen > 30.0 && apart < 8.0 && apart < 0.5 * apart_at_surface, "{n_seen}: {apart} {apart_at_surface}");
}

#[test]
fn textures_that_cannot_be_are_refused() {
    for (own, says) in [
        (&["--mesh=refused.glb", "--texture=64"][..], "a texture of 64 × 64 texels is too small for"),
        (&["--mesh=refused.ply", "--texture=512"], "refused.ply: textures are written to .glb and .obj files"),
        (&["--mesh=refused.glb", "--texture=8"], "8 is not in 16..=16384"),
        (&["--volume=refused.raw"], "a volume is written as .npz or .vdb"),
        (&["--volume=refused.npz"], "--density-threshold is for meshes and point clouds, and only a volume is written"),
    ] {
        let error = sentence(trained(), &args(own));
        assert!(error.contains(says), "{own:?}: {error}");
    }
    let files = fs::read_dir(trained()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.filter(|name| name.starts_with("refused")).count(), 0);
}

/// Returns the shape and the bytes of each array of an archive.
fn read_npz(path: &Path) -> BTreeMap<String, (String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let array = |i: usize| {
        let mut entry = archive.by_index(i).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        (name, (String::from_utf8(bytes[10..end].to_vec()).unwrap(), bytes[end..].to_vec()))
    };
    (0..3).map(array).collect()
}

#[test]
fn a_volume_has_the_densities_and_colours_of_the_field() {
    let shown = printed(trained(), &["export", "latest", "--volume=part.npz", BOX, "--resolution=64", "--threads=2"]);
    // A cell is 3.0303 / 64 wide.
    assert!(shown.contains("24 × 22 × 19 cells"), "{shown}");
    let arrays = read_npz(&trained().join("part.npz"));
    let floats = |name: &str| -> Vec<f32> {
        arrays[name].1.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    assert!(arrays["density.npy"].0.contains("'shape': (24, 22, 19)"), "{}", arrays["density.npy"].0);
    assert!(arrays["color.npy"].0.contains("'shape': (24, 22, 19, 3)"));
    let corners: Vec<f64> =
        arrays["bounds.npy"].1.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    assert_eq!(corners, [-0.55, -0.6, -0.4, 0.6, 0.45, 0.5]);
    let (density, color) = (floats("density.npy"), floats("color.npy"));
    let centre = |cell: usize| -> [f32; 3] {
        let at = [cell / (22 * 19), cell / 19 % 22, cell % 19];
        let n = [24.0, 22.0, 19.0];
        std::array::from_fn(|k| (corners[k] + (at[k] as f64 + 0.5) * (corners[3 + k] - corners[k]) / n[k]) as f32)
    };
    let filled: Vec<usize> = (0..density.len()).filter(|&cell| density[cell] > 0.0).collect();
    assert!(filled.len() > 100 && filled.len() < density.len(), "{} of {}", filled.len(), density.len());
    let renderer = renderer();
    let points: Vec<[f32; 3]> = filled.iter().map(|&cell| centre(cell)).collect();
    let in_cube: Vec<[f32; 3]> = points.iter().map(|point| point.map(|x| 0.33 * x + 0.5)).collect();
    // The unit cube is 1 / 0.33 scene units wide.
    let expected: Vec<f32> = renderer.densities(&in_cube).unwrap().iter().map(|density| 0.33 * density).collect();
    let apart = filled.iter().zip(&expected).map(|(&cell, expected)| (density[cell] / expected - 1.0).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-3);
    let towards = |direction: [f32; 3]| renderer.colors_along(&points, &vec![direction; points.len()]).unwrap();
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let seen: Vec<_> = axes.iter().flat_map(|&axis| [towards(axis), towards(axis.map(|x| -x))]).collect();
    for (i, &cell) in filled.iter().enumerate() {
        let mean: [f32; 3] = std::array::from_fn(|k| seen.iter().map(|colors| colors[i][k]).sum::<f32>() / 6.0);
        assert!((0..3).all(|k| (color[3 * cell + k] - mean[k]).abs() < 1e-3), "{cell}: {mean:?}");
    }
    // Where the field is dense enough, its mesh is.
    assert!(filled.iter().any(|&cell| density[cell] > 5.0 * 0.33));

    // OpenVDB stores the same densities, four bytes each, where they are not 0.
    printed(trained(), &["export", "latest", "--volume=part.vdb", BOX, "--resolution=64", "--threads=2"]);
    let bytes = fs::read(trained().join("part.vdb")).unwrap();
    let contains = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(contains(b"Tree_float_5_4_3") && contains(b"Tree_vec3s_5_4_3"));
    assert!(filled.iter().step_by(97).all(|&cell| contains(&density[cell].to_le_bytes())));

    let error = sentence(trained(), &["export", "latest", "--volume=b.npz", "--box=3,3,3,4,4,4"]);
    assert!(error.contains("the box is outside of the field"), "{error}");
}

#[test]
fn exr_frames_have_all_channels_in_linear_floats() {
    let folder = trained();
    let render = |output: &str, outputs: &str| {
        let size = ["--width=24", "--height=18", "--seconds=0.04", "--device=cpu", "--threads=2"];
        printed(folder, &[&["render", "latest", "--output", output, "--outputs", outputs], &size[..]].concat())
    };
    let planes = |name: &str| -> BTreeMap<String, Vec<f32>> {
        let image = exr::prelude::read_first_flat_layer_from_file(folder.join(name)).unwrap();
        let list = image.layer_data.channel_data.list;
        list.iter().map(|plane| (plane.name.to_string(), plane.sample_data.values_as_f32().collect())).collect()
    };
    assert_eq!(render("frames/%03d.exr", "rgb,depth,normal"), "frames/%03d.exr\n");
    render("frames/%03d.png", "rgb");
    let view = planes("frames/000.exr");
    assert_eq!(view.keys().collect::<Vec<_>>(), ["B", "G", "N.X", "N.Y", "N.Z", "R", "Z"]);
    let srgb = |x: f32| if x <= 0.003_130_8 { 12.92 * x } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
    let picture = image::open(folder.join("frames/000.png")).unwrap().into_rgb8();
    for (i, pixel) in picture.pixels().enumerate() {
        let shown = ["R", "G", "B"].map(|name| 255.0 * srgb(view[name][i]));
        assert!((0..3).all(|k| (shown[k] - f32::from(pixel.0[k])).abs() < 0.51), "{shown:?} {pixel:?}");
    }
    let finite = view["Z"].iter().filter(|z| z.is_finite()).count();
    assert!(finite > 20 && finite < 24 * 18, "{finite} pixels have a depth");
    assert!(view["Z"].iter().all(|z| *z > 1.0 && (*z < 8.0 || z.is_infinite())), "scene units");

    // With alpha, the colours have no background: together with it they give the picture over white.
    render("frames/%03d-a.exr", "rgb,opacity");
    let over_nothing = planes("frames/000-a.exr");
    for i in 0..24 * 18 {
        let alpha = over_nothing["A"][i];
        let [r, expected] = [&over_nothing, &view].map(|planes| planes["R"][i]);
        if alpha > 0.999 {
            assert!((r - expected).abs() < 2e-3, "{r} {expected}");
        }
        assert!(r <= alpha + 1e-6, "{r} {alpha}");
        assert!(alpha > 1e-3 || expected > 0.99, "white where nothing is");
    }
}
