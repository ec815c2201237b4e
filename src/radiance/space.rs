//! The map from space to the field of a run: chosen by the configuration, derived from the scene's cameras, and
//! converted for the kernels.

use crate::config::{Config, SpaceMap};
use crate::device::args;
use crate::geometry::{Ndc, Space, UnitCube};
use crate::scene::Scene;
use crate::{Error, Result};

/// Returns the map that `config` asks for.
///
/// # Errors
/// Returns an error for `ndc` if the cameras do not all face the same way or are panoramas, or if the depth of the
/// nearest scene content is unknown.
pub fn space_of(config: &Config, scene: &Scene) -> Result<Space> {
    match config.march.space {
        SpaceMap::Identity => Ok(Space::Identity),
        SpaceMap::Contraction => Ok(Space::Contraction),
        SpaceMap::Ndc if scene.splits.train.iter().any(|view| view.camera.intrinsics.lens.is_panorama()) => {
            Err(Error::config(
                "march.space is ndc, which holds only what lies before cameras that look one way, but the scene has \
                 panoramas; set march.space to identity or contraction",
            ))
        }
        SpaceMap::Ndc => {
            let of_scene = || scene.capture.bounds.map(|[near, _]| f64::from(near));
            let nearest = config.scene.nearest.or_else(of_scene).ok_or_else(|| {
                Error::config(
                    "march.space is ndc, but the scene does not say how near its nearest things are; set scene.nearest to \
                     their depth, in scene units",
                )
            })?;
            Ok(Space::Ndc(Ndc::of(scene.splits.train.iter().map(|view| &view.camera), nearest)?))
        }
    }
}

/// Returns the map in the form that kernels take, for points in unit-cube coordinates.
pub fn device_space(space: &Space, unit_cube: &UnitCube) -> args::Space {
    match space {
        Space::Identity => args::Space::default(),
        Space::Ndc(ndc) => ndc_space(ndc, unit_cube),
        Space::Contraction => args::Space { map: args::SpaceMap::Contraction as u32, ..args::Space::default() },
    }
}

fn ndc_space(ndc: &Ndc, unit_cube: &UnitCube) -> args::Space {
    let unit = unit_cube.scale * ndc.near;
    let middle = unit_cube.to_unit(ndc.frame.map(|row| row[3]));
    let mut to_rig = [0.0; 12];
    for row in 0..3 {
        for k in 0..3 {
            let along = ndc.frame[k][row] / unit;
            to_rig[4 * row + k] = along;
            to_rig[4 * row + 3] -= along * middle[k];
        }
    }
    args::Space {
        map: args::SpaceMap::Ndc as u32,
        to_rig,
        scale: ndc.tangents.map(|tangent| 0.5 / tangent),
        rig_unit: unit,
    }
}
