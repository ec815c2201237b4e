//! The flags of the viewer, and what the program does for it: prints its address, and joins it to a run.

use std::net::SocketAddr;

use clap::Args;

use super::print;
use crate::Result;
use crate::config::{Config, TrainConfig};
use crate::render::{Channel, Render};
use crate::scene::Scene;
use crate::train::{Command, Observer, Run, Task, TrainEvent};
use crate::viewer::protocol::Subject;
use crate::viewer::server::{Listening, Server};
use crate::viewer::{History, Host, HostEvent, Overview, RunFiles};

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

/// Observer that serves the viewers of a run between its steps.
pub struct Watched {
    host: Host,
    /// Dropped after the host, when the browsers have been told of the end.
    _server: Server,
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
    /// port is in use.
    ///
    /// # Errors
    /// Returns the errors of [`Listening::on`].
    pub fn listen(&self) -> Result<Option<Listening>> {
        self.viewer.map(Listening::on).transpose()
    }

    /// Starts the viewer of a run that is about to start or to continue.
    ///
    /// # Errors
    /// Returns an error if the server's thread cannot be started.
    pub fn watch(&self, listening: Listening, looked_at: &LookedAt, run: &Run, quiet: bool) -> Result<Watched> {
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
        Ok(Watched { host: Host::new(asks, Box::new(tell), background, self.viewer_share), _server: server })
    }
}

/// A field that can be looked at from any camera.
pub struct Viewable {
    pub renderer: Box<dyn Render>,
    pub scene: Scene,
    /// sRGB colour behind the field.
    pub background: [f32; 3],
    /// Width and height in pixels of the image that the field was fitted to, if it is a fitted image.
    pub image: Option<[u32; 2]>,
}

/// A field that is shown in a viewer.
pub struct LookedAt<'a> {
    pub scene: &'a Scene,
    pub config: &'a Config,
    /// Description of the device.
    pub device: String,
    /// Number of steps that the field has trained.
    pub step: u64,
    /// sRGB colour behind the field.
    pub background: [f32; 3],
    /// What can be shown of the field.
    pub outputs: &'static [Channel],
    /// Width and height in pixels of the image that the field was fitted to, if it is a fitted image.
    pub image: Option<[u32; 2]>,
}

impl LookedAt<'_> {
    /// Describes the field of the run or checkpoint `run` for the browsers.
    ///
    /// # Errors
    /// Returns the errors of [`Overview::of`].
    pub fn subject(&self, run: &str, share: f64) -> Result<Subject> {
        let train = &self.config.train;
        Ok(Subject {
            scene: self.scene.name.clone(),
            model: self.config.model.name.as_str().to_owned(),
            device: self.device.clone(),
            run: run.to_owned(),
            version: crate::VERSION,
            max_steps: (train.max_steps < TrainConfig::NO_STEP_LIMIT).then_some(train.max_steps),
            max_seconds: train.max_seconds,
            step: self.step,
            share,
            settings: self.config.to_value(),
            outputs: self.outputs,
            image: self.image,
            overview: match self.image {
                Some([width, height]) => Overview::of_image(width as f32 / height as f32),
                None => Overview::of(self.scene)?,
            },
        })
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

    fn between_steps(&mut self, task: &dyn Task, interrupted: &std::sync::atomic::AtomicBool) -> Command {
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
