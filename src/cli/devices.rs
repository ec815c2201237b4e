//! `gridfield devices`: list what can train and render here.

use clap::Args;

use super::Outcome;

#[derive(Debug, Args)]
pub struct DevicesArgs {}

impl DevicesArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        anyhow::bail!("devices are not part of this build")
    }
}
