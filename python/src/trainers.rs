//! Training, step by step.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gridfield::checkpoint::Checkpoint;
use gridfield::config::{Config, TaskName};
use gridfield::device::Device;
use gridfield::fit::FitTrainer;
use gridfield::image_field::{Image, ImageData, Shape, Texels};
use gridfield::mesh::Mesh;
use gridfield::radiance::{self, TrainingImages, open_for_training, plain_background, reopen_scene};
use gridfield::sdf::{DistanceData, MeshFacts, SphereTracer, Target};
use gridfield::train::{OUTPUT_DIR, Resolved, Run, Task, latest};
use gridfield::{Error, Result};
use numpy::PyUntypedArrayMethods as _;
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::arrays::{contiguous, dtype_of};
use crate::errors::{Raise as _, raised, refused};
use crate::fields::{About, DistanceField, Field, ImageField};
use crate::scene::Scene;
use crate::work::{LOOK_EVERY, from_json, open_device, path, to_json};

/// A field in training, and the run that it is saved to.
struct Training<T> {
    task: Mutex<T>,
    /// The folder of the run, once it was saved.
    run: Mutex<Option<Run>>,
    config: Config,
    /// Name of the scene, image or mesh.
    name: String,
}

/// Why training stopped early.
enum Stop {
    Failed(Error),
    Signal(PyErr),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl<T: Task + Send> Training<T> {
    fn new(task: T, config: Config, name: String) -> Self {
        Training { task: Mutex::new(task), run: Mutex::new(None), config, name }
    }

    /// Waits for another thread that trains this field.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn about(&self, task: &T) -> About {
        About { name: self.name.clone(), step: task.progress().step, config: self.config.clone() }
    }

    /// Trains for `n` steps, or to the end of the run, and returns the averages over them.
    fn step(&self, py: Python<'_>, n: u64) -> PyResult<Py<PyAny>> {
        if n == 0 {
            return Err(refused(py, "the number of steps is 0, but must be at least 1"));
        }
        let report = py.detach(|| {
            let mut task = self.lock();
            self.refuse_an_end_behind(&*task)?;
            let (begun, mut looked) = (Instant::now(), Instant::now());
            let until = task.progress().step.saturating_add(n);
            while task.progress().step < until && !self.is_over(&*task) {
                task.advance()?;
                if looked.elapsed() >= LOOK_EVERY {
                    Python::attach(|py| py.check_signals()).map_err(Stop::Signal)?;
                    looked = Instant::now();
                }
            }
            Ok(task.report(begun)?)
        });
        match report {
            Ok(report) => from_json(py, &serde_json::to_value(report).expect("a report is plain numbers")),
            Err(Stop::Failed(error)) => Err(raised(py, &error)),
            Err(Stop::Signal(error)) => Err(error),
        }
    }

    fn is_over(&self, task: &T) -> bool {
        let (progress, train) = (task.progress(), &self.config.train);
        progress.step >= train.max_steps || train.max_seconds.is_some_and(|limit| progress.seconds >= limit)
    }

    fn refuse_an_end_behind(&self, task: &T) -> Result<()> {
        match self.is_over(task) {
            false => Ok(()),
            true => Err(Error::config(format!(
                "the run has all of its {} steps, or its {:.0} seconds; to train it further, raise train.max_steps or \
                 train.max_seconds",
                task.progress().step,
                task.progress().seconds
            ))),
        }
    }

    fn evaluate(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let evaluated = py.detach(|| self.lock().evaluate()).or_raise(py)?;
        from_json(py, &serde_json::to_value(evaluated).expect("an evaluation is plain numbers"))
    }

    /// Writes a checkpoint to `path`, or into the folder of a run, and returns its path.
    fn save(
        &self,
        py: Python<'_>,
        path: Option<PathBuf>,
        output_dir: PathBuf,
        run_name: Option<&str>,
    ) -> PyResult<PathBuf> {
        let work = || {
            let mut task = self.lock();
            let checkpoint = task.checkpoint()?;
            if let Some(path) = path {
                checkpoint.write(&path)?;
                return Ok(path);
            }
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            if run.is_none() {
                *run = Some(Run::create(&output_dir, &self.name, run_name, &self.config)?);
            }
            let run = run.as_ref().expect("it was just made");
            // A run that was resumed may have other settings.
            run.save_config(&self.config)?;
            let written = run.save(&checkpoint)?;
            latest::record(OUTPUT_DIR.as_ref(), run)?;
            Ok(written)
        };
        py.detach(work).or_raise(py)
    }

