//! What a preset sets: the defaults for a kind of scene. Settings that are given explicitly take precedence over a preset.

use super::{Config, GridConfig, GridIndex, Preset, ScheduleKind, SpaceMap};

/// Default side of the scene's box in unit cubes, when the cameras are within one unit cube.
const USUAL_REACH: u32 = 4;

/// `per_level_scale` of 8 levels, the coarsest of which has 16 nodes per axis and the finest 512.
const UP_TO_512: f64 = 1.6407;
/// The same for a finest level of 1024.
const UP_TO_1024: f64 = 1.8114;

impl Preset {
    /// Returns `base` overridden by the preset's defaults, for a scene in a box with sides of `reach` unit cubes, if
    /// known.
    pub fn over(self, mut base: Config, reach: Option<u32>) -> Config {
        base.scene.preset = self;
        match self {
            Preset::Auto | Preset::Blender => {}
            Preset::Llff => forward_facing(&mut base),
            Preset::Photos => in_boxes(&mut base, reach.unwrap_or(USUAL_REACH)),
            Preset::Unbounded => contracted(&mut base),
        }
        self.shape_grid(&mut base.model.grid, base.march.cascades);
        base
    }

    /// Sets the ratio between the resolutions of a hash grid's levels, where the preset has one, for a scene in
    /// `cascades` nested boxes. The levels of other grids have their own meaning.
    ///
    /// A level with cells much smaller than a pixel fits each training view without being right between them
    /// (docs/results.md, "The finest level" and "Photographs").
    pub(super) fn shape_grid(self, grid: &mut GridConfig, cascades: u32) {
        let per_level_scale = match self {
            Preset::Blender => UP_TO_512,
            Preset::Llff => 1.65,
            // The grid covers the largest box, 2^(cascades − 1) unit cubes wide: 256 nodes per unit cube, but at least
            // 512 and at most 2048 per axis, which are the defaults for rendered objects and without a preset.
            Preset::Photos => match cascades {
                0..=2 => UP_TO_512,
                3 => UP_TO_1024,
                _ => return,
            },
            Preset::Auto | Preset::Unbounded => return,
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
