//! The viewer of the program: what it shows, and, with the feature `viewer`, how it is served.

#[cfg(not(feature = "viewer"))]
mod absent;
#[cfg(feature = "viewer")]
mod served;

use crate::Result;
use crate::config::{Config, TrainConfig};
use crate::render::Channel;
#[cfg(feature = "viewer")]
use crate::render::Render;
use crate::scene::Scene;
use crate::viewer::Overview;
use crate::viewer::protocol::Subject;
#[cfg(not(feature = "viewer"))]
pub use absent::{Port, ViewerArgs, Watched};
#[cfg(feature = "viewer")]
pub use served::{DEFAULT_ADDRESS, Port, ViewerArgs, Watched, address, announce};

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
