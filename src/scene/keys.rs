//! The keys of transforms files that a frame may have in place of the file.

use super::json::Node;
use crate::Result;

/// Looks up a key in the frame first, then in the file.
pub struct Keys<'n, 'a> {
    pub frame: &'n Node<'a>,
    pub file: &'n Node<'a>,
}

impl<'a> Keys<'_, 'a> {
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.frame.get(key).or_else(|| self.file.get(key))
    }

    /// Returns instant-ngp's flag for OpenCV's fisheye model.
    pub fn is_fisheye(&self) -> Result<bool> {
        self.get("is_fisheye").map_or(Ok(false), |node| node.flag())
    }

    pub fn positive(&self, key: &str) -> Result<Option<f64>> {
        self.get(key).map(|node| node.positive()).transpose()
    }

    /// Returns the focal length along `axis` in pixels of an image that is `extent` pixels long, if the focal length or
    /// an angle is given. Of keys in the same place, instant-ngp's angle in degrees takes precedence, as it does there.
    pub fn focal(&self, axis: &str, extent: f64) -> Result<Option<f64>> {
        for place in [self.frame, self.file] {
            if let Some(node) = place.get(&format!("{axis}_fov")) {
                return focal_from_angle(&node, node.number()?.to_radians(), extent).map(Some);
            }
            if let Some(node) = place.get(&format!("fl_{axis}")) {
                return node.positive().map(Some);
            }
            if let Some(node) = place.get(&format!("camera_angle_{axis}")) {
                return focal_from_angle(&node, node.number()?, extent).map(Some);
            }
        }
        Ok(None)
    }
}

/// Returns the focal length for a field of view in radians, which was read from `node`.
fn focal_from_angle(node: &Node, angle: f64, extent: f64) -> Result<f64> {
    if !(angle > 0.0 && angle < std::f64::consts::PI) {
        return Err(node.error(format!("is {angle} radians; it must be above 0 and below π")));
    }
    let focal = 0.5 * extent / (0.5 * angle).tan();
    if !(focal as f32).is_finite() {
        return Err(node.error(format!("is {angle:e}, too small for a finite focal length; correct it")));
    }
    Ok(focal)
}
