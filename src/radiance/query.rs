//! Density and colour of a radiance field at points of the scene.

use super::renderer::Renderer;
use super::surface::Occupied;
use crate::geometry::Space;
use crate::{Error, Result};

/// The points of a query at which there is anything: those in occupied cells of the field's box.
#[derive(Default)]
pub(super) struct Inside {
    /// Their numbers among the points of the query, ascending.
    pub numbers: Vec<usize>,
    /// The points themselves, in scene coordinates.
    pub points: Vec<[f32; 3]>,
    /// Their densities per scene unit.
    pub densities: Vec<f32>,
}

impl Renderer {
    /// Computes the densities per scene unit at points in scene coordinates: `[n]`. They are 0 where the occupancy grid
    /// is empty and outside of the field, as they are for rays.
    ///
    /// # Errors
    /// Returns an error if rays are marched in normalized device coordinates, where density depends on the direction,
    /// if the field gives a density that is not finite, or if the device fails.
    pub fn density(&self, points: &[[f32; 3]]) -> Result<Vec<f32>> {
        let mut densities = vec![0.0; points.len()];
        let inside = self.inside(&Occupied::of(self)?, points.iter().copied().enumerate())?;
        for (number, density) in inside.numbers.into_iter().zip(inside.densities) {
            densities[number] = density;
        }
        Ok(densities)
    }

    /// Computes the densities as [`Renderer::density`] does, and the colours `[n, 3]`, sRGB from 0 to 1, of the points
    /// viewed along `directions`: from the camera to the point, in scene coordinates, of any length above 0. Colours are
    /// 0 where the density is 0 because nothing is there.
    ///
    /// # Errors
    /// As for [`Renderer::density`]; also returns an error if a direction has no length or is not finite.
    ///
    /// # Panics
    /// Panics if there are not as many directions as points.
    pub fn query(&self, points: &[[f32; 3]], directions: &[[f32; 3]]) -> Result<(Vec<f32>, Vec<[f32; 3]>)> {
        assert_eq!(points.len(), directions.len(), "one direction for each point");
        let unit = |(number, direction): (usize, &[f32; 3])| {
            let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
            match length > 0.0 && length.is_finite() {
                true => Ok(direction.map(|x| x / length)),
                false => Err(Error::config(format!(
                    "direction {number} is {direction:?}, but must be finite and not of length 0"
                ))),
            }
        };
        let directions = directions.iter().enumerate().map(unit).collect::<Result<Vec<_>>>()?;
        let inside = self.inside(&Occupied::of(self)?, points.iter().copied().enumerate())?;
        let views: Vec<[f32; 3]> = inside.numbers.iter().map(|&number| directions[number]).collect();
        let found = self.colors_along(&inside.points, &views)?;
        let (mut densities, mut colors) = (vec![0.0; points.len()], vec![[0.0; 3]; points.len()]);
        for ((number, density), color) in inside.numbers.into_iter().zip(inside.densities).zip(found) {
            densities[number] = density;
            colors[number] = color;
        }
        Ok((densities, colors))
    }

    /// Returns which of the numbered points in scene coordinates lie in occupied cells, with their densities.
    ///
    /// # Errors
    /// As for [`Renderer::density`].
    pub(super) fn inside(
        &self,
        occupied: &Occupied,
        points: impl Iterator<Item = (usize, [f32; 3])>,
    ) -> Result<Inside> {
        let place = self.place();
        if matches!(place.space, Space::Ndc(_)) {
            return Err(Error::config(
                "the field of a forward-facing scene has no density at points, since its density depends on the direction",
            ));
        }
        let (mut inside, mut in_field) = (Inside::default(), Vec::new());
        for (number, point) in points {
            let at = place.to_field(point);
            if at.iter().all(|x| (0.0..=1.0).contains(x)) && occupied.holds(at) {
                inside.numbers.push(number);
                inside.points.push(point);
                in_field.push(at);
            }
        }
        inside.densities = self.densities(&in_field)?;
        if inside.densities.iter().any(|density| !density.is_finite()) {
            let what =
                "the field gives values that are not finite, so that its training diverged; use an earlier checkpoint";
            return Err(Error::file(&self.name, what));
        }
        for (density, point) in inside.densities.iter_mut().zip(&inside.points) {
            *density *= place.density_factor(*point);
        }
        Ok(inside)
    }
}
