//! Generates small scenes in every format: cameras on an arc that look at the origin, with images of a single colour.
#![allow(dead_code)] // each test binary uses only some of these

pub mod room;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::skip::skipped;

pub const SIZE: (u32, u32) = (40, 30);
pub const FOCAL: f64 = 50.0;

/// Writes an image of a single grey.
pub fn image(path: impl AsRef<Path>, (width, height): (u32, u32), grey: u8) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(width, height, image::Rgb([grey; 3])).save(path).unwrap();
}

/// Returns the rows of the camera-to-world matrix of camera `i` of `n`, on an arc of `degrees` around the origin, at
/// distance 4, with z up.
pub fn pose(i: usize, n: usize, degrees: f64) -> [[f64; 4]; 3] {
    let angle = (i as f64 / n as f64 - 0.5) * degrees.to_radians();
    let (sine, cosine) = angle.sin_cos();
    // Columns: right, up, back, position.
    [[-sine, 0.0, cosine, 4.0 * cosine], [cosine, 0.0, sine, 4.0 * sine], [0.0, 1.0, 0.0, 0.0]]
}

pub fn name(i: usize) -> String {
    format!("{i:03}")
}

pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Returns a NumPy file of f64 values.
pub fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let shape: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    let body: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &body].concat()
}

/// Returns LLFF's 17 numbers for a camera, with bounds 1 and 9.
pub fn llff_row(pose: &[[f64; 4]; 3], (width, height): (u32, u32), focal: f64) -> Vec<f64> {
    let hwf = [f64::from(height), f64::from(width), focal];
    let row = |r: usize| [-pose[r][1], pose[r][0], pose[r][2], pose[r][3], hwf[r]];
    (0..3).flat_map(row).chain([1.0, 9.0]).collect()
}

/// Writes an LLFF scene of `n` cameras with its images in `images`.
pub fn llff(folder: &Path, n: usize, degrees: f64) {
    let rows: Vec<f64> = (0..n).flat_map(|i| llff_row(&pose(i, n, degrees), SIZE, FOCAL)).collect();
    write(folder.join("poses_bounds.npy"), npy(&[n, 17], &rows));
    (0..n).for_each(|i| image(folder.join(format!("images/{}.png", name(i))), SIZE, 100));
}

/// Returns the transforms.json document for `n` frames and writes their images.
pub fn transforms(folder: &Path, n: usize, degrees: f64) -> Value {
    let frame = |i: usize| {
        let file_path = format!("images/{}.png", name(i));
        image(folder.join(&file_path), SIZE, 100);
        let [a, b, c] = pose(i, n, degrees);
        json!({ "file_path": file_path, "transform_matrix": [a, b, c, [0.0, 0.0, 0.0, 1.0]] })
    };
    json!({ "fl_x": FOCAL, "w": SIZE.0, "h": SIZE.1, "frames": (0..n).map(frame).collect::<Vec<_>>() })
}

pub fn write_json(path: impl AsRef<Path>, document: &Value) {
    write(path, document.to_string());
}

