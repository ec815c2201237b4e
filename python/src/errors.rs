//! Errors of the library as Python exceptions, whose classes are in `gridfield/errors.py`.

use gridfield::Error;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// Returns the exception for an error of the library, with the sentence that the program prints.
pub fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::File { path, .. } if !path.exists() => "MissingFileError",
        Error::File { .. } => "FileError",
        Error::Config(_) => "ConfigError",
        Error::Device(_) => "DeviceError",
        Error::Diverged { .. } => "DivergedError",
        Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
    };
    let made = py
        .import("gridfield.errors")
        .and_then(|errors| errors.getattr(class))
        .and_then(|class| class.call1((error.to_string(),)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}

/// Returns the exception for an argument of a wrong value or shape.
pub fn refused(py: Python<'_>, what: impl Into<String>) -> PyErr {
    raised(py, &Error::config(what))
}

/// Turns the errors of the library into exceptions.
pub trait Raise<T> {
    /// Returns the value, or the exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> Raise<T> for gridfield::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, &error))
    }
}
