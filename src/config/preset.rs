//! What a preset sets: the defaults for a kind of scene. Settings that are given explicitly take precedence over a preset.

use super::{Config, GridConfig, GridIndex, Preset, ScheduleKind, SpaceMap};

/// Default side of the scene's box in unit cubes, when the cameras are within one unit cube.
const USUAL_REACH: u32 = 4;

impl Preset {
    /// Returns `base` overridden by the preset's defaults, for a scene in a box with sides of `reach` unit cubes, if
    /// known.
    pub fn over(self, mut base: Config, reach: Option<u32>) -> Config {
        base.scene.preset = self;
        self.shape_grid(&mut base.model.grid);
        match self {
            Preset::Auto | Preset::Blender => {}
            Preset::Llff => forward_facing(&mut base),
            Preset::Photos => in_boxes(&mut base, reach.unwrap_or(USUAL_REACH)),
            Preset::Unbounded => contracted(&mut base),
        }
        base
    }

    /// Sets the ratio between the resolutions of a hash grid's levels, where the preset has one. The levels of other
    /// grids have their own meaning.
    pub(super) fn shape_grid(self, grid: &mut GridConfig) {
        let per_level_scale = match self {
            // Up to 512 nodes per axis: a level with cells much smaller than a pixel fits each training view without
            // being right between them (docs/results.md, "The finest level").
            Preset::Blender => 1.6407,
            Preset::Llff => 1.65,
            Preset::Auto | Preset::Photos | Preset::Unbounded => return,
        };
        if grid.index == GridIndex::Hash {
            grid.per_level_scale = per_level_scale;
        }
    }
}

/// Sets the defaults for forward-facing scenes. Each value was chosen by short training runs on one scene, with every
/// 8th view held out.
fn forward_facing(config: &mut Config) {
    config.march.space = SpaceMap::Ndc;
    config.march.step_scale = 5.0;
    config.optimizer.learning_rate = 0.02;
    config.optimizer.schedule.kind = ScheduleKind::Cosine;
    config.train.batch_samples /= 2;
}

/// Sets the defaults for nested boxes (cascades), the largest of which contains the scene.
fn in_boxes(config: &mut Config, reach: u32) {
    config.march.cascades = reach.next_power_of_two().ilog2() + 1;
    config.train.batch_samples /= 2;
}

/// Sets the defaults for all of space, contracted. On a scene that ends within the boxes, boxes learn more in the same
/// time; docs/results.md has figures for one.
fn contracted(config: &mut Config) {
    config.march.space = SpaceMap::Contraction;
    config.march.near = 0.05;
    config.march.step_scale = 3.0;
    config.optimizer.learning_rate = 0.02;
    config.optimizer.schedule.kind = ScheduleKind::Cosine;
    config.train.batch_samples /= 2;
}
