//! `gridfield man`: the help of every command as man pages.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::Cli;
use super::outcome::Outcome;
use super::print;

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write the pages to, such as /usr/local/share/man/man1
    dir: PathBuf,
}

impl ManArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let cannot_write = || format!("cannot write man pages to {}", self.dir.display());
        fs::create_dir_all(&self.dir).with_context(cannot_write)?;
        // The version of the page's footer, without the commit: pages of one release are the same.
        let program = Cli::command().version(crate::VERSION).disable_help_subcommand(true);
        clap_mangen::generate_to(program, &self.dir).with_context(cannot_write)?;
        print::to_stdout(&format!("man pages: {}", self.dir.display()))?;
        Ok(Outcome::Done)
    }
}
