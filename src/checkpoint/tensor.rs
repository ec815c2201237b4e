//! Named arrays of one of three element types, owned or borrowed.

use std::borrow::Cow;

use bytemuck::Pod;
use safetensors::Dtype;

// Tensors are written to and read from the file as the bytes they are in memory, and safetensors is little-endian.
const _: () = assert!(cfg!(target_endian = "little"), "checkpoints are read and written on little-endian machines");

/// An array in row-major order with a name and a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// Name, unique in a checkpoint.
    pub name: String,
    /// Extent of each dimension.
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub data: TensorData<'a>,
}

impl<'a> Tensor<'a> {
    /// Creates a tensor from `data`, a `Vec` or a slice of `f32`, `u32` or `u8`.
    ///
    /// # Panics
    /// Panics if `shape` does not have as many elements as `data`.
    pub fn new(name: impl Into<String>, shape: &[usize], data: impl Into<TensorData<'a>>) -> Self {
        let (name, data) = (name.into(), data.into());
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of tensor `{name}` of shape {shape:?}");
        Tensor { name, shape: shape.to_vec(), data }
    }
}

/// The elements of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData<'a> {
    /// 32-bit floating-point numbers.
    F32(Cow<'a, [f32]>),
    /// Unsigned 32-bit integers.
    U32(Cow<'a, [u32]>),
    /// Bytes.
    U8(Cow<'a, [u8]>),
}

impl TensorData<'_> {
    /// Returns the element type, as safetensors names it.
    pub fn dtype(&self) -> Dtype {
        match self {
            TensorData::F32(_) => Dtype::F32,
            TensorData::U32(_) => Dtype::U32,
            TensorData::U8(_) => Dtype::U8,
        }
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        match self {
            TensorData::F32(values) => values.len(),
            TensorData::U32(values) => values.len(),
            TensorData::U8(values) => values.len(),
        }
    }

    /// Returns whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the elements as they are stored in the file: little-endian.
    pub fn bytes(&self) -> &[u8] {
        match self {
            TensorData::F32(values) => bytemuck::cast_slice(values),
            TensorData::U32(values) => bytemuck::cast_slice(values),
            TensorData::U8(values) => values,
        }
    }

    /// Returns the index and value of the first element that is NaN or infinite.
    pub(crate) fn first_not_finite(&self) -> Option<(usize, f32)> {
        match self {
            TensorData::F32(values) => {
                values.iter().position(|value| !value.is_finite()).map(|index| (index, values[index]))
            }
            TensorData::U32(_) | TensorData::U8(_) => None,
        }
    }
}

/// The three element types of a tensor.
pub trait Element: Pod {
    /// The element type in safetensors.
    const DTYPE: Dtype;
    /// Returns the elements if they are of this type.
    fn slice<'t>(data: &'t TensorData<'_>) -> Option<&'t [Self]>;
    /// Returns the elements if they are of this type; copies them only if `data` borrows them.
    fn into_vec(data: TensorData<'_>) -> Option<Vec<Self>>;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$variant;

            fn slice<'t>(data: &'t TensorData<'_>) -> Option<&'t [Self]> {
                if let TensorData::$variant(values) = data { Some(values) } else { None }
            }

            fn into_vec(data: TensorData<'_>) -> Option<Vec<Self>> {
                if let TensorData::$variant(values) = data { Some(values.into_owned()) } else { None }
            }
        }

        impl From<Vec<$type>> for TensorData<'_> {
            fn from(values: Vec<$type>) -> Self {
                TensorData::$variant(Cow::Owned(values))
            }
        }

        impl<'a> From<&'a [$type]> for TensorData<'a> {
            fn from(values: &'a [$type]) -> Self {
                TensorData::$variant(Cow::Borrowed(values))
            }
        }
    };
}

element!(f32, F32);
element!(u32, U32);
element!(u8, U8);
