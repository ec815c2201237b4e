//! Similarity of two surfaces, measured with points sampled on each.

use rayon::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::device::Device;
use crate::mesh::{Bvh, Mesh};

/// Distances between two surfaces, in units of their coordinates divided by `unit`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SurfaceScore {
    /// Mean distance of points on the fit from the truth.
    pub accuracy: f64,
    /// Mean distance of points on the truth from the fit.
    pub completeness: f64,
    /// Mean of the two: Chamfer-L1 (Mescheder et al., "Occupancy networks", CVPR 2019), with distances to the surface
    /// itself rather than to points on it.
    pub chamfer_l1: f64,
    /// Harmonic mean of the two fractions of points, on the fit and on the truth, that are closer to the other surface
    /// than `f_score_distance` (Tatarchenko et al., CVPR 2019).
    pub f_score: f64,
    /// Distance up to which a point counts as correct in the F-score.
    pub f_score_distance: f64,
    /// Mean |cosine| between the normal at a point and the normal of the other surface at its nearest point, over the
    /// points on both surfaces.
    pub normal_consistency: f64,
    /// Number of points drawn on each surface.
    pub n_points: usize,
}

/// A surface with what is needed to measure distances from it and to it.
pub struct Measured<'a> {
    mesh: &'a Mesh,
    bvh: &'a Bvh,
    normals: Vec<[f32; 3]>,
}

/// Means over the points of one surface.
struct OneWay {
    distance: f64,
    /// Fraction of points closer than the given distance.
    near: f64,
    cosine: f64,
}

impl<'a> Measured<'a> {
    /// Prepares a mesh and its hierarchy for measurement.
    pub fn new(mesh: &'a Mesh, bvh: &'a Bvh) -> Self {
        Measured { mesh, bvh, normals: mesh.triangle_normals() }
    }

    fn distances_to(&self, device: &Device, other: &Measured, n: usize, seed: u32, near: f64) -> Result<OneWay> {
        let drawn = self.bvh.sampler(device, self.mesh)?.on_surface(device, n, seed)?;
        let nearest = other.bvh.nearest(&drawn.points)?;
        let cosine = |i: usize| {
            let (own, there) = (self.normals[drawn.triangles[i] as usize], other.normals[nearest.triangle[i] as usize]);
            f64::from((0..3).map(|k| own[k] * there[k]).sum::<f32>().abs())
        };
        // Summed in parts of fixed size, so the result is the same for any number of threads.
        let parts: Vec<[f64; 3]> = (0..n)
            .into_par_iter()
            .fold_chunks(
                1 << 12,
                || [0.0; 3],
                |sums, i| {
                    let distance = f64::from(nearest.distance[i]);
                    [sums[0] + distance, sums[1] + f64::from(u8::from(distance < near)), sums[2] + cosine(i)]
                },
            )
            .collect();
        let mean = |k: usize| parts.iter().map(|part| part[k]).sum::<f64>() / n as f64;
        Ok(OneWay { distance: mean(0), near: mean(1), cosine: mean(2) })
    }
}

/// Compares a fit with the truth by `n_points` points on each. Distances are measured in units of `unit`.
pub fn compare_surfaces(
    device: &Device,
    fit: &Measured,
    truth: &Measured,
    n_points: usize,
    unit: f64,
    f_score_distance: f64,
) -> Result<SurfaceScore> {
    let near = f_score_distance * unit;
    let from_fit = fit.distances_to(device, truth, n_points, 0, near)?;
    let from_truth = truth.distances_to(device, fit, n_points, 1, near)?;
    let (accuracy, completeness) = (from_fit.distance / unit, from_truth.distance / unit);
    let both = from_fit.near + from_truth.near;
    Ok(SurfaceScore {
        accuracy,
        completeness,
        chamfer_l1: 0.5 * (accuracy + completeness),
        f_score: if both > 0.0 { 2.0 * from_fit.near * from_truth.near / both } else { 0.0 },
        f_score_distance,
        normal_consistency: 0.5 * (from_fit.cosine + from_truth.cosine),
        n_points,
    })
}

/// Returns the number of points inside both divided by the number inside either; 1 if there are none at all.
pub fn intersection_over_union(fit: impl Iterator<Item = bool>, truth: impl Iterator<Item = bool>) -> f64 {
    let (mut both, mut either) = (0u64, 0u64);
    for (fit, truth) in fit.zip(truth) {
        both += u64::from(fit && truth);
        either += u64::from(fit || truth);
    }
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}
