//! Contents of a reconstruction, independent of the file format, and COLMAP's camera models.

use crate::geometry::{Intrinsics, Lens};
use std::collections::{BTreeMap, HashSet};

/// Reason why a file was refused; the caller adds the file name and the position.
pub(super) type Refusal = String;

/// A reconstruction.
#[derive(Default)]
pub(super) struct Model {
    /// Cameras by number.
    pub cameras: BTreeMap<u32, Intrinsics>,
    pub images: Vec<Registered>,
    /// Points in world coordinates, by number.
    pub points: BTreeMap<u64, [f64; 3]>,
}

/// A registered image with its pose.
pub(super) struct Registered {
    pub name: String,
    /// Number of its camera, which exists in the model.
    pub camera: u32,
    /// Rotation from world coordinates to the camera's axes, as a quaternion w, x, y, z; never 0.
    pub rotation: [f64; 4],
    pub translation: [f64; 3],
    /// Numbers of the points that the image sees.
    pub points: Vec<u64>,
}

/// A camera model of COLMAP.
pub(super) struct CameraModel {
    pub name: &'static str,
    pub n_parameters: usize,
    is_supported: bool,
}

const EQUIRECTANGULAR: &str = "EQUIRECTANGULAR";

/// COLMAP's camera models in the order of their numbers (`src/colmap/sensor/models.h`).
pub(super) const MODELS: [CameraModel; 18] = [
    supported("SIMPLE_PINHOLE", 3),
    supported("PINHOLE", 4),
    supported("SIMPLE_RADIAL", 4),
    supported("RADIAL", 5),
    supported("OPENCV", 8),
    supported("OPENCV_FISHEYE", 8),
    supported("FULL_OPENCV", 12),
    unsupported("FOV", 5),
    supported("SIMPLE_RADIAL_FISHEYE", 4),
    supported("RADIAL_FISHEYE", 5),
    supported("THIN_PRISM_FISHEYE", 12),
    unsupported("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    unsupported("SIMPLE_DIVISION", 4),
    unsupported("DIVISION", 5),
    supported("SIMPLE_FISHEYE", 3),
    supported("FISHEYE", 4),
    unsupported("EUCM", 6),
    supported(EQUIRECTANGULAR, 2),
];

const fn supported(name: &'static str, n_parameters: usize) -> CameraModel {
    CameraModel { name, n_parameters, is_supported: true }
}

const fn unsupported(name: &'static str, n_parameters: usize) -> CameraModel {
    CameraModel { name, n_parameters, is_supported: false }
}

/// Returns the names of the camera models that can be read.
pub(in crate::scene) fn supported_models() -> impl Iterator<Item = &'static str> {
    MODELS.iter().filter(|model| model.is_supported).map(|model| model.name)
}

/// Largest plausible number of pixels along a side of a photograph.
const MOST_PIXELS: u64 = 1_000_000;

/// Returns the intrinsics of a camera from the name of its model and its parameters.
pub(super) fn camera(model: &str, width: u64, height: u64, parameters: &[f64]) -> Result<Intrinsics, Refusal> {
    let known = MODELS.iter().find(|known| known.name == model && known.is_supported);
    let CameraModel { n_parameters: expected, .. } = known.ok_or_else(|| {
        let names = supported_models().collect::<Vec<_>>().join(", ");
        format!("is of the model {model}, which is not supported; reconstruct with one of {names}")
    })?;
    if parameters.len() != *expected {
        return Err(format!("has {} parameters, but a {model} camera has {expected}", parameters.len()));
    }
    if !(1..=MOST_PIXELS).contains(&width) || !(1..=MOST_PIXELS).contains(&height) {
        return Err(format!("is {width}×{height} pixels large, which no photograph is"));
    }
    if let Some(number) = parameters.iter().find(|number| !(**number as f32).is_finite()) {
        return Err(format!("has the parameter {number}, where a finite number is needed"));
    }
    if model == EQUIRECTANGULAR {
        return panorama(width as u32, height as u32, [parameters[0], parameters[1]]);
    }
    let one_focal = model.starts_with("SIMPLE_") || matches!(model, "RADIAL" | "RADIAL_FISHEYE");
    let ([fl_x, fl_y, cx, cy], distortion) = match parameters {
        [f, cx, cy, distortion @ ..] if one_focal => ([*f, *f, *cx, *cy], distortion),
        [fl_x, fl_y, cx, cy, distortion @ ..] => ([*fl_x, *fl_y, *cx, *cy], distortion),
        _ => unreachable!("every model has three parameters or more"),
    };
    if !(fl_x as f32 > 0.0 && fl_y as f32 > 0.0) {
        return Err(format!("has the focal length {fl_x} by {fl_y}, where numbers above 0 are needed"));
    }
    let lens = lens(model, distortion);
    let [fl_x, fl_y, cx, cy] = [fl_x, fl_y, cx, cy].map(|x| x as f32);
    Ok(Intrinsics { width: width as u32, height: height as u32, fl_x, fl_y, cx, cy, lens })
}

