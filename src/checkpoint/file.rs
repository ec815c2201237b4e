//! A checkpoint as a safetensors file: eight bytes of header length, a JSON header, then the tensors end to end.
//!
//! Tensors are streamed from and into their final memory; no second copy of the file is held.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;

use super::{Checkpoint, Element, Header, Tensor, TensorData};
use crate::config::Config;
use crate::device::zeroed_vec;
use crate::geometry::UnitCube;
use crate::{Error, Result, atomic};

/// The entry of the safetensors metadata that holds gridfield's header.
const METADATA_KEY: &str = "gridfield";
const FORMAT: &str = "gridfield-checkpoint";
/// Incremented for changes of the format that an older reader would misread.
const FORMAT_VERSION: u64 = 1;
/// The limit of safetensors itself: a longer header means that the file is something else.
const LONGEST_HEADER: u64 = 100_000_000;
const LENGTH_BYTES: u64 = 8;

/// Contents of a checkpoint, read without the elements of its tensors.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Everything but the tensors.
    pub header: Header,
    /// Name, type and shape of each tensor.
    pub tensors: Vec<TensorSummary>,
    /// Size of the file.
    pub bytes: u64,
}

/// One tensor of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSummary {
    /// Name of the tensor in the file.
    pub name: String,
    /// `F32`, `U32` or `U8`.
    pub dtype: String,
    /// Extent of each dimension, in row-major order.
    pub shape: Vec<usize>,
}

impl Checkpoint<'_> {
    /// Writes the checkpoint to `path`, completely or not at all.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, or if a tensor contains NaN or infinity: a checkpoint that
    /// nothing can be resumed or rendered from must not replace an older one.
    pub fn write(&self, path: &Path) -> Result<()> {
        for tensor in &self.tensors {
            refuse_not_finite(path, tensor, "nothing was written")?;
        }
        let tensors = self.in_file_order();
        let header = self.file_header(&tensors);
        atomic::write(path, |file| {
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            tensors.iter().try_for_each(|tensor| file.write_all(tensor.data.bytes()))
        })
    }

    /// Reads the checkpoint `path`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is truncated, is not a safetensors file or not a gridfield
    /// checkpoint, has a format version that this gridfield does not know, has an invalid config, or contains NaN or
    /// infinity.
    pub fn read(path: &Path) -> Result<Checkpoint<'static>> {
        let (mut file, metadata, header) = open(path)?;
        let mut tensors = Vec::new();
        for name in metadata.offset_keys() {
            let info = metadata.info(&name).expect("the name came from the metadata");
            let data = read_elements(&mut file, path, &name, info)?;
            let tensor = Tensor { name, shape: info.shape.clone(), data };
            refuse_not_finite(path, &tensor, "the training that wrote it diverged; use an earlier checkpoint")?;
            tensors.push(tensor);
        }
        Ok(Checkpoint { header, tensors, origin: Some(path.to_path_buf()) })
    }

    /// Reads the header of the checkpoint `path` and the shapes of its tensors, without their elements.
    ///
    /// # Errors
    /// As for [`Checkpoint::read`], except that the elements are not checked.
    pub fn read_summary(path: &Path) -> Result<Summary> {
        let (file, metadata, header) = open(path)?;
        let bytes = file.metadata().map_err(|e| cannot_read(path, &e))?.len();
        let summarize = |name: String| {
            let info = metadata.info(&name).expect("the name came from the metadata");
            TensorSummary { dtype: info.dtype.to_string(), shape: info.shape.clone(), name }
        };
        Ok(Summary { header, tensors: metadata.offset_keys().into_iter().map(summarize).collect(), bytes })
    }

    /// Returns the tensors by descending element size, which keeps every tensor aligned to its element; otherwise in
    /// the order they are listed.
    fn in_file_order(&self) -> Vec<&Tensor<'_>> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.data.dtype().bitsize()));
        tensors
    }

    /// Returns the JSON header of the file, padded with spaces to a multiple of eight bytes as the format requires.
    fn file_header(&self, tensors: &[&Tensor<'_>]) -> Vec<u8> {
        let mut end = 0;
        let infos = tensors.iter().map(|tensor| {
            let start = end;
            end += tensor.data.bytes().len();
            let (dtype, shape) = (tensor.data.dtype(), tensor.shape.clone());
            (tensor.name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) })
        });
        let own = HashMap::from([(METADATA_KEY.to_owned(), self.own_header())]);
        let metadata = Metadata::new(Some(own), infos.collect()).expect("tensors lie end to end with checked shapes");
        let mut header = serde_json::to_vec(&metadata).expect("metadata is strings and numbers");
        header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
        header
    }

    fn own_header(&self) -> String {
        let mut own = serde_json::json!({ "format": FORMAT, "version": FORMAT_VERSION });
        let Value::Object(fields) = serde_json::to_value(&self.header).expect("a header has string keys") else {
            unreachable!("a struct is a JSON object")
        };
        own.as_object_mut().expect("made as an object").extend(fields);
        own.to_string()
    }
}

