//! Comparison of a fitted distance field with its mesh: inside/outside, distance between the surfaces, and errors of
//! the field's distances and gradients.

use serde::Serialize;

use super::gradient::gradients;
use super::target::Target;
use super::{distances, extract};
use crate::Result;
use crate::fit::Predictor;
use crate::mesh::{Bvh, Lattice, Mesh};
use crate::metrics::{Measured, SurfaceScore, compare_surfaces, intersection_over_union};

/// Number of evaluation points in the cube: 128³.
const CUBE_POINTS: usize = 1 << 21;
/// Number of points at which the gradient is evaluated, in the cube and on the mesh.
const GRADIENT_POINTS: usize = 1 << 17;
/// Step of the finite differences, in sides of the cube. It is the default of `sdf.eikonal_step`, but does not depend
/// on the setting of a run, so that runs can be compared.
const GRADIENT_STEP: f32 = 2e-3;
/// Number of points on each surface.
const SURFACE_POINTS: usize = 1_000_000;
/// A group of triangles farther away than this many of its radii is treated as one dipole when the true sign is
/// computed. Winding numbers are then correct to within 0.01.
const ACCURACY: f32 = 6.0;
/// Distance below which the F-score counts a point as near, in units of the mesh's longest side.
const NEAR: f64 = 1e-3;
/// Seed of the evaluation points. In the cube they differ from the training points for every training seed, since
/// training uses a different random stream there.
const SEED: u32 = 0x5df;

/// How well a field reproduces a mesh. Distances are in units of the longest side of the mesh's bounding box.
#[derive(Clone, Debug, Serialize)]
pub struct SdfScore {
    /// Intersection over union of the insides, estimated from points spread over the unit cube.
    pub iou: f64,
    /// Mean absolute error of the distances over the cube.
    pub sdf_error: f64,
    /// Mean absolute error over the points whose distance to the surface is below a hundredth of the longest side.
    pub sdf_error_near: f64,
    /// How far the field's gradients are from length 1.
    #[serde(flatten)]
    pub eikonal: EikonalScore,
    /// Number of points in the cube.
    pub n_cube_points: usize,
    /// Comparison of the field's surface with the mesh.
    #[serde(flatten)]
    pub surface: SurfaceScore,
    /// Number of triangles of the field's surface as extracted for the comparison.
    pub n_triangles: usize,
}

/// How far a field is from a true distance field, whose gradient has length 1: mean | |∇f| − 1 |.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EikonalScore {
    /// Mean over points spread over the unit cube.
    pub eikonal_error: f64,
    /// Mean over points spread over the mesh, near which most training samples lie.
    pub eikonal_error_on_surface: f64,
}

/// Results of comparing field and mesh at points of the cube.
pub(super) struct Agreement {
    pub iou: f64,
    error: f64,
    error_near: f64,
}

/// Compares a field with the mesh to which it was fitted. The field's surface is extracted at `resolution` cells per
/// axis.
///
/// # Errors
/// Returns an error if the device fails, or if the field has values that are not finite or no surface.
pub fn evaluate(predictor: &Predictor, target: &Target, resolution: usize) -> Result<SdfScore> {
    let agreement = inside_agreement(predictor, target)?;
    let surface = extract(predictor, &Lattice::whole(resolution), &mut |_| ())?;
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

/// Measures how far the lengths of the field's gradients are from 1.
///
/// # Errors
/// Returns an error if the device fails, or if the field has values that are not finite.
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
