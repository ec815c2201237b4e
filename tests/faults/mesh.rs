//! Invalid meshes: exit code 2, one sentence that says what is wrong, and nothing written.

use std::fs;
use std::path::Path;

use crate::binary::sentence;

#[track_caller]
fn assert_refused(file: &str, content: &[u8], says: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), content).unwrap();
    let error = refused(folder.path(), file);
    for part in [&[file], says].concat() {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

fn refused(folder: &Path, file: &str) -> String {
    let error = sentence(folder, &["fit-sdf", file, "--device=cpu", "--max-steps=1"]);
    assert!(!folder.join("outputs").exists(), "nothing was written: {error}");
    error
}

#[test]
fn meshes_without_a_surface() {
    assert_refused("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", &["has no faces"]);
    assert_refused("a.obj", b"", &["has no faces"]);
    assert_refused("a.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", &["faces of no area only"]);
    assert_refused("a.obj", b"v 0 0 0\nv 0 0 0\nv 2 0 0\nf 1 2 3\n", &["faces of no area only"]);
    assert_refused(
        "a.obj",
        b"v -3e38 0 0\nv 3e38 0 0\nv 0 1 0\nf 1 2 3\n",
        &["so large that its extent is not a finite number"],
    );
}

#[test]
fn coordinates_and_numbers_that_are_none() {
    assert_refused(
        "a.obj",
        b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n",
        &["vertex 1 is [NaN, 0.0, 0.0]", "must be finite"],
    );
    assert_refused("a.obj", b"v 0 0 0\nv 1 inf 0\nv 0 1 0\nf 1 2 3\n", &["vertex 1 is", "must be finite"]);
    assert_refused(
        "a.obj",
        b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n",
        &["line 4", "vertex 4, but 3 vertices stand above it"],
    );
    let ply = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n\
                property list uchar int vertex_indices\nend_header\n0 0 0\n3 0 1 2\n";
    assert_refused("a.ply", ply, &["face 0 names vertex 1, but there are 1 vertices"]);
}

#[test]
fn files_that_are_cut_off_or_no_meshes() {
    assert_refused("a.obj", b"v 0 0 0\nv 1 0", &["line 2 has a vertex without three numbers"]);
    assert_refused("a.ply", b"ply\nformat ascii 1.0\n", &["its PLY header does not end"]);
    assert_refused("a.stl", b"solid\nfacet normal 0 0 1\n", &["truncated"]);
    assert_refused("a.stl", &[0; 100], &["has no faces"]);
    let mut announcing = vec![0; 100];
    announcing[80..84].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_refused("a.stl", &announcing, &["announces 4294967295 facets, but 0 are there"]);
    assert_refused("a.glb", b"glTF\x02\0\0\0\xff\0\0\0", &["truncated"]);
    assert_refused("a.gltf", b"not json", &["not a glTF file that can be read"]);
    assert_refused("a.xyz", b"0 0 0", &["a mesh is a .obj, .ply, .stl, .gltf or .glb file"]);
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(folder.path(), "absent.obj").contains("absent.obj: there is no such mesh"));
}

#[test]
fn settings_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.obj"), "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n").unwrap();
    for (setting, says) in [
        ("sdf.near_deviation=0", "sdf.near_deviation is 0, but must be from"),
        ("sdf.winding_accuracy=0.5", "sdf.winding_accuracy is 0.5, but must be from"),
        ("sdf.eikonal_weight=-1", "sdf.eikonal_weight is -1, but must be from 0 to 1000"),
        ("sdf.eikonal_weight=1e4", "sdf.eikonal_weight is 10000, but must be from"),
        ("sdf.eikonal_step=1e-5", "sdf.eikonal_step is 0.00001, but must be from 0.0001 to 0.1"),
        ("sdf.eikonal_step=0.2", "sdf.eikonal_step is 0.2, but must be from"),
        ("sdf.near_deviaton=1", "`sdf.near_deviation`"),
    ] {
        let error = sentence(folder.path(), &["fit-sdf", "a.obj", &format!("--set={setting}")]);
        assert!(error.contains(says), "{error}");
        assert!(!folder.path().join("outputs").exists());
    }
}
