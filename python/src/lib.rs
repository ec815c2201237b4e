//! The Python module `gridfield._gridfield`: the library's trainers and fields as classes. No arithmetic happens here;
//! `gridfield/_gridfield.pyi` has the documentation of each class and function with shapes and units.
//!
//! Work is done without the interpreter's lock. Signals are looked at between training steps, and while a field is
//! evaluated, so that Ctrl-C raises `KeyboardInterrupt` soon.

mod arrays;
mod errors;
mod fields;
mod gtk;
mod scene;
mod trainers;
mod work;

use pyo3::prelude::*;

/// The compiled part of the package `gridfield`.
#[pymodule]
fn _gridfield(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", gridfield::VERSION)?;
    module.add("__commit__", gridfield::COMMIT)?;
    module.add_class::<scene::Scene>()?;
    module.add_class::<scene::View>()?;
    module.add_class::<trainers::Trainer>()?;
    module.add_class::<trainers::ImageTrainer>()?;
    module.add_class::<trainers::SdfTrainer>()?;
    module.add_class::<fields::Field>()?;
    module.add_class::<fields::ImageField>()?;
    module.add_class::<fields::DistanceField>()?;
    module.add_function(wrap_pyfunction!(fields::load, module)?)?;
    module.add_function(wrap_pyfunction!(gtk::measure, module)?)
}
