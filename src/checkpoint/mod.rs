//! Checkpoints: a trained field with everything needed to render it or to continue training, in one safetensors file.
//!
//! The container is generic: a [`Header`], stored as one JSON string in the file's metadata, and a list of named
//! tensors. Which tensors there are is up to the trainer; `docs/formats.md` lists them. `tensor.rs` defines the
//! tensors, and `file.rs` reads and writes the file.

mod file;
mod tensor;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use file::{Summary, TensorSummary};
pub use tensor::{Element, Tensor, TensorData};

use crate::config::Config;
use crate::decoder::LayerNeurons;
use crate::geometry::{Space, UnitCube};
use crate::ranks::Digest;
use crate::{COMMIT, Error, Result, VERSION};

/// Metadata of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the gridfield that wrote it.
    pub gridfield: String,
    /// Git commit of the gridfield that wrote it, or `unknown`.
    pub commit: String,
    /// Number of completed training steps.
    pub step: u64,
    /// Seconds of training so far, excluding loading and saving.
    pub seconds: f64,
    /// The scene's name, which is that of its folder.
    pub scene: String,
    /// Placement of the scene in the field's unit cube.
    pub unit_cube: UnitCube,
    /// How space is laid out in the unit cube.
    #[serde(default)]
    pub space: Space,
    /// Configuration of the run.
    pub config: Config,
    /// Which neurons are alive; empty if this was not measured or there are no neurons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neurons: Vec<LayerNeurons>,
    /// The trainer's own scalars, such as the counter of a random generator or the number of rays per step. Empty if
    /// the checkpoint is only for rendering.
    pub trainer: Map<String, Value>,
}

impl Header {
    /// Creates a header that names this binary, without any trainer state.
    pub fn new(config: Config, scene: impl Into<String>, unit_cube: UnitCube, step: u64, seconds: f64) -> Header {
        Header {
            gridfield: VERSION.to_owned(),
            commit: COMMIT.to_owned(),
            step,
            seconds,
            scene: scene.into(),
            unit_cube,
            space: Space::Identity,
            config,
            neurons: Vec::new(),
            trainer: Map::new(),
        }
    }
}

/// A header and its tensors. Tensors may borrow the memory they are written from, so that saving needs no second copy;
/// a checkpoint read from a file owns everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<'a> {
    /// Everything but the tensors.
    pub header: Header,
    /// The parameters and the state of the optimizer.
    pub tensors: Vec<Tensor<'a>>,
    /// Path of the file it was read from, for error messages; None for a checkpoint made in memory.
    origin: Option<PathBuf>,
}

impl<'a> Checkpoint<'a> {
    /// Creates a checkpoint in memory.
    pub fn new(header: Header, tensors: Vec<Tensor<'a>>) -> Self {
        Checkpoint { header, tensors, origin: None }
    }

    /// Returns a hash of the names, shapes and elements of all tensors.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for tensor in &self.tensors {
            digest.add(tensor.name.as_bytes());
            digest.add(&tensor.shape);
            digest.add(tensor.data.bytes());
        }
        digest.value()
    }

    /// Creates a checkpoint of a training run at the header's step.
    ///
    /// # Errors
    /// Returns [`Error::Diverged`] if a tensor contains a number that is not finite.
    pub(crate) fn of_training(header: Header, tensors: Vec<Tensor<'a>>) -> Result<Self> {
        if tensors.iter().any(|tensor| tensor.data.first_not_finite().is_some()) {
            return Err(Error::diverged(header.step, "parameters of the field became NaN or infinite"));
        }
        Ok(Checkpoint::new(header, tensors))
    }

    /// Returns the elements of the tensor `name`, in row-major order.
    ///
    /// # Errors
    /// Returns an error if the tensor is missing, has another element type or has a shape other than `shape`.
    pub fn get<T: Element>(&self, name: &str, shape: &[usize]) -> Result<&[T]> {
        let tensor = &self.tensors[self.find::<T>(name, shape)?];
        Ok(T::slice(&tensor.data).expect("find checked the type"))
    }

    /// Like [`Checkpoint::get`], but moves the tensor out of the checkpoint, without a copy if the checkpoint owns it.
    ///
    /// # Errors
    /// As for [`Checkpoint::get`].
    pub fn take<T: Element>(&mut self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        let index = self.find::<T>(name, shape)?;
        let tensor = self.tensors.swap_remove(index);
        Ok(T::into_vec(tensor.data).expect("find checked the type"))
    }

    /// Returns the trainer's own value `name`.
    ///
    /// # Errors
    /// Returns an error if the value is missing or has another type.
    pub fn trainer_state<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.header.trainer.get(name).ok_or_else(|| {
            self.refuse(format!("the trainer's `{name}` is missing from the header; resume from a checkpoint of a run"))
        })?;
        serde_json::from_value(value.clone())
            .map_err(|e| self.refuse(format!("the trainer's `{name}` is {value} in the header ({e})")))
    }

    /// Returns an error about this checkpoint's contents that names its file.
    pub fn refuse(&self, what: impl Into<String>) -> Error {
        Error::file(self.path(), what)
    }

    /// Returns the path of the file it was read from, or a placeholder for a checkpoint in memory.
    pub fn path(&self) -> &Path {
        self.origin.as_deref().unwrap_or(Path::new("checkpoint in memory"))
    }

    fn find<T: Element>(&self, name: &str, shape: &[usize]) -> Result<usize> {
        let Some(index) = self.tensors.iter().position(|tensor| tensor.name == name) else {
            return Err(
                self.refuse(format!("tensor `{name}` is missing; the checkpoint is incomplete or of another model"))
            );
        };
        let tensor = &self.tensors[index];
        if tensor.data.dtype() != T::DTYPE {
            let (found, wanted) = (tensor.data.dtype(), T::DTYPE);
            return Err(self.refuse(format!("tensor `{name}` holds {found} values, but {wanted} are expected")));
        }
        if tensor.shape != shape {
            let found = &tensor.shape;
            return Err(self.refuse(format!(
                "tensor `{name}` has shape {found:?}, but its config needs {shape:?}; the checkpoint is of another model"
            )));
        }
        Ok(index)
    }
}
