//! The output and the files of each `gridfield gtk` command.

use std::fs;
use std::path::Path;

use crate::binary::{ORRERY, printed, tiny_run, train_tiny};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Checks that a figure is a self-contained SVG file.
fn assert_svg(path: &Path) {
    let svg = fs::read_to_string(path).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{}", path.display());
    assert!(!svg.contains("NaN") && !svg.contains("href=\"http"), "{}", path.display());
}

#[test]
fn matrices_are_written_as_numbers_picture_and_numpy_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("gtk");
    let text = printed(folder.path(), &["gtk", "matrix", "-m=linear", "-m=mulfa-paper", "-n=16"]);
    assert!(text.contains("written: gtk/matrix.json, gtk/matrix.svg, gtk/matrix-linear.npy"), "{text}");
    assert_svg(&out.join("matrix.svg"));
    let found = json(&out.join("matrix.json"));
    let results = found["results"].as_array().unwrap();
    assert_eq!((results.len(), results[1]["model"].as_str()), (2, Some("mulfa-paper")));
    let npy = fs::read(out.join("matrix-linear.npy")).unwrap();
    assert_eq!(npy.len() % 64, 0);
    let header = std::str::from_utf8(&npy[10..npy.len() - 16 * 16 * 8]).unwrap();
    assert_eq!(header.trim(), "{'descr': '<f8', 'fortran_order': False, 'shape': (16, 16), }");
    let last = f64::from_le_bytes(npy[npy.len() - 8..].try_into().unwrap());
    assert_eq!(results[0]["matrix"][15][15].as_f64(), Some(last));
}

#[test]
fn the_full_kernel_is_told_by_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    printed(folder.path(), &["gtk", "matrix", "--full", "--readout=linear", "-m=mulfa-windowed", "-n=12", "--dim=2"]);
    let found = json(&folder.path().join("gtk/matrix-full.json"));
    let parts = &found["parts"][0]["mean_diagonal"];
    let mean: f64 = ["features", "theta", "decoder"].iter().map(|part| parts[part].as_f64().unwrap()).sum();
    let trace = found["results"][0]["trace"].as_f64().unwrap();
    // Nine points: the largest square number not above 12.
    assert_eq!(found["points"]["n"], 9);
    assert!((9.0 * mean / trace - 1.0).abs() < 1e-12, "{mean} {trace}");
}

#[test]
fn a_spectrum_has_every_model_and_the_paper_s_kernel_is_wider_at_high_frequency() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["gtk", "spectrum", "-n=64", "--output=here"]);
    assert!(text.contains("mulfa-modulated") && text.contains("here/spectrum.svg"), "{text}");
    assert_svg(&folder.path().join("here/spectrum.svg"));
    let found = json(&folder.path().join("here/spectrum.json"));
    let share = |model: &str| {
        let results = found["results"].as_array().unwrap();
        let result = results.iter().find(|result| result["model"] == model).unwrap();
        assert_eq!(result["eigenvalues"]["values"].as_array().unwrap().len(), 64);
        result["profile"]["high_share"].as_f64().unwrap()
    };
    assert!(share("mulfa-paper") > 10.0 * share("linear"));
    assert!(share("local") > 0.0 && share("cascade 16–32") > 0.0);
    assert_ne!(share("cascade 16–32"), share("linear 16–32"), "a cascade with random matrices has a kernel of its own");
}

#[test]
fn the_training_follows_its_law_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["gtk", "flow", "-n=27", "--dim=3", "--steps=200"]);
    assert!(text.contains("at rounding level") && text.contains("a cascade is not linear in its features"), "{text}");
    assert_svg(&folder.path().join("gtk/flow.svg"));
    let found = json(&folder.path().join("gtk/flow.json"));
    assert!(found["largest_deviation"].as_f64().unwrap() < 1e-12);
}

#[test]
fn the_grid_s_kernel_does_not_drift_while_theta_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["gtk", "drift", "-n=16", "--steps=20", "-m=linear", "-m=mulfa-windowed"]);
    assert!(text.contains("largest drift of the grid part with θ held: 0\n"), "{text}");
    assert_svg(&folder.path().join("gtk/drift.svg"));
    let found = json(&folder.path().join("gtk/drift.json"));
    assert!(found["results"][0]["phi_learned"].is_null(), "the linear kernel has nothing to learn");
    let learned = found["results"][1]["phi_learned"]["grid"].as_array().unwrap();
    assert!(learned.last().unwrap().as_f64().unwrap() > 1e-3);
}

#[test]
fn the_kernel_of_a_cascade_drifts_while_theta_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["gtk", "drift", "-n=16", "--steps=20", "-m=linear,n_levels=3,cascade=true"]);
    assert!(text.contains("largest drift of the grid part of a cascade with θ held: "), "{text}");
    let found = json(&folder.path().join("gtk/drift.json"));
    let held = found["results"][0]["phi_fixed"]["grid"].as_array().unwrap();
    assert!(held.last().unwrap().as_f64().unwrap() > 1e-6, "{held:?}");
    assert!(!found["models"][0]["cascade"].as_array().unwrap().is_empty());
}

