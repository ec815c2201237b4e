//! `gridfield gtk`: measure and plot the tangent kernels of grid-based models.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::counter::Counter;
use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::print;
use crate::device::Device;
use crate::gtk::bound::default_pair;
use crate::gtk::drift::Training;
use crate::gtk::flow::STEPS as STEPS_OF_FLOW;
use crate::gtk::report::{Section, page};
use crate::gtk::tangent::Readout;
use crate::gtk::{Arrangement, Finding, Question, Study, ThetaChoice};
use crate::{Error, Result, atomic};

const OUTPUT: &str = "gtk";

/// Tangent kernels: how fast a grid-based model learns what, and how well it generalizes.
///
/// Each command writes its figures (NAME.json) and a plot (NAME.svg) to a folder. See docs/gtk.md for the formulas.
#[derive(Debug, Args)]
pub struct GtkArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The kernel G itself, or the full tangent kernel over all parameters
    Matrix(MatrixArgs),
    /// Eigenvalues, rank, and the Fourier transform of the kernel's profile
    Spectrum(SpectrumArgs),
    /// Theorem 1: a training run compared with what G predicts
    Flow(FlowArgs),
    /// Theorem 2: how far the kernel moves during training
    Drift(DriftArgs),
    /// Theorem 3: the bound on the error, compared with the error
    Bound(BoundArgs),
    /// All of the above on one page
    Report(ReportArgs),
}

/// The models to study, and the points at which to evaluate them.
#[derive(Debug, Args)]
struct StudyArgs {
    /// NAME[,key=value]...: a model, JSON config, run or checkpoint, with keys of model.grid, label or theta; repeat
    /// the flag for several models [default: linear, smoothstep, the mulfa variants, local, and two levels with and
    /// without a cascade]
    #[arg(short, long = "model", value_name = "MODEL", help_heading = "Models")]
    models: Vec<String>,

    /// Set a key of model.grid for all models, as in --set base_resolution=64
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Models")]
    set: Vec<String>,

    /// Parameters of learned kernel functions, unless a checkpoint provides them
    #[arg(long, value_enum, value_name = "THETA", default_value = "random", help_heading = "Models")]
    theta: ThetaChoice,

    /// Number of dimensions: 1, 2 or 3 [default: that of the data or the checkpoint, else 1]
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u32).range(1..=3), help_heading = "Points")]
    dim: Option<u32>,

    /// Number of points [default: 256 (flow 128, drift 64, bound 24, or 256 with --data)]
    #[arg(short, long = "n", value_name = "N", value_parser = clap::value_parser!(u64).range(2..), help_heading = "Points")]
    n: Option<u64>,

    /// Arrangement of the points
    #[arg(long, value_enum, value_name = "HOW", default_value = "regular", help_heading = "Points")]
    points: Arrangement,

    /// Take the points from a list (.json), an image, a scene's first view, or a run's occupied cells
    #[arg(long, value_name = "PATH", help_heading = "Points", conflicts_with = "points")]
    data: Option<PathBuf>,

    /// Labels to learn, as a JSON list [default: grey values of an image, else a sum of two waves]
    #[arg(long, value_name = "FILE.json", help_heading = "Points")]
    labels: Option<PathBuf>,

    /// Seed of random points, features and parameters
    #[arg(long, value_name = "SEED", default_value = "0", help_heading = "Points")]
    seed: u64,

    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// Folder for the files
    #[arg(short, long, value_name = "DIR", default_value = OUTPUT, help_heading = "Results")]
    output: PathBuf,
}

#[derive(Debug, Args)]
struct MatrixArgs {
    /// The full tangent kernel: gradients with respect to features, kernel parameters and decoder
    #[arg(long, help_heading = "Models")]
    full: bool,

    /// Readout from the features to the field, for --full
    #[arg(long, value_enum, value_name = "READOUT", default_value = "mlp", help_heading = "Models")]
    readout: Readout,

    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct SpectrumArgs {
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct FlowArgs {
    /// Steps of gradient descent
    #[arg(long, value_name = "N", default_value_t = STEPS_OF_FLOW as u32, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Training")]
    steps: u32,

    /// Learning rate of gradient descent [default: a tenth of 1 / the largest eigenvalue of G]
    #[arg(long, value_name = "RATE", value_parser = positive, help_heading = "Training")]
    learning_rate: Option<f64>,

    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct TrainingArgs {
    /// Steps of Adam on all points
    #[arg(long, value_name = "N", default_value = "500", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Training")]
    steps: u32,

    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value = "0.01", value_parser = positive, help_heading = "Training")]
    learning_rate: f64,

    /// Readout from the features to the field
    #[arg(long, value_enum, value_name = "READOUT", default_value = "mlp", help_heading = "Training")]
    readout: Readout,
}

#[derive(Debug, Args)]
struct DriftArgs {
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct BoundArgs {
    /// The two points of the label map, as x1,…:x2,… [default: 0.49 and 0.51 along the first axis]
    #[arg(long, value_name = "X:X", help_heading = "Points")]
    at: Option<String>,

    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// Folder for report.html and the files of all commands
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    #[command(flatten)]
    study: StudyArgs,
}

impl GtkArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match self.command {
            Command::Matrix(args) => {
                let measure = |study: &Study| if args.full { study.full_matrix(args.readout) } else { study.matrix() };
                args.study.show(256, &args.output.output, measure)
            }
            Command::Spectrum(args) => args.study.show(256, &args.output.output, |study| study.spectrum()),
            Command::Flow(args) => {
                args.study.show(128, &args.output.output, |study| study.flow(args.steps as usize, args.learning_rate))
            }
            Command::Drift(args) => {
                let training = args.training.training(args.study.seed);
                args.study.show(64, &args.output.output, |study| study.drift(training))
            }
            Command::Bound(args) => {
                let n = args.study.points_for_bound();
                args.study.show(n, &args.output.output, |study| {
                    study.bound(&pair(args.at.as_deref(), study.points.dimensions)?)
                })
            }
            Command::Report(args) => args.run(),
        }
    }
}

