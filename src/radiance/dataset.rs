//! Opens the scene of a field as its configuration says, and checks that it is the same scene when a checkpoint is
//! loaded.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::config::{Background, Config, Preset, SceneConfig, TrainConfig};
use crate::geometry::UnitCube;
use crate::scene::{Capture, CaptureKind, Format, OpenOptions, RigFault, Scene, Splits};
use crate::{Error, Result};

/// Key of the [`Fingerprint`] among the trainer's values in a checkpoint's header.
pub(super) const FINGERPRINT: &str = "photographs";

/// Largest offset of the map to the unit cube, in coordinates near the cameras: beyond this, fp32 coordinates have no
/// bits left for positions within the cube.
const FARTHEST: f32 = 1e6;

/// Distinguishes the training images of one scene from those of another, without decoding any image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    n_images: u64,
    /// Number of pixels of all images, after downscaling.
    n_pixels: u64,
    /// Hash of the cameras' poses, in hexadecimal.
    poses: String,
}

/// Opens the scene of a configuration, and applies the configuration's own map to the unit cube if there is one.
///
/// # Errors
/// Returns the errors of [`Scene::open_with`], and an error if the camera poses are such that nothing can be learned
/// from them.
pub fn open_scene(config: &SceneConfig) -> Result<Scene> {
    let mut scene = Scene::open_with(&config.path, &open_options(config, None))?;
    let faults = scene.rig_faults();
    if let Some(fault) = faults.iter().find(|fault| fault.is_fatal())
        && scene.capture.kind != CaptureKind::Synthetic
    {
        // If another pose convention would explain the fault, the message says so too.
        let told = faults.iter().filter(|other| *other == fault || other.is_convention()).map(RigFault::to_string);
        return Err(Error::file(&scene.path, told.collect::<Vec<_>>().join("; ")));
    }
    scene.notes.extend(faults.iter().map(RigFault::to_string));
    if let Some(scale) = config.scale {
        scene.unit_cube = scene.unit_cube.with_scale(scale as f32);
    }
    if let Some(offset) = config.offset {
        let UnitCube { scale, origin, .. } = scene.unit_cube;
        scene.unit_cube = UnitCube::of_files(config.scale.unwrap_or(scale.into()), offset, origin);
        if scene.unit_cube.offset.iter().any(|x| x.abs() > FARTHEST) {
            return Err(Error::config(format!(
                "scene.offset is {offset:?}, which puts the cameras more than {FARTHEST:e} unit cubes away from the unit \
                 cube; correct it"
            )));
        }
    }
    Ok(scene)
}

/// Opens the scene of a configuration, and returns it with the configuration to train with: `settings`, which set what
/// the user chose, applied to `defaults` in the form of the preset that suits the scene.
///
/// # Errors
/// Returns the errors of [`open_scene`] and of `settings`, which should validate its result.
pub fn open_for_training(defaults: Config, settings: impl Fn(Config) -> Result<Config>) -> Result<(Scene, Config)> {
    let asked = settings(defaults.clone())?.scene;
    let scene = open_scene(&asked)?;
    let preset = preset_for(asked.preset, &scene);
    let mut config = settings(preset.over(defaults, scene.capture.aabb_scale))?;
    config.scene.preset = preset;
    Ok((scene, config))
}

/// Returns the preset for a scene: the one that was asked for, or else the one that suits its capture.
pub fn preset_for(asked: Preset, scene: &Scene) -> Preset {
    match (asked, scene.capture.kind) {
        (Preset::Auto, CaptureKind::Synthetic) => Preset::Blender,
        (Preset::Auto, CaptureKind::ForwardFacing) => Preset::Llff,
        (Preset::Auto, CaptureKind::Inward) => Preset::Photos,
        (preset, _) => preset,
    }
}