#[test]
fn trained_windows_and_cascades_are_models() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=3", "--quiet", "--model=cascade_local"]);
    printed(folder.path(), &["gtk", "spectrum", "-m=latest", "-n=27"]);
    printed(folder.path(), &["gtk", "matrix", "--full", "-m=latest", "-n=27"]);
    let full = json(&folder.path().join("gtk/matrix-full.json"));
    assert!(full["parts"][0]["mean_diagonal"]["theta"].as_f64().unwrap() > 0.0);
    let gates = full["models"][0]["cascade"].as_array().unwrap();
    assert!(gates.iter().any(|gate| gate.as_f64() != Some(0.0)), "trained");
}

#[test]
fn bounds_on_a_scene_are_ranked_beside_measured_errors() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["gtk", "bound", "--data", ORRERY, "-n=100"]);
    assert!(text.contains("rank correlation of bound and measured error over 12 models"), "{text}");
    assert_svg(&folder.path().join("gtk/bound.svg"));
    let found = json(&folder.path().join("gtk/bound.json"));
    let bound = &found["results"][0];
    let (delta, n) = (bound["at_trace_n"]["delta"].as_f64().unwrap(), bound["n"].as_f64().unwrap());
    assert!((bound["at_trace_n"]["bound"].as_f64().unwrap() - (2.0 * delta / n).sqrt()).abs() < 1e-12);
    assert!(bound["test_error"].as_f64().unwrap() < 1.0);
    assert_eq!(found["maps"][0]["delta"].as_array().unwrap().len(), 101);
}

#[test]
fn points_and_labels_come_from_lists() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.json"), "[[0.1, 0.2], [0.5, 0.5], [0.9, 0.1]]").unwrap();
    fs::write(folder.path().join("y.json"), "[1, 0, -1.5]").unwrap();
    printed(folder.path(), &["gtk", "bound", "--data=x.json", "--labels=y.json", "-m=linear"]);
    let found = json(&folder.path().join("gtk/bound.json"));
    assert_eq!((&found["points"]["dimensions"], &found["labels"][2]), (&2.into(), &(-1.5).into()));
    assert!(found["results"][0]["test_error"].is_null(), "no points are held out");
}

#[test]
fn a_trained_field_is_a_model_and_a_source_of_points() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=3"]);
    let run = tiny_run(folder.path());
    let run = run.to_str().unwrap();
    printed(folder.path(), &["gtk", "spectrum", "-m", run, "-m=linear", "--data", run, "-n=40"]);
    let found = json(&folder.path().join("gtk/spectrum.json"));
    assert_eq!((&found["points"]["dimensions"], &found["results"][0]["model"]), (&3.into(), &"tiny".into()));
    printed(folder.path(), &["gtk", "matrix", "--full", "-m=latest", "-n=27"]);
    let full = json(&folder.path().join("gtk/matrix-full.json"));
    assert!(full["parts"][0]["mean_diagonal"]["decoder"].as_f64().unwrap() > 0.0);
}

#[test]
fn fields_of_images_are_models_and_sources_of_points_in_the_plane() {
    let folder = tempfile::tempdir().unwrap();
    let image = format!("{ORRERY}/train/r_0.png");
    for model in ["points", "mulfagrid"] {
        let run = format!("--run-name={model}");
        let model = format!("--model={model}");
        printed(folder.path(), &["fit-image", &image, &model, &run, "--max-steps=3", "--quiet"]);
    }
    let run = |name: &str| format!("outputs/r_0/{name}/{name}");
    let (points, mulfa) = (run("points"), run("mulfagrid"));
    printed(folder.path(), &["gtk", "bound", "-m", &points, "-m", &mulfa, "-m=points", "--data", &mulfa, "-n=60"]);
    let found = json(&folder.path().join("gtk/bound.json"));
    assert_eq!(found["points"]["dimensions"], 2);
    for result in found["results"].as_array().unwrap() {
        assert!(result["test_error"].as_f64().unwrap() > 0.0 && result["at_trace_n"]["delta"].as_f64().unwrap() > 0.0);
    }
    printed(folder.path(), &["gtk", "matrix", "--full", "-m", &points, "--dim=2", "-n=16"]);
    let full = json(&folder.path().join("gtk/matrix-full.json"));
    assert!(full["parts"][0]["mean_diagonal"]["decoder"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_report_is_one_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["gtk", "report", "page", "-n=16", "-m=linear", "-m=mulfa-windowed"]);
    assert!(text.contains("written: page/report.html"), "{text}");
    let html = fs::read_to_string(folder.path().join("page/report.html")).unwrap();
    assert_eq!(html.matches("<svg").count(), 6, "one picture for each");
    for absent in ["<script", "<link", "src=", "url("] {
        assert!(!html.contains(absent), "{absent}");
    }
    assert!(html.contains("gridfield gtk report page -n=16"));
    for name in ["matrix", "matrix-full", "spectrum", "flow", "drift", "bound"] {
        assert_svg(&folder.path().join(format!("page/{name}.svg")));
    }
}

#[test]
fn a_report_goes_on_without_what_cannot_be_measured() {
    let folder = tempfile::tempdir().unwrap();
    printed(folder.path(), &["gtk", "report", "page", "-n=16", "-m=linear", "--set=base_resolution=8"]);
    let html = fs::read_to_string(folder.path().join("page/report.html")).unwrap();
    assert!(html.contains("Not measured: linear: G is singular at these 16 points"), "G of 16 points and 8 nodes");
}
