//! NumPy arrays: arguments are read where they lie if they are contiguous and of the right type, and results are
//! vectors of the library that NumPy takes over.

use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods as _, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::refused;

/// Returns an array-like object as a contiguous array of `T`, without a copy if it is one.
pub fn contiguous<'py, T: Element>(
    object: &Bound<'py, PyAny>,
    name: &str,
    dtype: &str,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let py = object.py();
    let options = PyDict::new(py);
    options.set_item("dtype", dtype)?;
    let array = py.import("numpy")?.call_method("ascontiguousarray", (object,), Some(&options));
    let array = array.map_err(|error| refused(py, format!("{name} is not an array of {dtype}: {error}")))?;
    let array = array.cast_into::<PyArrayDyn<T>>().map_err(PyErr::from)?;
    array.try_readonly().map_err(|error| refused(py, format!("{name} cannot be read: {error}")))
}

/// Returns the name of the type of an array's elements, as in `float32`; None for what is no array.
pub fn dtype_of(object: &Bound<'_, PyAny>) -> Option<String> {
    object.getattr("dtype").ok()?.getattr("name").ok()?.extract().ok()
}

/// Returns a matrix of R rows and C columns; of a pose, a last row beyond R is left out if it is that of a homogeneous
/// matrix.
pub fn matrix<const R: usize, const C: usize>(
    object: &Bound<'_, PyAny>,
    name: &str,
    wanted: &str,
) -> PyResult<[[f64; C]; R]> {
    let array = contiguous::<f64>(object, name, "float64")?;
    let py = object.py();
    let values = array.as_slice().expect("a contiguous array");
    let is_homogeneous = R == 3 && C == 4 && array.shape() == [4, 4] && values[12..] == [0.0, 0.0, 0.0, 1.0];
    if array.shape() != [R, C] && !is_homogeneous {
        return Err(refused(py, format!("{name} has the shape {:?}, but must be {wanted}", array.shape())));
    }
    Ok(std::array::from_fn(|row| std::array::from_fn(|column| values[row * C + column])))
}

/// Points `[n, 3]`, as they lie in an array of Python or converted.
pub struct Points<'py> {
    array: Option<PyReadonlyArrayDyn<'py, f32>>,
    converted: Vec<[f32; 3]>,
}

impl<'py> Points<'py> {
    /// Reads points relative to `origin`. Those in single precision are used where they lie if `origin` is 0.
    pub fn read(object: &Bound<'py, PyAny>, name: &str, origin: &[f64; 3]) -> PyResult<Self> {
        let py = object.py();
        if *origin == [0.0; 3] && dtype_of(object).is_some_and(|dtype| dtype == "float32") {
            let array = contiguous::<f32>(object, name, "float32")?;
            check_points(py, array.shape(), name)?;
            return Ok(Points { array: Some(array), converted: Vec::new() });
        }
        let array = contiguous::<f64>(object, name, "float64")?;
        check_points(py, array.shape(), name)?;
        let values = array.as_slice().expect("a contiguous array").as_chunks::<3>().0;
        let converted = values.iter().map(|point| std::array::from_fn(|k| (point[k] - origin[k]) as f32)).collect();
        Ok(Points { array: None, converted })
    }

    /// Returns the points.
    pub fn get(&self) -> &[[f32; 3]] {
        match &self.array {
            Some(array) => array.as_slice().expect("a contiguous array").as_chunks::<3>().0,
            None => &self.converted,
        }
    }
}

fn check_points(py: Python<'_>, shape: &[usize], name: &str) -> PyResult<()> {
    match shape {
        [_, 3] => Ok(()),
        _ => Err(refused(py, format!("{name} has the shape {shape:?}, but must be [n, 3]"))),
    }
}

/// Returns values as an array of the shape, without a copy.
pub fn array<'py, T: Element, const N: usize>(
    py: Python<'py>,
    values: Vec<T>,
    shape: [usize; N],
) -> PyResult<Bound<'py, PyAny>> {
    Ok(PyArray1::from_vec(py, values).reshape(shape.to_vec())?.into_any())
}

/// Returns positions relative to `origin` as an array `[n, 3]`: in single precision without a copy if `origin` is 0, else
/// in double precision with `origin` added.
pub fn positions<'py>(py: Python<'py>, points: Vec<[f32; 3]>, origin: &[f64; 3]) -> PyResult<Bound<'py, PyAny>> {
    let n = points.len();
    if *origin == [0.0; 3] {
        return array(py, points.into_flattened(), [n, 3]);
    }
    let moved = points.iter().flat_map(|point| (0..3).map(|k| f64::from(point[k]) + origin[k])).collect();
    array::<f64, 2>(py, moved, [n, 3])
}

/// Returns six numbers of a box, `[2, 3]` or `[6]`, as its two corners.
pub fn corners(object: &Bound<'_, PyAny>) -> PyResult<[[f64; 3]; 2]> {
    let array = contiguous::<f64>(object, "box", "float64")?;
    if !matches!(array.shape(), [2, 3] | [6]) {
        let what = format!("box has the shape {:?}, but must be [[x0, y0, z0], [x1, y1, z1]]", array.shape());
        return Err(refused(object.py(), what));
    }
    let values = array.as_slice().expect("a contiguous array");
    Ok(std::array::from_fn(|corner| std::array::from_fn(|k| values[3 * corner + k])))
}
