//! Axis-aligned boxes, to which exports are restricted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A box in the coordinates of a scene's or mesh's files; in text `x0,y0,z0,x1,y1,z1`, in JSON as [`Corners`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Corners", into = "Corners")]
pub struct SceneBox {
    low: [f64; 3],
    high: [f64; 3],
}

/// Two corners as they are written in JSON, which may be those of an empty box; [`SceneBox`] is checked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corners {
    /// Corner of the lowest coordinates.
    pub min: [f64; 3],
    /// Corner of the highest coordinates.
    pub max: [f64; 3],
}

/// A box in coordinates in memory or in those of a field. It includes its walls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Corner of the lowest coordinates.
    pub low: [f32; 3],
    /// Corner of the highest coordinates.
    pub high: [f32; 3],
}

impl SceneBox {
    /// Returns the box between two corners.
    ///
    /// # Errors
    /// Returns an error if a number is not finite, or if `high` is not above `low` on each axis.
    pub fn new(low: [f64; 3], high: [f64; 3]) -> Result<Self> {
        for ((axis, low), high) in ["x", "y", "z"].into_iter().zip(low).zip(high) {
            if !(low.is_finite() && high.is_finite()) {
                return Err(Error::config("a box has six finite numbers: x0,y0,z0,x1,y1,z1"));
            }
            if low >= high {
                return Err(Error::config(format!(
                    "the box is empty, as it reaches from {low} to {high} along {axis}; give the lower corner first: \
                     x0,y0,z0,x1,y1,z1"
                )));
            }
        }
        Ok(SceneBox { low, high })
    }

    /// Returns the corner of the lowest coordinates.
    pub fn low(&self) -> [f64; 3] {
        self.low
    }

    /// Returns the corner of the highest coordinates.
    pub fn high(&self) -> [f64; 3] {
        self.high
    }

    /// Returns the lengths of the sides.
    pub fn extent(&self) -> [f64; 3] {
        std::array::from_fn(|k| self.high[k] - self.low[k])
    }

    /// Returns the box moved by a vector.
    pub fn moved(&self, by: [f64; 3]) -> SceneBox {
        let moved = |corner: [f64; 3]| std::array::from_fn(|k| corner[k] + by[k]);
        SceneBox { low: moved(self.low), high: moved(self.high) }
    }

    /// Returns the box in coordinates relative to `origin`.
    pub fn relative(&self, origin: &[f64; 3]) -> Bounds {
        Bounds { low: super::relative(self.low, origin), high: super::relative(self.high, origin) }
    }
}

impl TryFrom<Corners> for SceneBox {
    type Error = Error;

    fn try_from(corners: Corners) -> Result<Self> {
        SceneBox::new(corners.min, corners.max)
    }
}

impl From<Bounds> for Corners {
    fn from(bounds: Bounds) -> Self {
        Corners { min: bounds.low.map(f64::from), max: bounds.high.map(f64::from) }
    }
}

impl From<SceneBox> for Corners {
    fn from(within: SceneBox) -> Self {
        Corners { min: within.low, max: within.high }
    }
}

impl fmt::Display for SceneBox {
    /// Writes the six numbers as they are parsed.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ([x0, y0, z0], [x1, y1, z1]) = (self.low, self.high);
        write!(f, "{x0},{y0},{z0},{x1},{y1},{z1}")
    }
}

impl FromStr for SceneBox {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<f64>> = text.split(',').map(|word| word.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x0, y0, z0, x1, y1, z1]) => SceneBox::new([x0, y0, z0], [x1, y1, z1]),
            _ => Err(Error::config("a box has six finite numbers: x0,y0,z0,x1,y1,z1")),
        }
    }
}

impl Bounds {
    /// A field's own box, [0, 1]³.
    pub(crate) const UNIT: Bounds = Bounds { low: [0.0; 3], high: [1.0; 3] };

    /// Returns the least box that holds all `points`; `low` is above `high` if there are none.
    pub fn of(points: impl IntoIterator<Item = [f32; 3]>) -> Bounds {
        let mut bounds = Bounds { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };
        for point in points {
            bounds.low = std::array::from_fn(|k| bounds.low[k].min(point[k]));
            bounds.high = std::array::from_fn(|k| bounds.high[k].max(point[k]));
        }
        bounds
    }

    /// Returns the intersection of the two boxes; None if they only touch or are apart.
    pub fn common(&self, other: &Bounds) -> Option<Bounds> {
        let low: [f32; 3] = std::array::from_fn(|k| self.low[k].max(other.low[k]));
        let high: [f32; 3] = std::array::from_fn(|k| self.high[k].min(other.high[k]));
        (0..3).all(|k| low[k] < high[k]).then_some(Bounds { low, high })
    }

    /// Returns the point of the box that is nearest to `point`.
    pub fn clamp(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|k| point[k].max(self.low[k]).min(self.high[k]))
    }

    /// Returns the 27 points whose coordinates along each axis are those of the walls and the one between them that is
    /// nearest to `middle`.
    pub(super) fn marks(&self, middle: [f32; 3]) -> impl Iterator<Item = [f32; 3]> {
        let along = [self.low, self.clamp(middle), self.high];
        (0..27).map(move |i| [along[i % 3][0], along[i / 3 % 3][1], along[i / 9][2]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_six_numbers_in_order() {
        let parsed: SceneBox = "-1, 0,2e3,1,0.5,3000".parse().unwrap();
        assert_eq!(parsed, SceneBox::new([-1.0, 0.0, 2000.0], [1.0, 0.5, 3000.0]).unwrap());
        assert_eq!(parsed.to_string(), "-1,0,2000,1,0.5,3000");
        let moved = parsed.relative(&[0.0, 0.25, 2000.0]);
        assert_eq!(moved, Bounds { low: [-1.0, -0.25, 0.0], high: [1.0, 0.25, 1000.0] });
        for (text, says) in [
            ("", "six finite numbers"),
            ("0,0,0,1,1", "six finite numbers"),
            ("0,0,0,1,1,1,1", "six finite numbers"),
            ("0,0,0,1,1,nan", "six finite numbers"),
            ("0,0,0,1,1,inf", "six finite numbers"),
            ("0,1,0,1,0,1", "reaches from 1 to 0 along y"),
            ("0,0,2,1,1,2", "reaches from 2 to 2 along z"),
        ] {
            let error = text.parse::<SceneBox>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn boxes_that_only_touch_have_nothing_in_common() {
        let unit = Bounds::UNIT;
        let beside = Bounds { low: [1.0, 0.0, 0.0], high: [2.0, 1.0, 1.0] };
        assert_eq!(unit.common(&beside), None);
        let over = Bounds { low: [0.5, -1.0, 0.25], high: [2.0, 2.0, 0.5] };
        assert_eq!(unit.common(&over), Some(Bounds { low: [0.5, 0.0, 0.25], high: [1.0, 1.0, 0.5] }));
        assert_eq!(over.clamp([0.0, 0.0, 0.3]), [0.5, 0.0, 0.3]);
    }
}
