//! The output of `gridfield info` for a scene.

use super::print::rows;
use crate::geometry::{Camera, Lens};
use crate::scene::{CaptureKind, Format, Scene, View};

/// Describes a scene row by row, with the warnings last.
pub(super) fn describe(scene: &Scene) -> String {
    let splits = &scene.splits;
    let centre = scene.unit_cube.to_files([0.5; 3]).map(|x| format!("{x:.4}")).join(", ");
    let mut lines = vec![
        ("scene", scene.name.clone()),
        ("format", format_name(scene.format).to_owned()),
        ("capture", capture(scene)),
        ("train", views(&splits.train)),
        ("val", views(&splits.val)),
        ("test", views(&splits.test)),
        ("sizes", sizes(&splits.train)),
        ("lens", lens(&splits.train)),
        ("cameras", distances(scene)),
        ("bounds", bounds(scene)),
        ("points", count(scene.points.len(), "points on the scene's surfaces")),
        ("masks", count(splits.train.iter().filter(|view| view.is_masked()).count(), "of the training images")),
        (
            "depth maps",
            count(splits.train.iter().filter(|view| view.depth.is_some()).count(), "of the training images"),
        ),
        ("centre", format!("({centre}) in the scene is the centre of the unit cube")),
        ("scale", format!("{} unit cubes per scene unit", scene.unit_cube.scale)),
        ("unit cube", scene.unit_cube.to_string()),
    ];
    lines.extend(scene.notes.iter().map(|note| ("note", note.clone())));
    lines.extend(scene.rig_faults().iter().map(|fault| ("warning", fault.to_string())));
    rows(&lines)
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Blender => "Blender (transforms_*.json)",
        Format::Llff => "LLFF (poses_bounds.npy)",
        Format::Colmap => "COLMAP (a reconstruction and images/)",
        Format::Transforms => "nerfstudio or instant-ngp (transforms.json)",
    }
}

fn capture(scene: &Scene) -> String {
    let kind = match scene.capture.kind {
        CaptureKind::Synthetic => "synthetic: nothing outside of the unit cube",
        CaptureKind::ForwardFacing => "forward-facing: all cameras look one way",
        CaptureKind::Inward => "around or within a scene that continues behind its subject",
    };
    match scene.capture.aabb_scale {
        Some(aabb_scale) => format!("{kind}, in a box of {aabb_scale} unit cubes a side"),
        None => kind.to_owned(),
    }
}

/// Returns the number and size of a split's images, and the horizontal field of view of the first one.
fn views(views: &[View]) -> String {
    let Some(first) = views.first() else { return "none".to_owned() };
    let size = |view: &View| (view.camera.intrinsics.width, view.camera.intrinsics.height);
    let (width, height) = size(first);
    let sizes = if views.iter().all(|view| size(view) == (width, height)) { "" } else { " and other sizes" };
    format!("{} images of {width}×{height}{sizes}, {:.1}° wide", views.len(), field_of_view(&first.camera))
}

/// Returns the angle between the left and the right edge of the image, in degrees.
fn field_of_view(camera: &Camera) -> f32 {
    let (width, height) = (camera.intrinsics.width as f32, camera.intrinsics.height as f32);
    let between = |a: f32, b: f32| {
        let (left, right) = (camera.ray(a, height / 2.0).1, camera.ray(b, height / 2.0).1);
        let cosine: f32 = left.iter().zip(right).map(|(a, b)| a * b).sum();
        cosine.clamp(-1.0, 1.0).acos().to_degrees()
    };
    match camera.intrinsics.lens {
        Lens::Perspective | Lens::OpenCv { .. } | Lens::FullOpenCv { .. } => between(0.0, width),
        // These may see more than a half of the sphere.
        Lens::Fisheye { .. } | Lens::ThinPrismFisheye { .. } => {
            between(0.0, camera.intrinsics.cx) + between(camera.intrinsics.cx, width)
        }
        Lens::Equirectangular | Lens::EqualArea => 180.0 * width / camera.intrinsics.fl_x,
    }
}

/// Returns the sizes in which the first view is stored on disk.
fn sizes(views: &[View]) -> String {
    let Some(first) = views.first() else { return "none".to_owned() };
    let sizes = first.images.iter().map(|file| match file.reduced {
        1 => format!("{}×{}", file.width, file.height),
        reduced => format!("{}×{} (÷{reduced})", file.width, file.height),
    });
    sizes.collect::<Vec<_>>().join(", ")
}

/// Describes the lens of the first view, and says whether others differ.
fn lens(views: &[View]) -> String {
    let Some(first) = views.first() else { return "none".to_owned() };
    let lens = first.camera.intrinsics.lens;
    let others = if views.iter().all(|view| view.camera.intrinsics.lens == lens) { "" } else { "; others differ" };
    let told = match lens {
        Lens::Perspective => "no distortion".to_owned(),
        Lens::OpenCv { k, p } => format!("OpenCV, k = {}, p = {}", listed(&k), listed(&p)),
        Lens::FullOpenCv { k, p } => format!("OpenCV with a rational factor, k = {}, p = {}", listed(&k), listed(&p)),
        Lens::Fisheye { k } => format!("OpenCV fisheye, k = {}", listed(&k)),
        Lens::Equirectangular => "panorama, equirectangular".to_owned(),
        Lens::EqualArea => "panorama of equal areas (instant-ngp's equirectangular)".to_owned(),
        Lens::ThinPrismFisheye { k, p, s } => {
            format!("thin prism fisheye, k = {}, p = {}, s = {}", listed(&k), listed(&p), listed(&s))
        }
    };
    told + others
}

fn listed(coefficients: &[f32]) -> String {
    coefficients.iter().map(f32::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the distances of the training cameras from the centre of the unit cube.
fn distances(scene: &Scene) -> String {
    let centre = scene.unit_cube.to_scene([0.5; 3]);
    let distance = |view: &View| {
        let offset = view.camera.position().into_iter().zip(centre).map(|(a, b)| (a - b) * (a - b));
        offset.sum::<f32>().sqrt()
    };
    let mut distances: Vec<f32> = scene.splits.train.iter().map(distance).collect();
    distances.sort_by(f32::total_cmp);
    let (nearest, farthest) = (distances[0], distances[distances.len() - 1]);
    let side = 1.0 / scene.unit_cube.scale;
    format!("{nearest:.3} to {farthest:.3} scene units from the centre of the unit cube, whose side is {side:.3}")
}

fn bounds(scene: &Scene) -> String {
    match scene.capture.bounds {
        Some([near, far]) => format!("{near:.3} to {far:.3} scene units from the cameras"),
        None => "not known".to_owned(),
    }
}

fn count(n: usize, of_what: &str) -> String {
    if n == 0 { "none".to_owned() } else { format!("{n} {of_what}") }
}