fn open_options(config: &SceneConfig, origin: Option<[f64; 3]>) -> OpenOptions {
    let sparse = (!config.sparse.as_os_str().is_empty()).then(|| config.sparse.clone());
    let SceneConfig { format, allow_missing, pose_convention, .. } = *config;
    OpenOptions { format, sparse, allow_missing, pose_convention, origin }
}

/// Opens the scene of a checkpoint's field, at the configured path or in the folder `moved_to`, with the map to the
/// unit cube that the field was trained with, relative to the same origin.
///
/// # Errors
/// Returns the errors of [`Scene::open`], and an error if the scene is no longer there or its training images are not
/// those that the field was trained on.
pub fn reopen_scene(checkpoint: &Checkpoint, moved_to: Option<&Path>) -> Result<Scene> {
    let config = &checkpoint.header.config.scene;
    let path = moved_to.unwrap_or(&config.path);
    if moved_to.is_none() && !path.exists() {
        let what = "the scene that the field was trained on is no longer here; say where it lies now, with --scene \
                    DIR (for --resume, as SCENE)";
        return Err(Error::file(path, what));
    }
    let mut scene = Scene::open_with(path, &open_options(config, Some(checkpoint.header.unit_cube.origin)))?;
    let found = Fingerprint::of(&scene.splits, config.downscale);
    let trained_on = checkpoint.header.trainer.get(FINGERPRINT).map(|_| checkpoint.trainer_state(FINGERPRINT));
    match trained_on.transpose()? {
        Some(trained_on) if trained_on != found => return Err(Error::file(path, found.unlike(&trained_on))),
        _ => scene.unit_cube = checkpoint.header.unit_cube,
    }
    Ok(scene)
}

/// Returns the scene of a checkpoint's field as far as the checkpoint itself describes it: without training images, for
/// rendering from cameras that come from elsewhere.
pub fn scene_without_views(checkpoint: &Checkpoint) -> Scene {
    let header = &checkpoint.header;
    Scene {
        path: header.config.scene.path.clone(),
        name: header.scene.clone(),
        format: Format::Blender,
        splits: Splits::default(),
        unit_cube: header.unit_cube,
        capture: Capture::unknown(),
        points: Vec::new(),
        notes: Vec::new(),
        background: [1.0; 3],
    }
}

/// Returns the background over which the field is evaluated or shown: the one it was trained with, or the scene
/// format's default if that was random.
pub fn plain_background(config: &TrainConfig, scene: &Scene) -> [f32; 3] {
    match config.background {
        Background::White => [1.0; 3],
        Background::Black => [0.0; 3],
        Background::Random => scene.background,
    }
}

impl Fingerprint {
    pub fn of(splits: &Splits, downscale: u32) -> Self {
        let views = &splits.train;
        let pixels = views.iter().map(|view| {
            let size = view.camera_at(downscale).intrinsics;
            u64::from(size.width) * u64::from(size.height)
        });
        let numbers = views.iter().flat_map(|view| view.camera.camera_to_world.as_flattened());
        Fingerprint {
            n_images: views.len() as u64,
            n_pixels: pixels.sum(),
            poses: format!("{:016x}", fnv1a(numbers.flat_map(|number| number.to_bits().to_le_bytes()))),
        }
    }

    /// Describes how this scene differs from the expected one.
    fn unlike(&self, expected: &Fingerprint) -> String {
        let difference = if self.n_images != expected.n_images {
            format!("has {} training images, but the field was trained on {}", self.n_images, expected.n_images)
        } else if self.n_pixels != expected.n_pixels {
            format!("has images of {} pixels in all, but the field was trained on {}", self.n_pixels, expected.n_pixels)
        } else {
            "has other cameras than those that the field was trained on".to_owned()
        };
        format!("{difference}; give the scene of the run")
    }
}

/// Computes the 64-bit FNV-1a hash (Fowler, Noll and Vo).
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_gives_its_published_values() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a(text.bytes()), hash, "{text}");
        }
    }
}