/// Returns the intrinsics of a panorama, whose parameters are its own width and height.
fn panorama(width: u32, height: u32, parameters: [f64; 2]) -> Result<Intrinsics, Refusal> {
    match parameters == [f64::from(width), f64::from(height)] {
        true => Ok(Intrinsics::panorama(width, height)),
        false => Err(format!(
            "is a panorama of {width}×{height} pixels, but has the parameters {} and {}, which must be its width and \
             height",
            parameters[0], parameters[1]
        )),
    }
}

/// Returns the lens of a model from the parameters behind its focal lengths and principal point.
fn lens(model: &str, distortion: &[f64]) -> Lens {
    match (model, distortion) {
        ("SIMPLE_FISHEYE" | "FISHEYE" | "SIMPLE_RADIAL_FISHEYE" | "RADIAL_FISHEYE" | "OPENCV_FISHEYE", k) => {
            // All have OPENCV_FISHEYE's first coefficients.
            Lens::Fisheye { k: std::array::from_fn(|i| k.get(i).map_or(0.0, |&k| k as f32)) }
        }
        ("THIN_PRISM_FISHEYE", &[k1, k2, p1, p2, k3, k4, s1, s2]) => {
            Lens::thin_prism_fisheye([k1, k2, k3, k4], [p1, p2], [s1, s2])
        }
        (_, &[]) => Lens::Perspective,
        (_, &[k]) => Lens::opencv([k, 0.0, 0.0, 0.0], [0.0; 2]),
        (_, &[k1, k2]) => Lens::opencv([k1, k2, 0.0, 0.0], [0.0; 2]),
        (_, &[k1, k2, p1, p2]) => Lens::opencv([k1, k2, 0.0, 0.0], [p1, p2]),
        (_, &[k1, k2, p1, p2, k3, k4, k5, k6]) => Lens::full_opencv([k1, k2, k3, k4, k5, k6], [p1, p2]),
        _ => unreachable!("the number of parameters is that of the model"),
    }
}

impl Model {
    /// Checks an image and adds it.
    pub fn add_image(&mut self, image: Registered) -> Result<(), Refusal> {
        let Registered { name, camera, rotation, translation, .. } = &image;
        if !self.cameras.contains_key(camera) {
            return Err(format!("{name} has the camera {camera}, which is not among the cameras; reconstruct again"));
        }
        if let Some(number) = rotation.iter().chain(translation).find(|number| !(**number as f32).is_finite()) {
            return Err(format!("{name} has {number} in its pose, where finite numbers are needed; reconstruct again"));
        }
        let length = rotation.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !(1e-6..1e6).contains(&length) {
            return Err(format!("{name} has the rotation {rotation:?}, which is none; reconstruct again"));
        }
        self.images.push(image);
        Ok(())
    }

    /// Checks a point and adds it.
    pub fn add_point(&mut self, number: u64, point: [f64; 3]) -> Result<(), Refusal> {
        if point.iter().any(|x| !(*x as f32).is_finite()) {
            return Err(format!("point {number} is at {point:?}, where finite numbers are needed; reconstruct again"));
        }
        self.points.insert(number, point);
        Ok(())
    }

    /// Refuses images that share a name, since they could not be told apart.
    pub fn check_names(&self) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        match self.images.iter().find(|image| !seen.insert(image.name.as_str())) {
            Some(image) => Err(format!("names {} twice; reconstruct again", image.name)),
            None => Ok(()),
        }
    }
}