    fn config(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        from_json(py, &self.config.to_value())
    }
}

/// Settings as Python gives them, in the order in which the program applies them: a configuration, then flags.
struct Settings {
    layer: Value,
    flags: Map<String, Value>,
    task: TaskName,
}

impl Settings {
    fn new(
        config: Option<&Bound<'_, PyAny>>,
        mut flags: Map<String, Value>,
        model: Option<&str>,
        seed: Option<u64>,
        task: TaskName,
    ) -> PyResult<Self> {
        let layer = config.map_or_else(|| Ok(Value::Object(Map::new())), to_json)?;
        flags.extend(model.map(|model| ("model.name".to_owned(), model.into())));
        flags.extend(seed.map(|seed| ("train.seed".to_owned(), seed.into())));
        Ok(Settings { layer, flags, task })
    }

    fn apply(&self, defaults: Config) -> Result<Config> {
        let mut config = defaults.with_value(self.layer.clone())?;
        for (key, value) in &self.flags {
            config.set_value(key, value.clone())?;
        }
        if config.task != self.task {
            return Err(Error::config(format!(
                "the configuration is that of another task, which `gridfield {}` trains; leave `task` away",
                config.task.command()
            )));
        }
        config.validate()?;
        Ok(config)
    }
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct Trainer {
    training: Training<radiance::Trainer>,
    background: [f32; 3],
}

#[pymethods]
impl Trainer {
    #[new]
    #[pyo3(signature = (scene, model=None, *, seed=None, config=None, device="auto", threads=0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        scene: &Scene,
        model: Option<&str>,
        seed: Option<u64>,
        config: Option<&Bound<'_, PyAny>>,
        device: &str,
        threads: usize,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let settings = Settings::new(config, scene.settings.clone(), model, seed, TaskName::Radiance)?;
        let device = open_device(py, device, threads)?;
        let defaults = Config::of(TaskName::Radiance, device.is_host());
        let work = || {
            let (scene, config) = open_for_training(defaults, |defaults| settings.apply(defaults))?;
            let images = TrainingImages::of_scene(&device, &scene, &config, &|_, _| {})?;
            let trainer = radiance::Trainer::new(&device, &config, &scene, images)?;
            let background = plain_background(&config.train, &scene);
            Ok(Trainer { training: Training::new(trainer, config, scene.name), background })
        };
        py.detach(work).or_raise(py)
    }

    /// Continues a run where a checkpoint left it.
    #[staticmethod]
    #[pyo3(signature = (run, *, scene=None, output_dir=None, config=None, device="auto", threads=0))]
    fn resume(
        #[pyo3(from_py_with = path)] run: PathBuf,
        scene: Option<PathBuf>,
        output_dir: Option<PathBuf>,
        config: Option<&Bound<'_, PyAny>>,
        device: &str,
        threads: usize,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let settings = Settings::new(config, Map::new(), None, None, TaskName::Radiance)?;
        let device = open_device(py, device, threads)?;
        let work = || {
            let resolved = Resolved::find(&run, output_dir.as_deref().unwrap_or(OUTPUT_DIR.as_ref()))?;
            let mut checkpoint = Checkpoint::read(&resolved.checkpoint)?;
            if checkpoint.header.config.task != TaskName::Radiance {
                return Err(checkpoint.refuse("is not of a radiance field, which alone can be resumed from Python"));
            }
            let config = settings.apply(checkpoint.header.config.clone())?;
            checkpoint.header.config = config.clone();
            let scene = reopen_scene(&checkpoint, scene.as_deref())?;
            let images = TrainingImages::of_scene(&device, &scene, &config, &|_, _| {})?;
            let trainer = radiance::Trainer::resume(&device, &checkpoint, &scene, images)?;
            let background = plain_background(&config.train, &scene);
            let training = Training::new(trainer, config, scene.name);
            *training.run.lock().unwrap_or_else(PoisonError::into_inner) = resolved.run;
            Ok(Trainer { training, background })
        };
        py.detach(work).or_raise(py)
    }

