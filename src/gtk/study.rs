//! Runs the measurements for several models, and collects the numbers, figure and table of each.

use super::jacobian::jacobian;
use std::path::{Path, PathBuf};

use faer::Mat;
use serde::Serialize;
use serde_json::{Value, json};

use super::bound::{self, Bound};
use super::drift::{self, Training};
use super::flow::{self, ROUNDING};
use super::matrix;
use super::spectrum;
use super::tangent::{Field, Readout};
use super::{Model, Points, charts, memory};
use crate::device::Device;
use crate::media::table::{Table, figure};
use crate::{COMMIT, Error, Result, VERSION, atomic};

/// Maximum number of points for which the JSON file contains the matrix. Larger ones are only in the `.npy` file.
const MOST_IN_JSON: usize = 64;
/// Condition number above which half of the digits of an f64 are lost in `G⁻¹`.
const ILL_CONDITIONED: f64 = 1e8;
/// Number of additional matrices alive at once while a full kernel is summed from its parts and compared with an
/// earlier one.
const DRIFT_MATRICES: usize = 6;
/// Number of steps of a label map along each axis.
const MAP_STEPS: usize = 100;

/// Models, and the points at which they are analysed.
pub struct Study<'d> {
    /// Device that computes the nodes and their weights.
    pub device: &'d Device,
    /// Models to compare.
    pub models: Vec<Model>,
    /// Points at which the kernels are evaluated.
    pub points: Points,
    /// Seed of all random choices.
    pub seed: u64,
    /// Called after each model.
    pub progress: &'d dyn Fn(),
}

/// Result of a measurement.
pub struct Finding {
    /// Name of the measurement, which is also the base name of its files.
    pub name: &'static str,
    /// Heading of the section.
    pub title: String,
    /// Explanation of the figure.
    pub explanation: &'static str,
    /// Numbers of the measurement, as written to its JSON file.
    pub json: Value,
    /// The figure as SVG.
    pub svg: String,
    /// Summary with one row per model.
    pub table: Table,
    /// Remarks that matter to the reader, for example that a matrix is nearly singular.
    pub notes: Vec<String>,
    matrices: Vec<(String, Mat<f64>)>,
}

impl Finding {
    /// Writes `NAME.json`, `NAME.svg` and the matrices, and returns the paths.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be created or written to.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let path = |extension: &str| folder.join(format!("{}.{extension}", self.name));
        atomic::make_folder_of(&path("json"))?;
        atomic::write_json(&path("json"), &self.json)?;
        atomic::write(&path("svg"), |file| file.write_all(self.svg.as_bytes()))?;
        let mut written = vec![path("json"), path("svg")];
        for (name, matrix) in &self.matrices {
            matrix::write_npy(&folder.join(name), matrix)?;
            written.push(folder.join(name));
        }
        Ok(written)
    }
}

/// A matrix, and for a full tangent kernel also its parts.
type Measured = (Mat<f64>, Option<Parts>);

/// Additional numbers for a full tangent kernel.
#[derive(Clone, Copy, Serialize)]
struct Parts {
    n_parameters: usize,
    mean_diagonal: PartMeans,
}

/// `trace / n` of each of the parts that add up to the full tangent kernel.
#[derive(Clone, Copy, Serialize)]
struct PartMeans {
    features: f64,
    theta: f64,
    decoder: f64,
}

/// The JSON entry for the matrix of one model.
#[derive(Serialize)]
struct MatrixNumbers {
    model: String,
    n: usize,
    trace: f64,
    frobenius: f64,
    /// Fraction of entries that are not zero.
    fill: f64,
    /// The file that holds the matrix.
    file: String,
    /// Rows of the matrix; None if there are more than [`MOST_IN_JSON`].
    matrix: Option<Vec<Vec<f64>>>,
}

