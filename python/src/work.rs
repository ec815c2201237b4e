//! Work without the interpreter's lock that Ctrl-C can end, and what several modules ask of the library.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use gridfield::device::{Device, DeviceChoice, Interrupt};
use gridfield::{Error, Result};
use pyo3::prelude::*;
use serde_json::Value;

use crate::errors::{Raise as _, raised, refused};

/// Time between two looks at whether a signal, such as that of Ctrl-C, has arrived.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs `work` without the interpreter's lock, in a thread of its own, while this thread looks out for signals. If a
/// handler of one raises, as that of Ctrl-C does, the work is ended by `interrupt`, and the exception is returned.
pub fn interruptible<T: Send>(
    py: Python<'_>,
    interrupt: &Interrupt,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    let (result, raised_by_signal) = py.detach(|| {
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            scope.spawn(move || {
                // The receiver waits until it has the result.
                let _ = sender.send(work());
            });
            let mut signal = None;
            loop {
                match receiver.recv_timeout(LOOK_EVERY) {
                    Ok(result) => return (Some(result), signal),
                    Err(RecvTimeoutError::Timeout) if signal.is_none() => {
                        signal = Python::attach(|py| py.check_signals()).err();
                        interrupt.set(signal.is_some());
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    // The work panicked, which the end of the scope passes on.
                    Err(RecvTimeoutError::Disconnected) => return (None, signal),
                }
            }
        })
    });
    interrupt.set(false);
    match (raised_by_signal, result) {
        (Some(signal), _) => Err(signal),
        (None, Some(result)) => result.or_raise(py),
        (None, None) => unreachable!("a panic of the work ends the scope with a panic"),
    }
}

/// Opens the device called `auto`, `cpu` or `cuda`.
pub fn open_device(py: Python<'_>, name: &str, threads: usize) -> PyResult<Device> {
    let choice = match name {
        "auto" => DeviceChoice::Auto,
        "cpu" => DeviceChoice::Cpu,
        "cuda" => DeviceChoice::Cuda,
        _ => return Err(refused(py, format!("there is no device `{name}`; the devices are auto, cpu and cuda"))),
    };
    py.detach(|| Device::open(choice, threads)).or_raise(py)
}

/// Converts a Python object to JSON, by way of Python's own module.
pub fn to_json(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = object.py();
    let options = pyo3::types::PyDict::new(py);
    options.set_item("allow_nan", false)?;
    let text = py.import("json")?.call_method("dumps", (object,), Some(&options));
    let text: String =
        text.map_err(|error| refused(py, format!("the configuration is not like JSON: {error}")))?.extract()?;
    serde_json::from_str(&text).map_err(|error| refused(py, format!("the configuration is not like JSON: {error}")))
}

/// Converts JSON to Python objects.
pub fn from_json(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(py.import("json")?.call_method1("loads", (value.to_string(),))?.unbind())
}

/// Returns a path as absolute text, so that it stays valid from another working folder: it is saved with runs.
pub fn absolute(path: &Path) -> Result<String> {
    let absolute = path.canonicalize().map_err(|error| Error::file(path, format!("cannot be opened ({error})")))?;
    absolute
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::file(path, "the path is not UTF-8 text; rename the folder"))
}

/// Returns a path as an exception-safe argument of Python, which may be a `str` or any `os.PathLike`.
pub fn path(object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let py = object.py();
    object.extract().map_err(|_| raised(py, &Error::config("a path is a str or an os.PathLike")))
}
