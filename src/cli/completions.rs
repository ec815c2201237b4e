//! `gridfield completions`: a shell's script that completes commands, flags and files.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::outcome::Outcome;
use super::print;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "gridfield", &mut script);
        print::to_stdout(String::from_utf8_lossy(&script).trim_end())?;
        Ok(Outcome::Done)
    }
}
