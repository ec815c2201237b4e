//! Reader of COLMAP's text files: one line per record, two per image; lines that begin with `#` are comments.

use super::model::{Model, Refusal, Registered, camera};
use crate::text::as_utf8;
use crate::{Error, Result};
use std::path::Path;

/// Reads one of the files, identified by its name, into the model. Cameras must be read before images.
///
/// # Errors
/// Returns an error that names the number of the line that cannot be read.
pub(super) fn parse(file: &Path, bytes: &[u8], model: &mut Model) -> Result<()> {
    let no_text = || Error::file(file, "is no UTF-8 text; export the reconstruction again");
    let bytes = as_utf8(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| no_text())?;
    let mut lines = text.lines().enumerate();
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parsed = match stem {
            Some("cameras") => read_camera(line, model),
            Some("images") => read_image(line, lines.next().map_or("", |(_, points)| points), model),
            _ => read_point(line, model),
        };
        parsed.map_err(|refusal| Error::file(file, format!("line {}: {refusal}", number + 1)))?;
    }
    model.check_names().map_err(|refusal| Error::file(file, refusal))
}

/// Reads a line `CAMERA_ID MODEL WIDTH HEIGHT PARAMS…`.
fn read_camera(line: &str, model: &mut Model) -> std::result::Result<(), Refusal> {
    let mut words = line.split_whitespace();
    let number = next(&mut words, "the camera's number")?;
    let name = words.next().ok_or("has no camera model")?;
    let (width, height) = (next(&mut words, "a width")?, next(&mut words, "a height")?);
    let parameters = words.map(|word| word.parse().map_err(|_| format!("has {word:?} where a parameter is expected")));
    let parameters = parameters.collect::<std::result::Result<Vec<f64>, _>>()?;
    let camera = camera(name, width, height, &parameters).map_err(|why| format!("camera {number} {why}"))?;
    model.cameras.insert(number, camera);
    Ok(())
}

/// Reads a line `IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME` and the next line, `X Y POINT3D_ID` for each point seen.
fn read_image(line: &str, points: &str, model: &mut Model) -> std::result::Result<(), Refusal> {
    let mut words = line.splitn(10, char::is_whitespace);
    let _number: u32 = next(&mut words, "the image's number")?;
    let mut pose = [0.0; 7];
    for number in &mut pose {
        *number = next(&mut words, "a number of the pose")?;
    }
    let camera = next(&mut words, "the camera's number")?;
    let name = words.next().map(str::trim).filter(|name| !name.is_empty()).ok_or("has no image name")?.to_owned();
    let [w, x, y, z, translation @ ..] = pose;
    let numbers = points.split_whitespace().skip(2).step_by(3);
    // -1 marks a point that no other image sees. It does not parse as an unsigned number and is skipped.
    let points = numbers.filter_map(|word| word.parse().ok()).collect();
    model.add_image(Registered { name, camera, rotation: [w, x, y, z], translation, points })
}

/// Reads a line `POINT3D_ID X Y Z R G B ERROR TRACK…`.
fn read_point(line: &str, model: &mut Model) -> std::result::Result<(), Refusal> {
    let mut words = line.split_whitespace();
    let number = next(&mut words, "the point's number")?;
    let mut point = [0.0; 3];
    for coordinate in &mut point {
        *coordinate = next(&mut words, "a coordinate")?;
    }
    model.add_point(number, point)
}

fn next<'a, T: std::str::FromStr>(
    words: &mut impl Iterator<Item = &'a str>,
    meaning: &str,
) -> std::result::Result<T, Refusal> {
    let word = words.next().ok_or_else(|| format!("ends where {meaning} is expected"))?;
    word.parse().map_err(|_| format!("has {word:?} where {meaning} is expected"))
}
