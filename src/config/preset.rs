//! Presets: the defaults for a kind of scene. Settings given beside one go before it.

use serde::{Deserialize, Serialize};

use super::{Config, ScheduleKind, SpaceMap};

/// Unit cubes a side, where cameras stand around within one.
const USUAL_REACH: u32 = 4;

/// What kind of scene the defaults are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// As the scene was photographed
    #[default]
    Auto,
    /// Rendered pictures of something in a box, with nothing behind it
    Blender,
    /// TrainingImages that all look one way
    Llff,
    /// TrainingImages around or within a scene that goes on behind what they look at
    Photos,
    /// The same where it goes on for far longer than boxes reach: all of space
    Unbounded,
}

impl Preset {
    /// The name as it stands in a config file.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Auto => "auto",
            Preset::Blender => "blender",
            Preset::Llff => "llff",
            Preset::Photos => "photos",
            Preset::Unbounded => "unbounded",
        }
    }

    /// `base` with the preset's defaults over it, for a scene in a box of `reach` unit cubes a side, where that is known.
    pub fn over(self, mut base: Config, reach: Option<u32>) -> Config {
        base.scene.preset = self;
        match self {
            Preset::Auto | Preset::Blender => {}
            Preset::Llff => forward_facing(&mut base),
            Preset::Photos => in_boxes(&mut base, reach.unwrap_or(USUAL_REACH)),
            Preset::Unbounded => contracted(&mut base),
        }
        base
    }
}

/// Each of these was chosen by short trainings on one scene, with every 8th view held out.
fn forward_facing(config: &mut Config) {
    config.march.space = SpaceMap::Ndc;
    config.march.step_scale = 5.0;
    config.model.grid.per_level_scale = 1.65;
    config.optimizer.learning_rate = 0.02;
    config.optimizer.schedule.kind = ScheduleKind::Cosine;
    config.train.batch_samples /= 2;
}

/// Boxes in boxes, the largest of which holds the scene.
fn in_boxes(config: &mut Config, reach: u32) {
    config.march.cascades = reach.next_power_of_two().ilog2() + 1;
    config.train.batch_samples /= 2;
}

/// All of space. Of a scene that ends within boxes, boxes learn more in the same time: docs/results.md has figures of one.
fn contracted(config: &mut Config) {
    config.march.space = SpaceMap::Contraction;
    config.march.near = 0.05;
    config.march.step_scale = 3.0;
    config.optimizer.learning_rate = 0.02;
    config.optimizer.schedule.kind = ScheduleKind::Cosine;
    config.train.batch_samples /= 2;
}