/// Opens `path` and reads everything before the tensors. Afterwards the file is positioned at the first byte of the
/// first tensor, and it is known to contain all of them.
fn open(path: &Path) -> Result<(File, Metadata, Header)> {
    let mut file = File::open(path).map_err(|e| cannot_read(path, &e))?;
    let file_bytes = file.metadata().map_err(|e| cannot_read(path, &e))?.len();
    let header_bytes = header_length(&mut file, path, file_bytes)?;
    let mut text = vec![0; header_bytes as usize];
    file.read_exact(&mut text).map_err(|e| cannot_read(path, &e))?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|e| Error::file(path, format!("not a safetensors file, as its header does not parse ({e})")))?;

    let expected = LENGTH_BYTES + header_bytes + metadata.data_len() as u64;
    if file_bytes < expected {
        return Err(truncated(path, file_bytes, expected));
    }
    if file_bytes > expected {
        return Err(Error::file(path, format!("damaged: {expected} bytes are expected, but it has {file_bytes}")));
    }
    let header = own_header(path, &metadata)?;
    Ok((file, metadata, header))
}

fn header_length(file: &mut File, path: &Path, file_bytes: u64) -> Result<u64> {
    if file_bytes < LENGTH_BYTES {
        return Err(truncated(path, file_bytes, LENGTH_BYTES));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length).map_err(|e| cannot_read(path, &e))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(Error::file(path, "not a safetensors file; give a checkpoint written by `gridfield train`"));
    }
    if LENGTH_BYTES + length > file_bytes {
        return Err(truncated(path, file_bytes, LENGTH_BYTES + length));
    }
    Ok(length)
}

fn own_header(path: &Path, metadata: &Metadata) -> Result<Header> {
    let refuse = |what: String| Error::file(path, what);
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)).ok_or_else(|| {
        refuse(format!("a safetensors file, but no gridfield checkpoint (its metadata has no `{METADATA_KEY}`)"))
    })?;
    let mut own: Value = serde_json::from_str(text)
        .map_err(|e| refuse(format!("the checkpoint's header, `{METADATA_KEY}` in its metadata, is not JSON ({e})")))?;
    check_format(&own).map_err(refuse)?;
    let config = own.get_mut("config").map(Value::take).unwrap_or_default();
    let config = Config::from_value(config).map_err(|e| refuse(format!("in the checkpoint's config, {e}")))?;
    config.validate().map_err(|e| refuse(format!("in the checkpoint's config, {e}")))?;
    own["config"] = config.to_value();
    let header: Header =
        serde_json::from_value(own).map_err(|e| refuse(format!("the checkpoint's header is incomplete ({e})")))?;
    check_unit_cube(&header.unit_cube).map_err(refuse)?;
    Ok(header)
}

/// Checks the map into the unit cube. The scale must be above 0, since rendering divides by it.
fn check_unit_cube(UnitCube { scale, offset, origin }: &UnitCube) -> std::result::Result<(), String> {
    if !(*scale > 0.0 && scale.is_normal()) {
        return Err(format!("`unit_cube.scale` is {scale} in the checkpoint's header, but must be finite and above 0"));
    }
    if !offset.iter().all(|x| x.is_finite()) {
        return Err(format!("`unit_cube.offset` is {offset:?} in the checkpoint's header, but must be finite"));
    }
    if !origin.iter().all(|x| x.is_finite()) {
        return Err(format!("`unit_cube.origin` is {origin:?} in the checkpoint's header, but must be finite"));
    }
    Ok(())
}

fn check_format(own: &Value) -> std::result::Result<(), String> {
    let (format, version) = (own.get("format"), own.get("version"));
    if format != Some(&Value::from(FORMAT)) {
        return Err(format!("no gridfield checkpoint: its header has no format `{FORMAT}`"));
    }
    if version != Some(&Value::from(FORMAT_VERSION)) {
        let found = version.map_or("none".to_owned(), Value::to_string);
        return Err(format!(
            "checkpoint format version {found}, but this gridfield reads version {FORMAT_VERSION}; use the gridfield \
             that wrote it"
        ));
    }
    Ok(())
}

fn read_elements(file: &mut File, path: &Path, name: &str, info: &TensorInfo) -> Result<TensorData<'static>> {
    let n = info.shape.iter().product();
    match info.dtype {
        Dtype::F32 => read_as::<f32>(file, path, n),
        Dtype::U32 => read_as::<u32>(file, path, n),
        Dtype::U8 => read_as::<u8>(file, path, n),
        other => Err(Error::file(path, format!("tensor `{name}` holds {other} values, but F32, U32 and U8 are read"))),
    }
}

fn read_as<T: Element>(file: &mut File, path: &Path, n: usize) -> Result<TensorData<'static>>
where
    TensorData<'static>: From<Vec<T>>,
{
    let mut values =
        zeroed_vec::<T>(n).map_err(|e| Error::file(path, format!("the checkpoint cannot be read: {e}")))?;
    file.read_exact(bytemuck::cast_slice_mut(&mut values)).map_err(|e| cannot_read(path, &e))?;
    Ok(values.into())
}

fn refuse_not_finite(path: &Path, tensor: &Tensor<'_>, consequence: &str) -> Result<()> {
    match tensor.data.first_not_finite() {
        None => Ok(()),
        Some((index, value)) => {
            let name = &tensor.name;
            Err(Error::file(path, format!("tensor `{name}` holds {value} at element {index}; {consequence}")))
        }
    }
}

fn truncated(path: &Path, found: u64, expected: u64) -> Error {
    Error::file(
        path,
        format!(
            "truncated: {expected} bytes are expected, but it has {found}; copy it again or use another checkpoint"
        ),
    )
}

fn cannot_read(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::file(path, "there is no such checkpoint; check the path"),
        ErrorKind::IsADirectory => Error::file(path, "is a folder, where a checkpoint file is expected"),
        _ => Error::file(path, format!("the checkpoint cannot be read ({error})")),
    }
}
