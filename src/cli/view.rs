//! `gridfield view`: show a trained field in a browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;

use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::run_args::RunArgs;
use super::trained::Trained;
use super::viewer::{DEFAULT_ADDRESS, LookedAt, Viewable, address, announce};
use super::{interrupt, print, task};
use crate::viewer::server::Listening;
use crate::viewer::{History, Host, RunFiles};

#[derive(Debug, Args)]
pub struct ViewArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Address to listen on; one that other machines can reach is for networks where everyone is trusted
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_ADDRESS, value_parser = address)]
    pub viewer: SocketAddr,

    /// The scene's current folder, if it has moved since training; its cameras are shown
    #[arg(long, value_name = "DIR")]
    pub scene: Option<PathBuf>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

impl ViewArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let trained = Trained::open(&self.run, &self.machine)?;
        let viewable = task::viewable(&trained, self.scene.as_deref())?;
        self.serve(&trained, viewable)
    }

    /// Serves the field until Ctrl-C.
    fn serve(&self, trained: &Trained, viewable: Viewable) -> anyhow::Result<Outcome> {
        let Viewable { renderer, scene, background, image } = viewable;
        let header = &trained.checkpoint.header;
        let looked_at = LookedAt {
            scene: &scene,
            config: &header.config,
            device: trained.device.describe(),
            step: header.step,
            background,
            outputs: renderer.channels(),
            image,
        };
        let subject = looked_at.subject(&trained.resolved.folder().to_string_lossy(), 1.0)?;
        let history = trained.resolved.run.as_ref().map(|run| History::read(&run.metrics_path(), header.step));
        let files = RunFiles::new(&scene, trained.resolved.folder());
        let listening = Listening::on(self.viewer)?;
        let interrupted = interrupt::watch("closing the viewer", false)?;
        announce(&listening, false);
        print::to_stdout("Ctrl-C ends it")?;
        let (server, asks) = listening.serve(subject, history.unwrap_or_default(), files, false)?;
        let teller = server.teller();
        Host::new(asks, Box::new(move |told| teller(&told)), background, 1.0)
            .serve(renderer, header.step, &|| interrupted.load(Ordering::Relaxed));
        drop(server);
        Ok(Outcome::Done)
    }
}
