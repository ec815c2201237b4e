//! The origin of coordinates in memory, for scenes and meshes whose coordinates are large compared with their extent,
//! such as georeferenced ones: single precision could not tell their points apart.

/// Distance from the origin, in extents, from which on coordinates are taken relative to another origin. At this
/// distance, single precision resolves 6e-5 of the extent.
const FAR: f64 = 1e3;
/// Points at least this far from the origin, in extents, differ only in digits that a file in single precision does not
/// have: they count as one place, up to rounding. This does not hold for coordinates beyond `OF_MAPS`, which are those
/// of maps and have more digits.
const ALIKE_IN_SINGLE: f64 = 1e6;
const OF_MAPS: f64 = 1e4;
/// The same limit for coordinates of maps: what differs beyond it is the rounding of double precision.
const ALIKE_IN_DOUBLE: f64 = 1e9;

/// Returns whether coordinates in memory are those of the file.
pub(crate) fn is_zero(origin: &[f64; 3]) -> bool {
    *origin == [0.0; 3]
}

/// Returns the origin relative to which single precision represents `points` well: 0, or, if they are far from 0
/// compared with their extent, their middle, rounded to a multiple of a power of two near the extent. Points that are
/// not finite are ignored.
pub(crate) fn origin_for(points: impl IntoIterator<Item = [f64; 3]>) -> [f64; 3] {
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for point in points.into_iter().filter(|point| point.iter().all(|x| x.is_finite())) {
        low = std::array::from_fn(|k| low[k].min(point[k]));
        high = std::array::from_fn(|k| high[k].max(point[k]));
    }
    let extent = (0..3).map(|k| high[k] - low[k]).fold(0.0, f64::max);
    let middle: [f64; 3] = std::array::from_fn(|k| 0.5 * low[k] + 0.5 * high[k]);
    let farthest = middle.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let in_extents = farthest / extent;
    let alike = if farthest > OF_MAPS { ALIKE_IN_DOUBLE } else { ALIKE_IN_SINGLE };
    // Written so that a NaN gives 0: without points, or with an extent that is not finite.
    if !(FAR..alike).contains(&in_extents) {
        return [0.0; 3];
    }
    let step = extent.log2().floor().exp2();
    middle.map(|x| (x / step).round() * step)
}

/// Subtracts `origin`, in double precision.
pub(crate) fn relative(point: [f64; 3], origin: &[f64; 3]) -> [f32; 3] {
    std::array::from_fn(|k| (point[k] - origin[k]) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corners of a cube of side `extent` around `middle`.
    fn cube(middle: [f64; 3], extent: f64) -> Vec<[f64; 3]> {
        let corner = |bits: usize| std::array::from_fn(|k| middle[k] + extent * ((bits >> k & 1) as f64 - 0.5));
        (0..8).map(corner).collect()
    }

    #[test]
    fn usual_points_keep_the_origin_and_those_of_maps_get_their_own() {
        for (middle, extent) in [([0.0; 3], 4.0), ([900.0, -20.0, 3.0], 1.0), ([0.0, 3.0, 0.0], 1e-2)] {
            assert_eq!(origin_for(cube(middle, extent)), [0.0; 3], "{middle:?}");
        }
        let middle = [441547.502, 5121946.513, 345.087];
        for extent in [0.02, 7.0, 4000.0] {
            let origin = origin_for(cube(middle, extent));
            assert!((0..3).all(|k| (origin[k] - middle[k]).abs() <= 0.5 * extent), "{extent}: {origin:?}");
            for corner in cube(middle, extent) {
                let near = relative(corner, &origin);
                let apart = (0..3).map(|k| (f64::from(near[k]) + origin[k] - corner[k]).abs()).fold(0.0, f64::max);
                assert!(apart <= 1e-7 * extent, "{extent}: {apart}");
            }
        }
    }

    #[test]
    fn points_at_one_place_keep_the_origin() {
        for (middle, extent) in [([2.0, 0.0, 0.0], 0.0), ([2.0, 1.0, 3.0], 1e-7), ([441547.5, 5121946.5, 345.0], 2e-9)]
        {
            assert_eq!(origin_for(cube(middle, extent)), [0.0; 3], "{middle:?}");
        }
        assert_eq!(origin_for([]), [0.0; 3]);
        assert_eq!(origin_for([[f64::NAN, 0.0, 0.0], [1e308, -1e308, 0.0], [-1e308, 1e308, 0.0]]), [0.0; 3]);
    }
}
