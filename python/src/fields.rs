//! Trained fields: radiance fields, images and distance fields.

use std::path::Path;

use gridfield::checkpoint::Checkpoint;
use gridfield::config::{Config, TaskName};
use gridfield::device::Interrupt;
use gridfield::fit::Predictor;
use gridfield::geometry::{Camera, FieldToScene, Lens, SceneBox};
use gridfield::image_field::{self, Part, Shape};
use gridfield::mesh::{Mesh, Region};
use gridfield::radiance::{Renderer, SURFACE_DENSITY, plain_background, scene_without_views};
use gridfield::render::{Channel, Layer, Render, RenderOptions};
use gridfield::sdf::{HEAD, SphereTracer, extract};
use gridfield::train::{OUTPUT_DIR, Resolved};
use gridfield::{Error, Result};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Points, array, contiguous, corners, matrix, positions};
use crate::errors::{Raise as _, refused};
use crate::work::{from_json, interruptible, open_device, path};

/// The largest number of cells per axis of a mesh.
const FINEST_MESH: usize = 16_384;

/// What is known of any field besides its values.
#[derive(Clone)]
pub struct About {
    /// Name of the scene, image or mesh.
    pub name: String,
    /// Number of training steps.
    pub step: u64,
    /// Configuration of the run.
    pub config: Config,
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct Field {
    /// The field.
    pub renderer: Renderer,
    /// Its usual background, sRGB.
    pub background: [f32; 3],
    /// What it is of.
    pub about: About,
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct ImageField {
    /// The field.
    pub predictor: Predictor,
    /// Size and kind of the image.
    pub shape: Shape,
    /// What it is of.
    pub about: About,
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct DistanceField {
    /// The field.
    pub tracer: SphereTracer,
    /// What it is of.
    pub about: About,
}

/// Opens the field of a run, a checkpoint, or `latest`.
#[pyfunction]
#[pyo3(signature = (run, *, output_dir=None, device="auto", threads=0))]
pub fn load(
    #[pyo3(from_py_with = path)] run: std::path::PathBuf,
    output_dir: Option<std::path::PathBuf>,
    device: &str,
    threads: usize,
    py: Python<'_>,
) -> PyResult<Py<PyAny>> {
    let read = || {
        let resolved = Resolved::find(&run, output_dir.as_deref().unwrap_or(Path::new(OUTPUT_DIR)))?;
        Checkpoint::read(&resolved.checkpoint)
    };
    let checkpoint = py.detach(read).or_raise(py)?;
    let device = open_device(py, device, threads)?;
    let header = &checkpoint.header;
    let about = About { name: header.scene.clone(), step: header.step, config: header.config.clone() };
    match header.config.task {
        TaskName::Radiance => {
            let renderer = py.detach(|| Renderer::from_checkpoint(&device, &checkpoint)).or_raise(py)?;
            let background = plain_background(&header.config.train, &scene_without_views(&checkpoint));
            Field { renderer, background, about }.into_py_any(py)
        }
        TaskName::Image => {
            let opened = py.detach(|| {
                let shape = Shape::from_checkpoint(&checkpoint)?;
                Ok((Predictor::from_checkpoint(&device, &checkpoint, shape.head())?, shape))
            });
            let (predictor, shape) = opened.or_raise(py)?;
            ImageField { predictor, shape, about }.into_py_any(py)
        }
        TaskName::Sdf => {
            let opened =
                py.detach(|| SphereTracer::new(Predictor::from_checkpoint(&device, &checkpoint, HEAD)?, &checkpoint));
            DistanceField { tracer: opened.or_raise(py)?, about }.into_py_any(py)
        }
    }
}

/// What a camera is asked to show, as Python gives it.
struct Request<'a, 'py> {
    c2w: &'a Bound<'py, PyAny>,
    k: &'a Bound<'py, PyAny>,
    size: (u32, u32),
    outputs: Vec<String>,
    background: [f32; 3],
    lens: &'a str,
    distortion: Vec<f64>,
    within: Option<&'a Bound<'py, PyAny>>,
}

impl<'py> Request<'_, 'py> {
    /// Renders, and returns one array `[h, w, c]` for each output.
    fn render(
        &self,
        py: Python<'py>,
        field: &(dyn Render + Sync),
        origin: &[f64; 3],
        interrupt: &Interrupt,
    ) -> PyResult<Bound<'py, PyDict>> {
        let pose = matrix::<3, 4>(self.c2w, "c2w", "[3, 4], or [4, 4] with the last row 0, 0, 0, 1")?;
        let k = matrix::<3, 3>(self.k, "K", "[3, 3]")?;
        let lens = Lens::named(self.lens, &self.distortion).or_raise(py)?;
        let camera = Camera::from_matrices(self.size, &k, lens, &pose, origin).or_raise(py)?;
        let channel = |name: &String| {
            let known = field.channels().iter().copied().find(|channel| channel.name() == *name);
            let names = || field.channels().iter().map(|channel| channel.name()).collect::<Vec<_>>().join(", ");
            known.ok_or_else(|| refused(py, format!("this field has no output `{name}`; it has {}", names())))
        };
        let channels = self.outputs.iter().map(channel).collect::<PyResult<Vec<_>>>()?;
        let crop = self.within.map(|within| scene_box(py, within)).transpose()?.map(|within| within.relative(origin));
        let background = self.background;
        let frame = |layer: Layer| {
            if !channels.iter().any(|channel| channel.layer() == layer) {
                return Ok(None);
            }
            field.render(&camera, &RenderOptions { layer, background, crop }).map(Some)
        };
        let (shown, cells) = interruptible(py, interrupt, || Ok((frame(Layer::Field)?, frame(Layer::Occupancy)?)))?;
        let normals =
            channels.contains(&Channel::Normal).then(|| py.detach(|| shown.as_ref().map(|f| f.normals(&camera))));
        let [width, height] = [self.size.0, self.size.1].map(|side| side as usize);
        let out = PyDict::new(py);
        let put = |channel: Channel, values: Vec<f32>| {
            let n = values.len() / (width * height);
            out.set_item(channel.name(), array(py, values, [height, width, n])?)
        };
        if let Some(cells) = cells {
            put(Channel::Occupancy, cells.rgb)?;
        }
        if let Some(normals) = normals.flatten() {
            put(Channel::Normal, normals)?;
        }
        if let Some(frame) = shown {
            for (channel, values) in
                [(Channel::Rgb, frame.rgb), (Channel::Depth, frame.depth), (Channel::Opacity, frame.opacity)]
            {
                if channels.contains(&channel) {
                    put(channel, values)?;
                }
            }
        }
        Ok(out)
    }
}

fn scene_box(py: Python<'_>, corners_of: &Bound<'_, PyAny>) -> PyResult<SceneBox> {
    let [low, high] = corners(corners_of)?;
    SceneBox::new(low, high).or_raise(py)
}

/// Returns the region of a field whose surface is extracted.
fn region(
    py: Python<'_>,
    place: FieldToScene,
    resolution: usize,
    within: Option<&Bound<'_, PyAny>>,
) -> PyResult<Region> {
    if !(8..=FINEST_MESH).contains(&resolution) {
        return Err(refused(py, format!("resolution is {resolution}, but must be from 8 to {FINEST_MESH}")));
    }
    let within = within.map(|within| scene_box(py, within)).transpose()?;
    Region::new(place, resolution, within.as_ref()).or_raise(py)
}

/// Vertices `[n, 3]` and triangles `[m, 3]`.
type Surface<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

fn surface<'py>(py: Python<'py>, mesh: Mesh) -> PyResult<Surface<'py>> {
    let n = mesh.triangles.len();
    Ok((positions(py, mesh.vertices, &mesh.origin)?, array(py, mesh.triangles.into_flattened(), [n, 3])?))
}

