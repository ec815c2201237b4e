//! Scenes and their views.

use gridfield::config::{Config, SceneConfig};
use gridfield::geometry::Camera;
use gridfield::radiance::open_scene;
use gridfield::scene::{self, Split, load_images};
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::arrays::array;
use crate::errors::{Raise as _, refused};
use crate::work::{absolute, path};

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct Scene {
    /// The settings with which it was opened, as dotted keys.
    pub settings: Map<String, Value>,
    scene: scene::Scene,
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct View {
    view: scene::View,
    camera: Camera,
    origin: [f64; 3],
    downscale: u32,
}

#[pymethods]
impl Scene {
    #[new]
    #[pyo3(signature = (path, *, format=None, sparse=None, allow_missing=false, pose_convention=None))]
    fn new(
        #[pyo3(from_py_with = path)] path: std::path::PathBuf,
        format: Option<&str>,
        sparse: Option<&str>,
        allow_missing: bool,
        pose_convention: Option<&str>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let mut settings = Map::new();
        // Without the folder, the scene's own error says so.
        let place = if path.exists() { absolute(&path).or_raise(py)? } else { path.to_string_lossy().into_owned() };
        let chosen = [
            ("scene.path", Some(Value::from(place))),
            ("scene.format", format.map(Value::from)),
            ("scene.sparse", sparse.map(Value::from)),
            ("scene.allow_missing", allow_missing.then_some(true.into())),
            ("scene.pose_convention", pose_convention.map(Value::from)),
        ];
        settings.extend(chosen.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        let config = Config::default().with_value(Value::Object(settings.clone())).or_raise(py)?.scene;
        let scene = py.detach(|| open(&config)).or_raise(py)?;
        Ok(Scene { settings, scene })
    }

    #[getter]
    fn path(&self) -> std::path::PathBuf {
        self.scene.path.clone()
    }

    #[getter]
    fn name(&self) -> &str {
        &self.scene.name
    }

    #[getter]
    fn format(&self) -> &'static str {
        self.scene.format.as_str()
    }

    #[getter]
    fn notes(&self) -> Vec<String> {
        self.scene.notes.clone()
    }

    #[pyo3(signature = (split="train", *, downscale=1))]
    fn views(&self, split: &str, downscale: u32, py: Python<'_>) -> PyResult<Vec<View>> {
        let split = match split {
            "train" => Split::Train,
            "val" => Split::Val,
            "test" => Split::Test,
            _ => return Err(refused(py, format!("there is no split `{split}`; the splits are train, val and test"))),
        };
        let views = self.scene.splits.views(split);
        let smallest = views.iter().map(|v| v.camera.intrinsics.width.min(v.camera.intrinsics.height)).min();
        if downscale == 0 || smallest.is_some_and(|side| downscale > side) {
            return Err(refused(py, format!("downscale is {downscale}, but must be from 1 to the side of an image")));
        }
        let of = |view: &scene::View| View {
            camera: view.camera_at(downscale),
            view: view.clone(),
            origin: self.scene.unit_cube.origin,
            downscale,
        };
        Ok(views.iter().map(of).collect())
    }

    fn __repr__(&self) -> String {
        let splits = &self.scene.splits;
        let n = [&splits.train, &splits.val, &splits.test].map(Vec::len);
        format!(
            "<gridfield.Scene {} ({}): {} training, {} validation, {} test views>",
            self.name(),
            self.format(),
            n[0],
            n[1],
            n[2]
        )
    }
}

fn open(config: &SceneConfig) -> gridfield::Result<scene::Scene> {
    open_scene(config)
}

#[pymethods]
impl View {
    #[getter]
    fn name(&self) -> &str {
        &self.view.name
    }

    #[getter]
    fn path(&self) -> std::path::PathBuf {
        self.view.image_path().to_path_buf()
    }

    #[getter]
    fn size(&self) -> (u32, u32) {
        (self.camera.intrinsics.width, self.camera.intrinsics.height)
    }

    #[getter]
    #[pyo3(name = "K")]
    fn k<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let k = &self.camera.intrinsics;
        let [fl_x, fl_y, cx, cy] = [k.fl_x, k.fl_y, k.cx, k.cy].map(f64::from);
        array(py, vec![fl_x, 0.0, cx, 0.0, fl_y, cy, 0.0, 0.0, 1.0], [3, 3])
    }

    #[getter]
    fn c2w<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut rows = self.camera.camera_to_world.map(|row| row.map(f64::from));
        (0..3).for_each(|k| rows[k][3] += self.origin[k]);
        array(py, rows.as_flattened().to_vec(), [3, 4])
    }

    #[getter]
    fn lens(&self) -> &'static str {
        self.camera.intrinsics.lens.name_and_coefficients().0
    }

    #[getter]
    fn distortion(&self) -> Vec<f64> {
        self.camera.intrinsics.lens.name_and_coefficients().1
    }

    fn image<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let views = std::slice::from_ref(&self.view);
        let mut images = py.detach(|| load_images(views, self.downscale, &|_, _| {})).or_raise(py)?;
        let image = images.remove(0);
        array(py, image.rgba, [image.height as usize, image.width as usize, 4])
    }

    fn __repr__(&self) -> String {
        let (width, height) = self.size();
        format!("<gridfield.View {}: {width}×{height}, {}>", self.view.name, self.lens())
    }
}