impl TrainingArgs {
    fn training(&self, seed: u64) -> Training {
        let TrainingArgs { steps, learning_rate, readout } = *self;
        Training { readout, steps: steps as usize, learning_rate, seed }
    }
}

impl StudyArgs {
    /// Measures, writes the files to `folder` and prints the finding.
    fn show(&self, n: usize, folder: &Path, measure: impl Fn(&Study) -> Result<Finding>) -> anyhow::Result<Outcome> {
        let device = self.machine.open_device()?;
        let finding = self.measure(&device, n, measure)?;
        let written = finding.write(folder)?;
        print_finding(&finding)?;
        let names: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        print::to_stdout(&format!("written: {}", names.join(", ")))?;
        Ok(Outcome::Done)
    }

    fn measure(&self, device: &Device, n: usize, measure: impl Fn(&Study) -> Result<Finding>) -> Result<Finding> {
        let question = self.question(n);
        let counter = Counter::new("models", question.n_models(), false);
        question.measure(device, &|| counter.add_one(), measure)
    }

    /// Returns the models and the points; `n` is the number of points unless the flags give one.
    fn question(&self, n: usize) -> Question {
        Question {
            models: self.models.clone(),
            set: self.set.clone(),
            theta: self.theta,
            dimensions: self.dim,
            n: self.n.map_or(n, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            arrangement: self.points,
            data: self.data.clone(),
            labels: self.labels.clone(),
            seed: self.seed,
        }
    }

    /// Returns the default number of points for `bound`: few where the points do not come from data, so that one level
    /// of nodes is enough for them.
    fn points_for_bound(&self) -> usize {
        if self.data.is_some() { 256 } else { 24 }
    }
}

impl ReportArgs {
    fn run(&self) -> anyhow::Result<Outcome> {
        let device = self.study.machine.open_device()?;
        let training = Training { readout: Readout::Mlp, steps: 500, learning_rate: 0.01, seed: self.study.seed };
        type Measure<'m> = Box<dyn Fn(&Study) -> Result<Finding> + 'm>;
        let parts: [(&str, usize, Measure); 6] = [
            ("matrix", 256, Box::new(|study| study.matrix())),
            ("matrix --full", 256, Box::new(move |study| study.full_matrix(Readout::Mlp))),
            ("spectrum", 256, Box::new(|study| study.spectrum())),
            ("flow", 128, Box::new(|study| study.flow(STEPS_OF_FLOW, None))),
            ("drift", 64, Box::new(move |study| study.drift(training))),
            (
                "bound",
                self.study.points_for_bound(),
                Box::new(|study| study.bound(&pair(None, study.points.dimensions)?)),
            ),
        ];
        // An error in the arguments applies to all parts and ends the report here; a part that cannot be measured does
        // not stop the others.
        self.study.question(2).check()?;
        let mut sections = Vec::new();
        for (name, n, measure) in parts {
            sections.push(match self.study.measure(&device, n, measure) {
                Ok(finding) => {
                    finding.write(&self.folder)?;
                    print_finding(&finding)?;
                    Section::Finding(Box::new(finding))
                }
                Err(error @ Error::File { .. }) => return Err(error.into()),
                Err(error) => {
                    print::to_stderr(&format!("gridfield: warning: {name} is left out: {error}"));
                    Section::Refused(name.to_owned(), error.to_string())
                }
            });
        }
        let path = self.folder.join("report.html");
        let command: Vec<String> = std::env::args().skip(1).map(|word| print::shell_word(&word)).collect();
        let html = page(&sections, &format!("gridfield {}", command.join(" ")));
        atomic::make_folder_of(&path)?;
        atomic::write(&path, |file| file.write_all(html.as_bytes()))?;
        print::to_stdout(&format!("written: {}", path.display()))?;
        Ok(Outcome::Done)
    }
}

fn print_finding(finding: &Finding) -> std::io::Result<()> {
    print::to_stdout(&format!("{}\n{}", finding.title, finding.table.text()))?;
    finding.notes.iter().try_for_each(|note| print::to_stdout(note))
}

/// Parses the two points of `x1,…:x2,…`, or returns the default ones.
fn pair(text: Option<&str>, dimensions: u32) -> Result<[Vec<f64>; 2]> {
    let d = dimensions as usize;
    let Some(text) = text else { return Ok(default_pair(dimensions)) };
    let point = |text: &str| -> Option<Vec<f64>> {
        let x: Vec<f64> = text.split(',').map(|x| x.trim().parse().ok()).collect::<Option<_>>()?;
        (x.len() == d && x.iter().all(|x| (0.0..=1.0).contains(x))).then_some(x)
    };
    let points = text.split_once(':').and_then(|(a, b)| Some([point(a)?, point(b)?]));
    match points {
        Some([a, b]) if a != b => Ok([a, b]),
        _ => Err(Error::config(format!(
            "--at is {text}, but must be two different points of {d} coordinates from 0 to 1, as in {}",
            if d == 1 { "0.49:0.51" } else { "0.4,0.5:0.6,0.5" }
        ))),
    }
}

fn positive(text: &str) -> std::result::Result<f64, &'static str> {
    text.parse().ok().filter(|value: &f64| *value > 0.0 && value.is_finite()).ok_or("a number above 0 is expected")
}