    fn field(&self, py: Python<'_>) -> PyResult<Field> {
        let snapshot = py.detach(|| {
            let trainer = self.training.lock();
            Ok((trainer.renderer()?, self.training.about(&trainer)))
        });
        let (renderer, about) = snapshot.or_raise(py)?;
        Ok(Field { renderer, background: self.background, about })
    }
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct ImageTrainer {
    training: Training<FitTrainer<ImageData>>,
}

#[pymethods]
impl ImageTrainer {
    #[new]
    #[pyo3(signature = (array, model=None, *, seed=None, config=None, name="image", device="auto", threads=0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        array: &Bound<'_, PyAny>,
        model: Option<&str>,
        seed: Option<u64>,
        config: Option<&Bound<'_, PyAny>>,
        name: &str,
        device: &str,
        threads: usize,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let image = Arc::new(image(array)?);
        let settings = Settings::new(config, Map::new(), model, seed, TaskName::Image)?;
        let device = open_device(py, device, threads)?;
        let config = settings.apply(Config::of_image(device.is_host())).or_raise(py)?;
        let fit = || FitTrainer::new(&device, &config, ImageData::new(&device, &config, name, image)?);
        let trainer = py.detach(fit).or_raise(py)?;
        Ok(ImageTrainer { training: Training::new(trainer, config, name.to_owned()) })
    }

    fn field(&self, py: Python<'_>) -> PyResult<ImageField> {
        let snapshot = py.detach(|| {
            let trainer = self.training.lock();
            let shape = Shape::of(trainer.data().image());
            Ok((trainer.predictor()?, shape, self.training.about(&trainer)))
        });
        let (predictor, shape, about) = snapshot.or_raise(py)?;
        Ok(ImageField { predictor, shape, about })
    }
}

/// Returns the image of an array `[h, w]` or `[h, w, c]`.
fn image(array: &Bound<'_, PyAny>) -> PyResult<Image> {
    let py = array.py();
    let (shape, texels) = match dtype_of(array).as_deref() {
        Some("uint8") => {
            let values = contiguous::<u8>(array, "array", "uint8")?;
            (values.shape().to_vec(), Texels::U8(values.as_slice().expect("a contiguous array").to_vec()))
        }
        Some("uint16") => {
            let values = contiguous::<u16>(array, "array", "uint16")?;
            (values.shape().to_vec(), Texels::U16(values.as_slice().expect("a contiguous array").to_vec()))
        }
        Some("float32" | "float64" | "float16") => {
            let values = contiguous::<f32>(array, "array", "float32")?;
            (values.shape().to_vec(), Texels::F32(values.as_slice().expect("a contiguous array").to_vec()))
        }
        other => {
            let found = other.unwrap_or("something else than a NumPy array");
            let what = format!("array is {found}, but must be uint8 or uint16 (sRGB), or float (linear)");
            return Err(refused(py, what));
        }
    };
    let (height, width, n_channels) = match shape[..] {
        [height, width] => (height, width, 1),
        [height, width, n] => (height, width, n),
        _ => return Err(refused(py, format!("array has the shape {shape:?}, but must be [h, w] or [h, w, c]"))),
    };
    let side = |n: usize| u32::try_from(n).map_err(|_| refused(py, format!("array has {n} pixels along a side")));
    Image::new((side(width)?, side(height)?), side(n_channels)?, texels).or_raise(py)
}

/// See `_gridfield.pyi`.
#[pyclass(frozen, module = "gridfield")]
pub struct SdfTrainer {
    training: Training<FitTrainer<DistanceData>>,
    notes: Vec<String>,
}

