//! The command line: one file per subcommand, each of which reads its arguments, calls the library and prints. What
//! commands do with a trained field depends on its task: `task/` holds that for each task, and the files of these
//! commands hold their flags.
//!
//! Exit codes: 0 for success, also if the reader of the output has gone away; 2 for a problem with the arguments, a
//! file or the machine, reported in one sentence on stderr; 101 for a bug in gridfield, with a backtrace; 130 if
//! interrupted by Ctrl-C, which is how `view` is meant to end: there it is success.

pub mod compare_image;
pub mod completions;
pub mod counter;
pub mod devices;
pub mod eval;
pub mod export;
pub mod fit_image;
pub mod fit_sdf;
mod flags;
pub mod gtk;
pub mod import;
pub mod info;
mod info_scene;
pub mod interrupt;
mod job;
pub mod machine;
pub mod man;
mod outcome;
pub mod print;
pub mod progress;
pub mod reading;
pub mod render;
pub mod run_args;
mod task;
pub mod train;
mod trained;
mod training_args;
#[cfg(feature = "viewer")]
pub mod view;
pub mod viewer;

use std::backtrace::Backtrace;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::ranks::Ranks;
use job::Job;
use outcome::{DONE, MISTAKE, Outcome};

static VERSION: LazyLock<String> = LazyLock::new(|| format!("{} (commit {})", crate::VERSION, crate::COMMIT));

/// Grid-based neural radiance fields: train on photographs, evaluate, render.
///
/// A first run from start to end:
///   gridfield train SCENE       learns the scene and prints where the results are
///   gridfield eval latest       evaluates it on views it has not seen
///   gridfield render latest     makes a video that orbits it
///
/// RUN is a run's folder, a checkpoint file, or `latest` for the last run that was trained from this folder.
#[derive(Debug, Parser)]
#[command(name = "gridfield", version = VERSION.as_str(), verbatim_doc_comment, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Learn a radiance field from a scene
    Train(train::TrainArgs),
    /// Make a scene from photographs or a video, with an installed COLMAP that finds the poses
    Import(import::ImportArgs),
    /// Fit a field to an image
    FitImage(fit_image::FitImageArgs),
    /// Fit an image with several models of equal size: a table, curves, error maps
    CompareImage(compare_image::CompareImageArgs),
    /// Fit a field to the signed distances around a mesh
    FitSdf(fit_sdf::FitSdfArgs),
    /// Evaluate a trained field: on held-out images, or against the image or mesh it was fitted to
    Eval(eval::EvalArgs),
    /// Render a video, frames or a picture from a trained field
    Render(render::RenderArgs),
    /// Show a trained field in a browser
    #[cfg(feature = "viewer")]
    View(view::ViewArgs),
    /// Write a trained field as a mesh, a point cloud or a volume
    Export(export::ExportArgs),
    /// Describe a scene, a run or a checkpoint
    Info(info::InfoArgs),
    /// Study models through their tangent kernels: spectra, predictions, bounds
    Gtk(gtk::GtkArgs),
    /// List the devices that can train and render
    Devices(devices::DevicesArgs),
    /// Print a script that completes commands and flags in a shell
    Completions(completions::CompletionsArgs),
    /// Write the help of all commands as man pages
    Man(man::ManArgs),
}

/// Parses the command line of this process and runs the command.
pub fn main() -> ExitCode {
    report_panics();
    match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(usage) => report_usage(&usage),
    }
}

impl Cli {
    fn run(self) -> ExitCode {
        let joined = match self.command.alone() {
            Some(name) => job::refuse_ranks(&format!("`gridfield {name}`")).and_then(|()| Job::join()),
            None => Job::join(),
        };
        match joined {
            Ok(job) => {
                let result = self.command.run(job.ranks());
                job.end(result)
            }
            Err(error) => job::tell_once(MISTAKE, || outcome::tell(&error.into())),
        }
    }
}

impl Command {
    /// Returns the name of a command that ranks do not share; None for those that they do.
    fn alone(&self) -> Option<&'static str> {
        match self {
            Command::Train(_) | Command::FitImage(_) | Command::FitSdf(_) => None,
            Command::Eval(_) | Command::Render(_) => None,
            Command::Import(_) => Some("import"),
            Command::CompareImage(_) => Some("compare-image"),
            #[cfg(feature = "viewer")]
            Command::View(_) => Some("view"),
            Command::Export(_) => Some("export"),
            Command::Info(_) => Some("info"),
            Command::Gtk(_) => Some("gtk"),
            Command::Devices(_) => Some("devices"),
            Command::Completions(_) => Some("completions"),
            Command::Man(_) => Some("man"),
        }
    }

    fn run(self, ranks: &Ranks) -> anyhow::Result<Outcome> {
        match self {
            Command::Train(args) => args.run(ranks),
            Command::Import(args) => args.run(),
            Command::FitImage(args) => args.run(ranks),
            Command::CompareImage(args) => args.run(),
            Command::FitSdf(args) => args.run(ranks),
            Command::Eval(args) => task::eval(&args, ranks),
            Command::Render(args) => task::render(&args, ranks),
            #[cfg(feature = "viewer")]
            Command::View(args) => args.run(),
            Command::Export(args) => task::export(args),
            Command::Info(args) => args.run(),
            Command::Gtk(args) => args.run(),
            Command::Devices(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
        }
    }
}

/// Prints help and version to stdout with exit code 0; every other message of clap is an error.
fn report_usage(usage: &clap::Error) -> ExitCode {
    match usage.kind() {
        // A closed stdout is not a failure; see `is_broken_pipe`.
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => job::tell_once(DONE, || drop(usage.print())),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            job::tell_once(MISTAKE, || print::to_stderr(&usage.render().to_string()))
        }
        _ => job::tell_once(MISTAKE, || {
            print::to_stderr(&format!("gridfield: {}", one_sentence(&usage.render().to_string())));
        }),
    }
}

/// Returns clap's error message on one line: the error and the suggestion, without the usage that `--help` prints.
fn one_sentence(rendered: &str) -> String {
    let lines = rendered.lines().map(str::trim);
    let told = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let mut sentence = String::new();
    for line in told.filter(|line| !line.is_empty()) {
        let (joint, part) = match line.strip_prefix("tip: ") {
            Some(tip) => ("; ", tip),
            None => (" ", line),
        };
        sentence += if sentence.is_empty() { "" } else { joint };
        sentence += part;
    }
    sentence + "; --help says more"
}

/// Installs a panic hook that reports a bug in gridfield with a backtrace, whether or not `RUST_BACKTRACE` is set.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        let _ = writeln!(io::stderr(), "gridfield: fault in gridfield itself, please report it: {panic}\n{backtrace}");
    }));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_fit_together() {
        super::Cli::command().debug_assert();
    }
}
