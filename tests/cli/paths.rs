//! `gridfield render` along camera paths of nerfstudio.

use crate::binary::{gridfield, sentence, stderr, train_tiny};
use serde_json::json;

#[test]
fn a_path_of_nerfstudios_viewer_shows_what_it_shows_there() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=30", "--quiet"]);
    // A camera 4 in front of the origin along x: right, up and back are y, z and x. nerfstudio's frame has x and y
    // exchanged, z turned over, and everything moved and halved.
    let in_scene = [0.0, 0.0, 1.0, 4.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0];
    let in_viewer = [1.0, 0.0, 0.0, 0.1, 0.0, 0.0, 1.0, 2.2, 0.0, -1.0, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0];
    let map = json!({ "transform": [[0, 1, 0, 0.2], [1, 0, 0, 0.4], [0, 0, -1, 0.6]], "scale": 0.5 });
    for (name, matrix) in [("scene.json", in_scene), ("viewer.json", in_viewer)] {
        let path = json!({
            "render_width": 40, "render_height": 30, "fps": 10,
            "camera_path": [{ "camera_to_world": matrix, "fov": 40.0 }, { "camera_to_world": matrix, "fov": 30.0 }],
        });
        std::fs::write(folder.path().join(name), path.to_string()).unwrap();
    }
    let render = |args: &[&str]| {
        let output = gridfield(folder.path(), &[&["render", "latest", "--threads=2"], args].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let notes: Vec<String> = stderr(&output).lines().map(str::to_owned).collect();
        (notes, image::open(folder.path().join("0.png")).unwrap().into_rgb8())
    };
    let (notes, expected) = render(&["--path=scene.json", "--output=%d.png"]);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("gridfield: note: scene.json is taken to be in the coordinates of the scene; if"));
    std::fs::write(folder.path().join("dataparser_transforms.json"), map.to_string()).unwrap();
    let (notes, found) = render(&["--path=viewer.json", "--output=%d.png"]);
    assert!(
        notes.len() == 1 && notes[0].contains("in nerfstudio's frame, which dataparser_transforms.json"),
        "{notes:?}"
    );
    let apart = expected.iter().zip(found.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(expected.iter().max() > expected.iter().min() && apart <= 3, "{apart} levels apart");
    let (_, as_it_stands) = render(&["--path=viewer.json", "--path-transforms=none", "--output=%d.png"]);
    let apart = expected.iter().zip(as_it_stands.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(apart > 20, "another view: {apart}");
    render(&["--path=viewer.json", "--seconds=0.5", "--output=%d.png"]);
    assert!(folder.path().join("4.png").is_file() && !folder.path().join("5.png").exists());
    let error = sentence(folder.path(), &["render", "latest", "--path=viewer.json", "--path-transforms=absent.json"]);
    assert!(error.starts_with("absent.json: cannot be read"), "{error}");
}