impl Study<'_> {
    /// Computes G of each model.
    ///
    /// # Errors
    /// Returns an error if the device fails or memory is insufficient.
    pub fn matrix(&self) -> Result<Finding> {
        self.require_matrices(self.models.len())?;
        let matrices =
            self.each(|model| Ok((jacobian(model, self.device, &self.points.x)?.compacted().0.gram(), None)))?;
        let explanation = "G by sparse rows of Φ: how much learning at one point moves the other.";
        Ok(self.matrices("matrix", &self.title("Grid tangent kernel G"), explanation, matrices))
    }

    /// Computes the full tangent kernel of each model, over features, θ and decoder.
    ///
    /// # Errors
    /// Returns an error if the device fails or memory is insufficient.
    pub fn full_matrix(&self, readout: Readout) -> Result<Finding> {
        self.require_matrices(self.models.len() + DRIFT_MATRICES)?;
        let matrices = self.each(|model| {
            let field = Field::new(model, self.device, &self.points.x, readout, self.seed)?;
            let dense = field.theta.len() + field.n_weights();
            memory::require(field.n(), 16.0 * (field.n() * dense) as f64)?;
            let kernels = field.kernels(&field.jacobian()?)?;
            let mean_diagonal = PartMeans {
                features: matrix::mean_diagonal(&kernels.features),
                theta: matrix::mean_diagonal(&kernels.theta),
                decoder: matrix::mean_diagonal(&kernels.decoder),
            };
            Ok((kernels.sum(), Some(Parts { n_parameters: field.n_parameters(), mean_diagonal })))
        })?;
        let explanation = "J Jᵀ with J the gradients of every sample by all parameters: features, θ and decoder.";
        Ok(self.matrices("matrix-full", &self.title("Full tangent kernel"), explanation, matrices))
    }

    /// Computes the eigenvalues of G, the kernel profile and its Fourier transform for each model.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn spectrum(&self) -> Result<Finding> {
        let spectra = self.each(|model| spectrum::spectrum(model, self.device, &self.points.x))?;
        let row = |s: &spectrum::Spectrum| {
            let e = &s.eigenvalues;
            let numbers = [e.values[0], e.values[s.n - 1], e.condition_number, e.effective_rank];
            let profile = [s.profile.median_frequency, s.profile.high_share];
            let mut row =
                vec![s.model.clone(), s.n.to_string(), s.active_nodes.to_string(), e.numerical_rank.to_string()];
            row.extend(numbers.into_iter().chain(profile).map(figure));
            row
        };
        let head =
            ["model", "n", "nodes", "rank", "λ min", "λ max", "condition", "eff. rank", "median f", "share f≥128"];
        Ok(Finding {
            name: "spectrum",
            title: self.title("Spectra"),
            explanation: "Wide spectra learn fine detail as fast as coarse. Left: eigenvalues of G over their mean. Middle: the \
                          kernel along a line. Right: its Fourier transform, the rate at which a wave of that frequency is \
                          learned.",
            svg: charts::spectra(&self.title("Spectra"), &spectra),
            table: Table::new(&head, spectra.iter().map(row).collect()),
            json: self.json("spectrum", json!({}), &spectra),
            notes: Vec::new(),
            matrices: Vec::new(),
        })
    }

    /// Tests Theorem 1.
    ///
    /// # Errors
    /// Returns an error if gradient descent diverges at the learning rate, or if the device fails.
    pub fn flow(&self, steps: usize, learning_rate: Option<f64>) -> Result<Finding> {
        let labels = self.labels();
        let flows = self.each(|model| {
            let found = flow::flow(model, self.device, &self.points.x, labels, steps, learning_rate, self.seed)?;
            match found.loss.iter().all(|loss| *loss <= 4.0 * found.loss[0].max(f64::MIN_POSITIVE)) {
                true => Ok(found),
                false => Err(Error::config(format!(
                    "{}: gradient descent diverges at learning rate {}; take one below 2 / λ_max, or leave it out",
                    model.label, found.learning_rate
                ))),
            }
        })?;
        let worst = self.largest(false, &flows, |flow| flow.largest_deviation);
        let mut notes = Vec::new();
        if let Some(worst) = worst {
            let verdict = if worst < ROUNDING { "at rounding level" } else { "above rounding level" };
            notes.push(format!(
                "largest deviation of gradient descent from its law: {worst:.2e} of |O(0) − Y|, {verdict} (below {ROUNDING:.0e})"
            ));
        }
        notes.extend(self.largest(true, &flows, |flow| flow.largest_deviation).map(|worst| {
            format!("a cascade is not linear in its features, so the law of its first G need not hold; largest deviation: {worst:.2e}")
        }));
        let row = |f: &flow::Flow| {
            let last = f.loss[f.loss.len() - 1];
            let numbers = [f.learning_rate, f.loss[0], last, f.largest_deviation, f.largest_deviation_flow];
            [vec![f.model.clone(), f.n.to_string(), steps.to_string()], numbers.map(figure).to_vec()].concat()
        };
        let head = ["model", "n", "steps", "rate", "loss at 0", "loss at end", "deviation", "from flow"];
        Ok(Finding {
            name: "flow",
            title: self.title("Theorem 1: the training that G predicts"),
            explanation: "With φ fixed, gradient descent follows O_k = Y + (1 − ηG)^k (O_0 − Y), and for small η the flow O(t) = \
                          Y + e^{−Gt} (O(0) − Y).",
            svg: charts::flows(&self.title("Theorem 1"), &flows),
            table: Table::new(&head, flows.iter().map(row).collect()),
            json: self.json("flow", json!({ "labels": labels, "largest_deviation": worst }), &flows),
            notes,
            matrices: Vec::new(),
        })
    }

    /// Tests Theorem 2.
    ///
    /// # Errors
    /// Returns an error if the device fails or memory is insufficient.
    pub fn drift(&self, training: Training) -> Result<Finding> {
        self.require_matrices(DRIFT_MATRICES)?;
        let labels = self.labels();
        let drifts = self.each(|model| drift::drift(model, self.device, &self.points.x, labels, training))?;
        let last = |values: &[f64]| figure(values[values.len() - 1]);
        let row = |d: &drift::Drift| {
            let held = [&d.phi_fixed.grid, &d.phi_fixed.full].map(|values| last(values));
            let learned = d
                .phi_learned
                .as_ref()
                .map_or(["–", "–"].map(str::to_owned), |c| [&c.grid, &c.full].map(|v| last(v)));
            [vec![d.model.clone(), d.n.to_string(), d.n_parameters.to_string()], held.to_vec(), learned.to_vec()]
                .concat()
        };
        let head = ["model", "n", "parameters", "grid, θ held", "full, θ held", "grid, θ learned", "full, θ learned"];
        let moved = |of_cascades| {
            self.largest(of_cascades, &drifts, |drift| drift.phi_fixed.grid.iter().copied().fold(0.0, f64::max))
        };
        let note =
            |what: &str, worst: f64| format!("largest drift of the grid part{what} with θ held: {}", figure(worst));
        let notes = [("", moved(false)), (" of a cascade", moved(true))];
        Ok(Finding {
            name: "drift",
            title: self.title("Theorem 2: how far the kernel moves in training"),
            explanation: "‖G(t) − G(0)‖ / ‖G(0)‖ along a training with Adam. With θ held the grid part stays what it was, unless the \
                          levels form a cascade; the full kernel moves with the decoder, and with θ.",
            svg: charts::drifts(&self.title("Theorem 2"), &drifts),
            table: Table::new(&head, drifts.iter().map(row).collect()),
            json: self.json("drift", json!({ "labels": labels, "training": training }), &drifts),
            notes: notes.iter().filter_map(|(what, worst)| worst.map(|worst| note(what, worst))).collect(),
            matrices: Vec::new(),
        })
    }

    /// Computes the bound of Theorem 3, and the two-point map for the points `pair`.
    ///
    /// # Errors
    /// Returns an error if G of a model is singular, if memory is insufficient, or if the device fails.
    pub fn bound(&self, pair: &[Vec<f64>; 2]) -> Result<Finding> {
        let labels = self.labels();
        let measured = self.each(|model| {
            // Memory for the feature of each entry, and for the start of each entry's rows.
            memory::require(labels.len(), 16.0 * model.n_entries() as f64)?;
            let bound = bound::bound(model, self.device, &self.points, labels)?;
            Ok((bound, bound::label_map(model, self.device, pair.clone(), MAP_STEPS)?))
        })?;
        let (bounds, maps): (Vec<Bound>, Vec<bound::LabelMap>) = measured.into_iter().unzip();
        let ranking = bound::ranking(&bounds);
        let mut notes: Vec<String> = bounds.iter().filter_map(ill_conditioned).collect();
        notes.extend(ranking.map(|r| {
            format!(
                "rank correlation of bound and measured error over {} models: {:.2} at trace n, {:.2} as it is",
                r.n_models, r.at_trace_n, r.as_it_is
            )
        }));
        let extra = json!({ "labels": labels, "ranking": ranking, "maps": maps });
        let head = [
            "model",
            "n",
            "λ min",
            "condition",
            "Δ",
            "bound",
            "Δ, trace n",
            "bound, trace n",
            "test error",
            "residual",
        ];
        Ok(Finding {
            name: "bound",
            title: self.title("Theorem 3: the bound on the error"),
            explanation: "sqrt(2Δ/n) with Δ = Yᵀ G⁻¹ Y, at G scaled to trace n, beside the error measured at points held out. \
                          Maps: the bound of two points over their labels, at trace 2; where a map is dark, the model generalizes from such labels.",
            svg: charts::bounds(&self.title("Theorem 3"), &bounds, ranking.as_ref(), &maps),
            table: Table::new(&head, bounds.iter().map(bound_row).collect()),
            json: self.json("bound", extra, &bounds),
            notes,
            matrices: Vec::new(),
        })
    }

    /// Returns the largest value over the models that have a cascade, or over the others; None if there are none.
    fn largest<T>(&self, of_cascades: bool, results: &[T], value: impl Fn(&T) -> f64) -> Option<f64> {
        let those = self.models.iter().zip(results).filter(|(model, _)| model.cascade.is_some() == of_cascades);
        those.map(|(_, result)| value(result)).reduce(f64::max)
    }

    /// Checks that `count` n × n matrices fit in memory at once, in addition to the usual ones.
    fn require_matrices(&self, count: usize) -> Result<()> {
        memory::require(self.points.n(), 8.0 * count as f64 * (self.points.n() as f64).powi(2))
    }

    fn labels(&self) -> &[f64] {
        self.points.labels.as_deref().expect("the study was given labels")
    }

    fn each<T>(&self, measure: impl Fn(&Model) -> Result<T>) -> Result<Vec<T>> {
        let one = |model| {
            let found = measure(model)?;
            (self.progress)();
            Ok(found)
        };
        self.models.iter().map(one).collect()
    }

    fn title(&self, what: &str) -> String {
        let points = &self.points;
        format!("{what}; {} points in {}D, {}", points.n(), points.dimensions, points.source)
    }

    fn json(&self, name: &str, extra: Value, results: &impl Serialize) -> Value {
        let points = &self.points;
        let model = |m: &Model| json!({ "label": m.label, "grid": m.config, "theta": m.theta, "cascade": m.cascade.as_ref().map(|cascade| &cascade.gates) });
        let mut value = json!({
            "measurement": name,
            "gridfield": VERSION,
            "commit": COMMIT,
            "device": self.device.describe(),
            "seed": self.seed,
            "points": { "dimensions": points.dimensions, "n": points.n(), "source": points.source, "x": points.x },
            "models": self.models.iter().map(model).collect::<Vec<_>>(),
            "results": results,
        });
        if let (Value::Object(all), Value::Object(extra)) = (&mut value, extra) {
            all.extend(extra);
        }
        value
    }

    fn matrices(&self, name: &'static str, title: &str, explanation: &'static str, found: Vec<Measured>) -> Finding {
        let titled: Vec<(String, &Mat<f64>)> =
            self.models.iter().zip(&found).map(|(model, (matrix, _))| (model.label.clone(), matrix)).collect();
        let svg = charts::matrices(title, &titled);
        let files = self.models.iter().map(|model| format!("{name}-{}.npy", slug(&model.label)));
        let numbers: Vec<MatrixNumbers> =
            titled.iter().zip(files).map(|((label, m), file)| numbers(label, m, file)).collect();
        let row = |(of, (_, full)): (&MatrixNumbers, &Measured)| {
            let numbers = [of.trace, of.frobenius, 100.0 * of.fill].map(figure);
            let parts = full.map(|Parts { n_parameters, mean_diagonal: m }| {
                [vec![n_parameters.to_string()], [m.features, m.theta, m.decoder].map(figure).to_vec()].concat()
            });
            [vec![of.model.clone(), of.n.to_string()], numbers.to_vec(), parts.unwrap_or_default()].concat()
        };
        let mut head = vec!["model", "n", "trace", "norm", "% not 0"];
        if found.iter().any(|(_, full)| full.is_some()) {
            head.extend(["parameters", "mean, w", "mean, θ", "mean, decoder"]);
        }
        let rows = numbers.iter().zip(&found).map(row).collect();
        let parts: Vec<Parts> = found.iter().filter_map(|(_, full)| *full).collect();
        Finding {
            name,
            json: self.json(name, if parts.is_empty() { json!({}) } else { json!({ "parts": parts }) }, &numbers),
            title: title.to_owned(),
            explanation,
            svg,
            table: Table::new(&head, rows),
            notes: Vec::new(),
            matrices: numbers.into_iter().map(|n| n.file).zip(found.into_iter().map(|(matrix, _)| matrix)).collect(),
        }
    }
}