#[pymethods]
impl Field {
    #[pyo3(signature = (
        c2w, K, size, outputs=vec!["rgb".to_owned()], *, background=None, lens="perspective", distortion=vec![], r#box=None
    ))]
    #[allow(non_snake_case, clippy::too_many_arguments)]
    fn render<'py>(
        &self,
        c2w: &Bound<'py, PyAny>,
        K: &Bound<'py, PyAny>,
        size: (u32, u32),
        outputs: Vec<String>,
        background: Option<[f32; 3]>,
        lens: &str,
        distortion: Vec<f64>,
        r#box: Option<&Bound<'py, PyAny>>,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let background = background.unwrap_or(self.background);
        let request = Request { c2w, k: K, size, outputs, background, lens, distortion, within: r#box };
        request.render(py, &self.renderer, &self.renderer.place().unit_cube.origin, self.renderer.interrupt())
    }

    fn query<'py>(&self, xyz: &Bound<'py, PyAny>, dirs: &Bound<'py, PyAny>, py: Python<'py>) -> PyResult<Surface<'py>> {
        let points = Points::read(xyz, "xyz", &self.renderer.place().unit_cube.origin)?;
        let directions = Points::read(dirs, "dirs", &[0.0; 3])?;
        let (points, directions) = (points.get(), directions.get());
        if points.len() != directions.len() {
            let what = format!("xyz has {} points, but dirs has {} directions", points.len(), directions.len());
            return Err(refused(py, what));
        }
        let work = || self.renderer.query(points, directions);
        let (density, rgb) = interruptible(py, self.renderer.interrupt(), work)?;
        let n = density.len();
        Ok((array(py, density, [n])?, array(py, rgb.into_flattened(), [n, 3])?))
    }

    fn density<'py>(&self, xyz: &Bound<'py, PyAny>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let points = Points::read(xyz, "xyz", &self.renderer.place().unit_cube.origin)?;
        let points = points.get();
        let density = interruptible(py, self.renderer.interrupt(), || self.renderer.density(points))?;
        let n = density.len();
        array(py, density, [n])
    }

    #[pyo3(signature = (resolution=256, r#box=None, *, threshold=SURFACE_DENSITY, min_component=0))]
    fn mesh<'py>(
        &self,
        resolution: usize,
        r#box: Option<&Bound<'py, PyAny>>,
        threshold: f32,
        min_component: usize,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        if !(threshold > 0.0 && threshold.is_finite()) {
            return Err(refused(py, format!("threshold is {threshold}, but must be a number above 0")));
        }
        let region = region(py, self.renderer.place(), resolution, r#box)?;
        let colored = interruptible(py, self.renderer.interrupt(), || {
            let mut mesh = region.in_scene(self.renderer.surface(region.lattice(), threshold, &mut |_| ())?)?;
            if min_component > 0 {
                mesh.drop_small_components(min_component)?;
            }
            self.renderer.colored(mesh)
        })?;
        let colors = colored.colors.expect("a radiance field has colours");
        let n = colors.len();
        let (vertices, triangles) = surface(py, colored.mesh)?;
        Ok((vertices, triangles, array(py, colors.into_flattened(), [n, 3])?))
    }

    fn __repr__(&self) -> String {
        format!(
            "<gridfield.Field of {}, {} after {} steps>",
            self.about.name,
            self.about.config.model.name.as_str(),
            self.about.step
        )
    }
}

