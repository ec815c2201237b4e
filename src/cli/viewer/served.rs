//! The flags of the viewer, and what the program does for it: prints its address, joins it to a run, and keeps it open
//! after the run while someone looks.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::LookedAt;
use crate::Result;
use crate::cli::{interrupt, print};
use crate::ranks::Ranks;
use crate::train::{Command, Observer, Run, Task, TrainEvent};
use crate::viewer::server::{Listening, Server};
use crate::viewer::{History, Host, HostEvent, RunFiles};

/// A bound port.
pub type Port = Listening;

/// Where the viewer listens unless another address is asked for.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7007";

#[derive(Debug, Args)]
#[command(next_help_heading = "Viewer")]
pub struct ViewerArgs {
    /// Show the field in a browser while it trains, and print the address to open [default: 127.0.0.1:7007]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = DEFAULT_ADDRESS, value_parser = address)]
    pub viewer: Option<SocketAddr>,

    /// Largest share of the time that pictures for the viewer may take from training, above 0 and up to 0.9
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share, requires = "viewer")]
    pub viewer_share: f64,
}

/// Time without a browser after which the viewer of a run that has ended is closed: a page may be loaded again.
const LEFT_FOR: Duration = Duration::from_secs(3);

/// Observer that serves the viewers of a run between its steps.
pub struct Watched {
    host: Host,
    /// Dropped after the host, when the browsers have been told of the end.
    server: Server,
    quiet: bool,
}

/// Parses the address of the viewer: ADDR:PORT, where ADDR may be `localhost`.
pub fn address(text: &str) -> std::result::Result<SocketAddr, &'static str> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:7007; the scene or run goes before")
}

fn share(text: &str) -> std::result::Result<f64, &'static str> {
    text.parse().ok().filter(|share| *share > 0.0 && *share <= 0.9).ok_or("expected a share above 0 and up to 0.9")
}

impl ViewerArgs {
    /// Binds the viewer's port, if a viewer is requested. This comes early, so that nothing has been written if the
    /// port is in use. Only rank 0 has a viewer.
    ///
    /// # Errors
    /// Returns the errors of [`Listening::on`].
    pub fn listen(&self, ranks: &Ranks) -> Result<Option<Listening>> {
        self.viewer.filter(|_| ranks.leads()).map(Listening::on).transpose()
    }

    /// Starts the viewer of a run that is about to start or to continue, if a port was taken for one.
    ///
    /// # Errors
    /// Returns an error if the server's thread cannot be started.
    pub fn watch(&self, port: Option<Port>, looked_at: &LookedAt, run: &Run, quiet: bool) -> Result<Option<Watched>> {
        let Some(listening) = port else { return Ok(None) };
        let background = looked_at.background;
        let subject = looked_at.subject(&run.folder().to_string_lossy(), self.viewer_share)?;
        let history = History::read(&run.metrics_path(), looked_at.step);
        announce(&listening, quiet);
        let (server, asks) = listening.serve(subject, history, RunFiles::new(looked_at.scene, run.folder()), true)?;
        let teller = server.teller();
        let tell = move |told| {
            teller(&told);
            if let HostEvent::Paused(paused) = told
                && !quiet
            {
                print::to_stderr(if paused {
                    "gridfield: paused from the viewer"
                } else {
                    "gridfield: training goes on"
                });
            }
        };
        let host = Host::new(asks, Box::new(tell), background, self.viewer_share);
        Ok(Some(Watched { host, server, quiet }))
    }
}

impl Watched {
    /// Serves the field of a run that has ended, as `gridfield view` does, while a browser shows it and until
    /// `interrupted` is set. Without a browser, this returns at once.
    ///
    /// # Errors
    /// Returns an error if the field cannot be copied, or if stdout is closed.
    pub fn stay(&mut self, task: &dyn Task, interrupted: &AtomicBool) -> anyhow::Result<()> {
        if !self.server.is_watched() {
            return Ok(());
        }
        let Some(renderer) = task.snapshot()? else { return Ok(()) };
        if !self.quiet {
            print::to_stdout("the viewer stays open while a browser shows it; Ctrl-C closes it")?;
        }
        interrupt::rename("closing the viewer");
        let server = &self.server;
        server.end_training();
        let alone_since = Cell::new(None);
        let is_over = || {
            let since = if server.is_watched() { None } else { alone_since.get().or_else(|| Some(Instant::now())) };
            alone_since.set(since);
            interrupted.load(Ordering::Relaxed) || since.is_some_and(|since: Instant| since.elapsed() > LEFT_FOR)
        };
        self.host.serve(renderer, task.progress().step, &is_over);
        Ok(())
    }
}

/// Prints the address to open, and a warning if other machines can reach it. With `quiet`, the address goes to stderr,
/// since stdout is empty or for programs.
pub fn announce(listening: &Listening, quiet: bool) {
    let line = format!("viewer: {}", listening.url());
    if quiet || print::to_stdout(&line).is_err() {
        print::to_stderr(&line);
    }
    if !listening.is_local() {
        print::to_stderr(
            "gridfield: warning: the viewer can be reached from other machines, where the address begins with this \
             machine's own, and the connection is not encrypted: whoever reads the address on its way can look, pause and \
             stop the run; ssh -L with the default address is safer (docs/viewer.md)",
        );
    }
}

impl Observer for Watched {
    fn on_event(&mut self, event: &TrainEvent) -> Result<()> {
        self.host.on_event(event)
    }

    fn between_steps(&mut self, task: &dyn Task, interrupted: &AtomicBool) -> Command {
        self.host.between_steps(task, interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_or_localhost() {
        assert_eq!(address("localhost:80"), address("127.0.0.1:80"));
        assert!(address(DEFAULT_ADDRESS).unwrap().ip().is_loopback() && address("[::1]:7007").is_ok());
        for text in ["scenes/orrery", "7007", "127.0.0.1", "example.org:80", "127.0.0.1:70000", ""] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
