//! A fitted distance field against its mesh: what is inside, how far the surfaces are apart, how wrong distances are.

use serde::Serialize;

use super::gradient::gradients;
use super::target::Target;
use super::{distances, extract};
use crate::Result;
use crate::fit::Predictor;
use crate::mesh::{Bvh, Mesh};
use crate::metrics::{Measured, SurfaceScore, compare_surfaces, intersection_over_union};

/// Points of the cube: 128³.
const CUBE_POINTS: usize = 1 << 21;
/// Points of the cube, and of the mesh, at which the gradient is asked for, by differences of such a step in sides of the cube:
/// the default of `sdf.eikonal_step`, but the same whatever a run was trained with.
const GRADIENT_POINTS: usize = 1 << 17;
const GRADIENT_STEP: f32 = 2e-3;
/// Points on each surface.
const SURFACE_POINTS: usize = 1_000_000;
/// Triangles farther than so many of their radii count as a dipole when the true sign is decided: winding numbers are then
/// right within 0.01.
const ACCURACY: f32 = 6.0;
/// Distance, in longest sides of the mesh, that the F-score counts as near.
const NEAR: f64 = 1e-3;
/// Seeds that no training step uses for the points it draws (its streams begin elsewhere).
const SEED: u32 = 0x5df;

/// How a field reproduces a mesh. Distances are in longest sides of the mesh's box.
#[derive(Clone, Debug, Serialize)]
pub struct SdfScore {
    /// Of the insides, by points spread over the unit cube.
    pub iou: f64,
    /// Mean |difference| of the distances, over the cube.
    pub sdf_error: f64,
    /// The same over the points within a hundredth of the longest side of the surface.
    pub sdf_error_near: f64,
    #[serde(flatten)]
    pub eikonal: EikonalScore,
    /// Points of the cube.
    pub n_cube_points: usize,
    #[serde(flatten)]
    pub surface: SurfaceScore,
    /// Of the field's surface, as extracted for the comparison.
    pub n_triangles: usize,
}

/// How far a field is from one of distances, whose gradients have length 1: mean | |∇f| − 1 |.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EikonalScore {
    /// Over points spread over the unit cube.
    pub eikonal_error: f64,
    /// Over points spread over the mesh, around which most of what is trained on lies.
    pub eikonal_error_on_surface: f64,
}

/// What points of the cube tell.
pub(super) struct Agreement {
    pub iou: f64,
    error: f64,
    error_near: f64,
}

/// Compares a field with the mesh it was fitted to; its surface is extracted at `resolution` cells per axis.
///
/// # Errors
/// Of the device; where the field has no finite values or no surface.
pub fn evaluate(predictor: &Predictor, target: &Target, resolution: usize) -> Result<SdfScore> {
    let agreement = inside_agreement(predictor, target)?;
    let surface = extract(predictor, resolution, &mut |_| ())?;
    Ok(SdfScore {
        iou: agreement.iou,
        sdf_error: agreement.error,
        sdf_error_near: agreement.error_near,
        eikonal: eikonal_score(predictor, target)?,
        n_cube_points: CUBE_POINTS,
        surface: compare(predictor, &surface, target)?,
        n_triangles: surface.triangles.len(),
    })
}

/// # Errors
/// Of the device; where the field has no finite values.
pub fn eikonal_score(predictor: &Predictor, target: &Target) -> Result<EikonalScore> {
    let error = |points: &[[f32; 3]]| {
        let gradients = gradients(predictor, points, GRADIENT_STEP)?;
        let errors = gradients.iter().map(|gradient| f64::from((gradient.norm() - 1.0).abs()));
        Ok(errors.sum::<f64>() / points.len() as f64)
    };
    let device = predictor.device();
    Ok(EikonalScore {
        eikonal_error: error(&target.sampler.in_cube(device, GRADIENT_POINTS, SEED)?)?,
        eikonal_error_on_surface: error(&target.sampler.on_surface(device, GRADIENT_POINTS, SEED)?.points)?,
    })
}

fn compare(predictor: &Predictor, surface: &Mesh, target: &Target) -> Result<SurfaceScore> {
    let device = predictor.device();
    let bvh = Bvh::new(device, surface)?;
    let (fit, truth) = (Measured::new(surface, &bvh), Measured::new(&target.mesh, &target.bvh));
    compare_surfaces(device, &fit, &truth, SURFACE_POINTS, f64::from(target.size), NEAR)
}

pub(super) fn inside_agreement(predictor: &Predictor, target: &Target) -> Result<Agreement> {
    let points = target.sampler.in_cube(predictor.device(), CUBE_POINTS, SEED)?;
    let fitted = distances(predictor, &points)?;
    let distance = target.bvh.nearest(&points)?.distance;
    let inside: Vec<bool> = target.bvh.winding_numbers(&points, ACCURACY)?.into_iter().map(|w| w > 0.5).collect();
    let size = f64::from(target.size);
    let (mut sum, mut near, mut n_near) = (0.0, 0.0, 0u64);
    for ((&fitted, &distance), &inside) in fitted.iter().zip(&distance).zip(&inside) {
        let error = f64::from((fitted - if inside { -distance } else { distance }).abs()) / size;
        sum += error;
        if f64::from(distance) < 0.01 * size {
            near += error;
            n_near += 1;
        }
    }
    Ok(Agreement {
        iou: intersection_over_union(fitted.iter().map(|&d| d < 0.0), inside.iter().copied()),
        error: sum / points.len() as f64,
        error_near: near / n_near.max(1) as f64,
    })
}
