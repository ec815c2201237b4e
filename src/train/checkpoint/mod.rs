//! Checkpoints: a trained field with everything needed to render it or to go on training, in one safetensors file.
//!
//! The container is generic: a [`Header`], stored as one JSON string in the file's metadata, and a list of named
//! tensors. Which tensors there are is the trainer's business; `docs/formats.md` has the list. `tensor.rs` holds the
//! tensors, `file.rs` reads and writes.

mod file;
mod tensor;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use file::{Summary, TensorSummary};
pub use tensor::{Element, Tensor, TensorData};

use super::{COMMIT, VERSION};
use crate::config::Config;
use crate::decoder::LayerNeurons;
use crate::scene::{Space, UnitCube};
use crate::{Error, Result};

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the gridfield that wrote it.
    pub gridfield: String,
    /// Git commit of the gridfield that wrote it, or `unknown`.
    pub commit: String,
    /// Training steps behind.
    pub step: u64,
    /// Seconds of training behind, loading and saving not counted.
    pub seconds: f64,
    /// The scene's name: that of its folder.
    pub scene: String,
    pub unit_cube: UnitCube,
    /// How space lies in the unit cube.
    #[serde(default)]
    pub space: Space,
    pub config: Config,
    /// Which neurons were alive; empty where nobody has looked, or where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neurons: Vec<LayerNeurons>,
    /// The trainer's own scalars, such as a random generator's counter or the rays per step. Empty where only
    /// rendering is meant.
    pub trainer: Map<String, Value>,
}

impl Header {
    /// A header of this very binary, with no trainer's state yet.
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

/// A header and its tensors. The tensors may borrow what they are written from, so that saving needs no second copy;
/// one that was read owns everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<'a> {
    pub header: Header,
    pub tensors: Vec<Tensor<'a>>,
    /// Where it was read from, for error sentences; None in memory.
    origin: Option<PathBuf>,
}

impl<'a> Checkpoint<'a> {
    /// A checkpoint in memory.
    pub fn new(header: Header, tensors: Vec<Tensor<'a>>) -> Self {
        Checkpoint { header, tensors, origin: None }
    }

    /// A checkpoint of a training at the header's step.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a tensor holds a number that is not finite.
    pub fn of_training(header: Header, tensors: Vec<Tensor<'a>>) -> Result<Self> {
        if tensors.iter().any(|tensor| tensor.data.first_not_finite().is_some()) {
            return Err(Error::diverged(header.step, "parameters of the field became NaN or infinite"));
        }
        Ok(Checkpoint::new(header, tensors))
    }

    /// The elements of the tensor `name`, in row-major order.
    ///
    /// # Errors
    /// Where it is missing, of another element type or of another shape than `shape`.
    pub fn get<T: Element>(&self, name: &str, shape: &[usize]) -> Result<&[T]> {
        let tensor = &self.tensors[self.find::<T>(name, shape)?];
        Ok(T::slice(&tensor.data).expect("find checked the type"))
    }

    /// As [`Checkpoint::get`], but moves the tensor out, without a copy where the checkpoint owns it.
    ///
    /// # Errors
    /// As [`Checkpoint::get`].
    pub fn take<T: Element>(&mut self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        let index = self.find::<T>(name, shape)?;
        let tensor = self.tensors.swap_remove(index);
        Ok(T::into_vec(tensor.data).expect("find checked the type"))
    }

    /// The trainer's own value `name`.
    ///
    /// # Errors
    /// Where it is missing or of another type.
    pub fn trainer_state<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.header.trainer.get(name).ok_or_else(|| {
            self.refuse(format!("the trainer's `{name}` is missing from the header; resume from a checkpoint of a run"))
        })?;
        serde_json::from_value(value.clone())
            .map_err(|e| self.refuse(format!("the trainer's `{name}` is {value} in the header ({e})")))
    }

    /// An error about this checkpoint's content, naming its file.
    pub fn refuse(&self, what: impl Into<String>) -> Error {
        Error::file(self.path(), what)
    }

    /// The file that it was read from, or words for one in memory.
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