fn numbers(label: &str, matrix: &Mat<f64>, file: String) -> MatrixNumbers {
    let n = matrix.nrows();
    let rows = || (0..n).map(|i| (0..n).map(|j| matrix[(i, j)]).collect()).collect();
    MatrixNumbers {
        model: label.to_owned(),
        n,
        trace: n as f64 * matrix::mean_diagonal(matrix),
        frobenius: matrix::frobenius(matrix),
        fill: matrix::fill(matrix),
        file,
        matrix: (n <= MOST_IN_JSON).then(rows),
    }
}

fn bound_row(b: &Bound) -> Vec<String> {
    let own = [b.as_it_is.lambda_min, b.condition_number, b.as_it_is.delta, b.as_it_is.bound];
    let scaled = [b.at_trace_n.delta, b.at_trace_n.bound, b.test_error.unwrap_or(f64::NAN), b.residual];
    let numbers = own.into_iter().chain(scaled).map(figure);
    [b.model.clone(), b.n.to_string()].into_iter().chain(numbers).collect()
}

fn ill_conditioned(bound: &Bound) -> Option<String> {
    (bound.condition_number > ILL_CONDITIONED).then(|| {
        format!(
            "{}: G is ill-conditioned ({:.1e}); Δ rests on its smallest eigenvalues and is good to about {:.0} digits",
            bound.model,
            bound.condition_number,
            (16.0 - bound.condition_number.log10()).max(0.0)
        )
    })
}

/// Turns a label into a part of a file name.
fn slug(label: &str) -> String {
    let words: Vec<&str> = label.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

/// Makes labels distinct, so that models and their files can be told apart.
pub fn tell_apart(models: &mut [Model]) {
    for index in 0..models.len() {
        let label = models[index].label.clone();
        let same = models[..index].iter().filter(|model| slug(&model.label) == slug(&label)).count();
        if same > 0 {
            models[index].label = format!("{label} #{}", same + 1);
        }
    }
}
