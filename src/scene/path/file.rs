//! What the readers of camera-path files share.

use crate::Result;
use crate::scene::json::Node;

/// Reads a vertical field of view in degrees from a file and converts it to radians.
pub(super) fn read_fov(frame: &Node) -> Result<f32> {
    fov(&frame.require("fov", "the vertical field of view in degrees")?)
}

pub(super) fn fov(node: &Node) -> Result<f32> {
    match node.number()? {
        fov if fov > 0.0 && fov < 180.0 => Ok(fov.to_radians() as f32),
        fov => Err(node.error(format!("is {fov}; it must be above 0 and below 180 degrees"))),
    }
}

/// Returns the elements of the list `key`, at least one; messages refer to them by `name` and index.
pub(super) fn read_list<'a>(root: &Node<'a>, key: &str, name: &str) -> Result<Vec<Node<'a>>> {
    let list = root.require(key, "the list of cameras")?;
    let items = list.items()?;
    if items.is_empty() {
        return Err(list.error("is empty; a camera path needs at least one camera"));
    }
    Ok(items.into_iter().enumerate().map(|(i, node)| node.named(format!("{name} {i}"))).collect())
}