#[pymethods]
impl ImageField {
    #[getter]
    fn shape(&self) -> (u32, u32, u32) {
        (self.shape.height, self.shape.width, self.shape.n_channels)
    }

    #[pyo3(signature = (size=None, *, crop=None))]
    fn render<'py>(
        &self,
        size: Option<(u32, u32)>,
        crop: Option<[f32; 4]>,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (w, h) = (self.shape.width as f32, self.shape.height as f32);
        let [x, y, width, height] = crop.unwrap_or([0.0, 0.0, w, h]);
        // Written so that a NaN fails the check.
        if !(x >= 0.0 && y >= 0.0 && width > 0.0 && height > 0.0 && x + width <= w && y + height <= h) {
            let what =
                format!("crop is {crop:?}, but must be (x, y, width, height) within the {w}×{h} pixels of the image");
            return Err(refused(py, what));
        }
        let (columns, rows) = size.unwrap_or((width.round() as u32, height.round() as u32));
        if !(1..=1 << 16).contains(&columns) || !(1..=1 << 16).contains(&rows) {
            return Err(refused(py, format!("size is {columns}×{rows}, but each side must be from 1 to 65536")));
        }
        let part = Part { origin: [x / w, y / h], extent: [width / w, height / h], width: columns, height: rows };
        let work = || image_field::render(&self.predictor, &part);
        let values = interruptible(py, self.predictor.interrupt(), work)?;
        array(py, values, [rows as usize, columns as usize, self.shape.n_channels as usize])
    }

    fn query<'py>(&self, xy: &Bound<'py, PyAny>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let points = contiguous::<f32>(xy, "xy", "float32")?;
        let shape = numpy::PyUntypedArrayMethods::shape(&*points);
        let &[n, 2] = shape else {
            return Err(refused(py, format!("xy has the shape {shape:?}, but must be [n, 2]")));
        };
        let points = points.as_slice().expect("a contiguous array");
        if points.iter().any(|x| !(0.0..=1.0).contains(x)) {
            return Err(refused(py, "xy has numbers outside of 0 to 1, which are the edges of the image"));
        }
        let values = interruptible(py, self.predictor.interrupt(), || self.predictor.values_at(points))?;
        array(py, values, [n, self.shape.n_channels as usize])
    }

    fn __repr__(&self) -> String {
        let Shape { width, height, n_channels, .. } = self.shape;
        format!("<gridfield.ImageField {width}×{height}, {n_channels} channels, after {} steps>", self.about.step)
    }
}

