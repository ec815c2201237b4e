//! Tangent kernels: the measurements of `gridfield gtk` as Python objects.

use std::path::PathBuf;

use gridfield::Error;
use gridfield::gtk::bound::default_pair;
use gridfield::gtk::drift::Training;
use gridfield::gtk::tangent::Readout;
use gridfield::gtk::{Arrangement, Question, ThetaChoice, flow};
use pyo3::prelude::*;

use crate::errors::{Raise as _, refused};
use crate::work::{from_json, open_device};

/// Makes the measurement `what`, and returns its numbers as `gridfield gtk` writes them to JSON.
#[pyfunction]
#[pyo3(signature = (what, models, *, set, n, dim, points, data, labels, theta, seed, steps, device, threads))]
#[allow(clippy::too_many_arguments)]
pub fn measure(
    what: &str,
    models: Vec<String>,
    set: Vec<String>,
    n: usize,
    dim: Option<u32>,
    points: &str,
    data: Option<PathBuf>,
    labels: Option<PathBuf>,
    theta: &str,
    seed: u64,
    steps: Option<usize>,
    device: &str,
    threads: usize,
    py: Python<'_>,
) -> PyResult<Py<PyAny>> {
    let arrangement = match points {
        "regular" => Arrangement::Regular,
        "random" => Arrangement::Random,
        _ => return Err(refused(py, format!("points is `{points}`, but must be regular or random"))),
    };
    let theta = match theta {
        "random" => ThetaChoice::Random,
        "initial" => ThetaChoice::Initial,
        _ => return Err(refused(py, format!("theta is `{theta}`, but must be random or initial"))),
    };
    if n < 2 || dim.is_some_and(|dim| !(1..=3).contains(&dim)) || steps == Some(0) {
        return Err(refused(py, "n must be at least 2, dim from 1 to 3, and steps at least 1"));
    }
    let question = Question { models, set, theta, dimensions: dim, n, arrangement, data, labels, seed };
    let device = open_device(py, device, threads)?;
    let finding = py.detach(|| {
        question.measure(&device, &|| (), |study| match what {
            "spectrum" => study.spectrum(),
            "matrix" => study.matrix(),
            "flow" => study.flow(steps.unwrap_or(flow::STEPS), None),
            "drift" => {
                let steps = steps.unwrap_or(500);
                study.drift(Training { readout: Readout::Mlp, steps, learning_rate: 0.01, seed })
            }
            "bound" => study.bound(&default_pair(study.points.dimensions)),
            _ => Err(Error::config(format!("there is no measurement `{what}`"))),
        })
    });
    from_json(py, &finding.or_raise(py)?.json)
}