/// Number, model, width, height and parameters.
pub type ColmapCamera = (u32, &'static str, u64, u64, Vec<f64>);

/// Quaternion and translation, camera, name, and visible points.
pub type ColmapImage = ([f64; 4], [f64; 3], u32, String, Vec<u64>);

/// A reconstruction, as in COLMAP's files.
pub struct Colmap {
    pub cameras: Vec<ColmapCamera>,
    pub images: Vec<ColmapImage>,
    pub points: Vec<(u64, [f64; 3])>,
}

/// Returns a reconstruction of `n` cameras around a point cloud near the origin, in a world where y is down.
pub fn colmap(n: usize, degrees: f64) -> Colmap {
    let (width, height) = (u64::from(SIZE.0), u64::from(SIZE.1));
    let parameters = vec![FOCAL, FOCAL + 1.0, 20.5, 14.5];
    let points: Vec<(u64, [f64; 3])> = (1..=20u64)
        .map(|k| (k, [(k as f64).sin() * 0.3, (k as f64 * 2.0).sin() * 0.3, (k as f64 * 3.0).sin() * 0.3]))
        .collect();
    let image = |i: usize| {
        let angle = (i as f64 / n as f64 - 0.5) * degrees.to_radians();
        // A rotation about y, then a translation by 4 forward.
        let rotation = [(angle / 2.0).cos(), 0.0, (angle / 2.0).sin(), 0.0];
        (rotation, [0.0, 0.0, 4.0], 1, format!("{}.png", name(i)), points.iter().map(|point| point.0).collect())
    };
    Colmap { cameras: vec![(1, "PINHOLE", width, height, parameters)], images: (0..n).map(image).collect(), points }
}

/// Names of COLMAP's camera models, at their numbers.
const MODELS: [&str; 18] = [
    "SIMPLE_PINHOLE",
    "PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV",
    "OPENCV_FISHEYE",
    "FULL_OPENCV",
    "FOV",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
    "THIN_PRISM_FISHEYE",
    "RAD_TAN_THIN_PRISM_FISHEYE",
    "SIMPLE_DIVISION",
    "DIVISION",
    "SIMPLE_FISHEYE",
    "FISHEYE",
    "EUCM",
    "EQUIRECTANGULAR",
];

impl Colmap {
    pub fn write_images(&self, folder: &Path) {
        self.images.iter().for_each(|image| self::image(folder.join("images").join(&image.3), SIZE, 100));
    }

    pub fn write_text(&self, sparse: &Path) {
        let numbers = |numbers: &[f64]| numbers.iter().map(|x| format!(" {x}")).collect::<String>();
        let camera =
            |(id, model, w, h, parameters): &ColmapCamera| format!("{id} {model} {w} {h}{}\n", numbers(parameters));
        let cameras: String = self.cameras.iter().map(camera).collect();
        write(sparse.join("cameras.txt"), format!("# Camera list\n{cameras}"));
        let images = self.images.iter().enumerate().map(|(i, (rotation, translation, camera, name, points))| {
            let seen: String = points.iter().map(|point| format!("1.5 2.5 {point} ")).collect();
            format!("{}{}{} {camera} {name}\n3 4 -1 {seen}\n", i + 1, numbers(rotation), numbers(translation))
        });
        write(sparse.join("images.txt"), format!("# Image list\n{}", images.collect::<String>()));
        let points = self.points.iter().map(|(id, xyz)| format!("{id}{} 1 2 3 0.5 1 0 2 0\n", numbers(xyz)));
        write(sparse.join("points3D.txt"), points.collect::<String>());
    }

    pub fn write_binary(&self, sparse: &Path) {
        let [cameras, images, points] = self.binary();
        write(sparse.join("cameras.bin"), cameras);
        write(sparse.join("images.bin"), images);
        write(sparse.join("points3D.bin"), points);
    }

    /// Returns the bytes of cameras.bin, images.bin and points3D.bin.
    pub fn binary(&self) -> [Vec<u8>; 3] {
        let mut cameras = (self.cameras.len() as u64).to_le_bytes().to_vec();
        for (id, model, width, height, parameters) in &self.cameras {
            let kind = MODELS.iter().position(|name| name == model).unwrap() as u32;
            cameras.extend([id.to_le_bytes(), kind.to_le_bytes()].concat());
            cameras.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
            cameras.extend(parameters.iter().flat_map(|x| x.to_le_bytes()));
        }
        let mut images = (self.images.len() as u64).to_le_bytes().to_vec();
        for (i, (rotation, translation, camera, name, points)) in self.images.iter().enumerate() {
            images.extend((i as u32 + 1).to_le_bytes());
            images.extend(rotation.iter().chain(translation).flat_map(|x| x.to_le_bytes()));
            images.extend(camera.to_le_bytes());
            images.extend([name.as_bytes(), b"\0"].concat());
            images.extend((points.len() as u64 + 1).to_le_bytes());
            for number in std::iter::once(&u64::MAX).chain(points) {
                images.extend([1.5f64.to_le_bytes(), 2.5f64.to_le_bytes(), number.to_le_bytes()].concat());
            }
        }
        let mut points = (self.points.len() as u64).to_le_bytes().to_vec();
        for (id, xyz) in &self.points {
            points.extend(id.to_le_bytes());
            points.extend(xyz.iter().flat_map(|x| x.to_le_bytes()));
            points.extend([1, 2, 3]);
            points.extend(0.5f64.to_le_bytes());
            points.extend(2u64.to_le_bytes());
            points.extend([0u8; 16]);
        }
        [cameras, images, points]
    }
}

/// Returns a scene of the data folder, or prints a reason and returns None.
pub fn data(test: &str, scene: &str) -> Option<PathBuf> {
    let data = std::env::var_os("GRIDFIELD_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = data.join(scene);
    if !path.is_dir() {
        skipped(test, format!("there is no {}; GRIDFIELD_DATA names the data folder", path.display()));
        return None;
    }
    Some(path)
}