#[pymethods]
impl DistanceField {
    #[pyo3(signature = (
        c2w, K, size, outputs=vec!["rgb".to_owned()], *, background=[1.0; 3], lens="perspective", distortion=vec![],
        r#box=None
    ))]
    #[allow(non_snake_case, clippy::too_many_arguments)]
    fn render<'py>(
        &self,
        c2w: &Bound<'py, PyAny>,
        K: &Bound<'py, PyAny>,
        size: (u32, u32),
        outputs: Vec<String>,
        background: [f32; 3],
        lens: &str,
        distortion: Vec<f64>,
        r#box: Option<&Bound<'py, PyAny>>,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let request = Request { c2w, k: K, size, outputs, background, lens, distortion, within: r#box };
        let origin = self.tracer.place().unit_cube.origin;
        request.render(py, &self.tracer, &origin, self.tracer.predictor().interrupt())
    }

    fn query<'py>(&self, xyz: &Bound<'py, PyAny>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let unit_cube = self.tracer.place().unit_cube;
        let points = Points::read(xyz, "xyz", &unit_cube.origin)?;
        let points = points.get();
        let work = || -> Result<Vec<f32>> {
            let in_cube: Vec<[f32; 3]> = points.iter().map(|&point| unit_cube.to_unit(point)).collect();
            if let Some(number) = in_cube.iter().position(|point| point.iter().any(|x| !(0.0..=1.0).contains(x))) {
                return Err(Error::config(format!(
                    "point {number} is outside of the field's cube, which extends a tenth of its side beyond the mesh"
                )));
            }
            let distances = gridfield::sdf::distances(self.tracer.predictor(), &in_cube)?;
            Ok(distances.into_iter().map(|distance| distance / unit_cube.scale).collect())
        };
        let distances = interruptible(py, self.tracer.predictor().interrupt(), work)?;
        let n = distances.len();
        array(py, distances, [n])
    }

    #[pyo3(signature = (resolution=256, r#box=None))]
    fn mesh<'py>(
        &self,
        resolution: usize,
        r#box: Option<&Bound<'py, PyAny>>,
        py: Python<'py>,
    ) -> PyResult<Surface<'py>> {
        let region = region(py, self.tracer.place(), resolution, r#box)?;
        let predictor = self.tracer.predictor();
        let work = || region.in_scene(extract(predictor, region.lattice(), &mut |_| ())?);
        surface(py, interruptible(py, predictor.interrupt(), work)?)
    }

    fn __repr__(&self) -> String {
        format!("<gridfield.DistanceField of {}, after {} steps>", self.about.name, self.about.step)
    }
}

/// Gives the classes of fields what they tell about their training.
macro_rules! tell_about {
    ($($class:ty)*) => { $(
        #[pymethods]
        impl $class {
            #[getter]
            fn name(&self) -> &str {
                &self.about.name
            }

            #[getter]
            fn step(&self) -> u64 {
                self.about.step
            }

            #[getter]
            fn config(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                from_json(py, &self.about.config.to_value())
            }
        }
    )* };
}

tell_about!(Field ImageField DistanceField);