#[pymethods]
impl SdfTrainer {
    #[new]
    #[pyo3(signature = (vertices, faces, model=None, *, seed=None, config=None, name="mesh", device="auto", threads=0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        vertices: &Bound<'_, PyAny>,
        faces: &Bound<'_, PyAny>,
        model: Option<&str>,
        seed: Option<u64>,
        config: Option<&Bound<'_, PyAny>>,
        name: &str,
        device: &str,
        threads: usize,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let (vertices, triangles) = (corners_of(vertices)?, triangles(faces)?);
        let settings = Settings::new(config, Map::new(), model, seed, TaskName::Sdf)?;
        let device: Device = open_device(py, device, threads)?;
        let config = settings.apply(Config::of_sdf(device.is_host())).or_raise(py)?;
        let fit = || {
            let target = Target::new(&device, Mesh::new(vertices, triangles)?)?;
            let notes = target.notes();
            Ok((FitTrainer::new(&device, &config, DistanceData::new(&config, name, target))?, notes))
        };
        let (trainer, notes) = py.detach(fit).or_raise(py)?;
        Ok(SdfTrainer { training: Training::new(trainer, config, name.to_owned()), notes })
    }

    #[getter]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn field(&self, py: Python<'_>) -> PyResult<DistanceField> {
        let snapshot = py.detach(|| {
            let trainer = self.training.lock();
            let target = &trainer.data().target;
            let tracer = SphereTracer::around(trainer.predictor()?, &MeshFacts::of(target), target.unit_cube);
            Ok((tracer, self.training.about(&trainer)))
        });
        let (tracer, about) = snapshot.or_raise(py)?;
        Ok(DistanceField { tracer, about })
    }
}

fn corners_of(vertices: &Bound<'_, PyAny>) -> PyResult<Vec<[f64; 3]>> {
    let array = contiguous::<f64>(vertices, "vertices", "float64")?;
    match array.shape() {
        [_, 3] => Ok(array.as_slice().expect("a contiguous array").as_chunks::<3>().0.to_vec()),
        shape => Err(refused(vertices.py(), format!("vertices has the shape {shape:?}, but must be [n, 3]"))),
    }
}

fn triangles(faces: &Bound<'_, PyAny>) -> PyResult<Vec<[u32; 3]>> {
    let array = contiguous::<i64>(faces, "faces", "int64")?;
    let [_, 3] = array.shape() else {
        return Err(refused(faces.py(), format!("faces has the shape {:?}, but must be [m, 3]", array.shape())));
    };
    let index = |&vertex: &i64| {
        u32::try_from(vertex)
            .map_err(|_| refused(faces.py(), format!("faces has {vertex}, which is no number of a vertex")))
    };
    let indices = array.as_slice().expect("a contiguous array").iter().map(index).collect::<PyResult<Vec<u32>>>()?;
    Ok(indices.as_chunks::<3>().0.to_vec())
}

/// Gives the classes of trainers the methods that do not depend on what is trained.
macro_rules! train {
    ($($class:ty)*) => { $(
        #[pymethods]
        impl $class {
            #[pyo3(signature = (n=1))]
            fn step(&self, n: u64, py: Python<'_>) -> PyResult<Py<PyAny>> {
                self.training.step(py, n)
            }

            fn evaluate(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                self.training.evaluate(py)
            }

            #[pyo3(signature = (path=None, *, output_dir=PathBuf::from(OUTPUT_DIR), run_name=None))]
            fn save(
                &self,
                path: Option<PathBuf>,
                output_dir: PathBuf,
                run_name: Option<&str>,
                py: Python<'_>,
            ) -> PyResult<PathBuf> {
                self.training.save(py, path, output_dir, run_name)
            }

            #[getter]
            fn config(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                self.training.config(py)
            }

            #[getter]
            fn is_done(&self, py: Python<'_>) -> bool {
                py.detach(|| self.training.is_over(&*self.training.lock()))
            }

            #[getter]
            fn n_steps(&self, py: Python<'_>) -> u64 {
                py.detach(|| self.training.lock().progress().step)
            }
        }
    )* };
}

train!(Trainer ImageTrainer SdfTrainer);
