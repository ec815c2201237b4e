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
        let refuse = |number: usize, refusal| Error::file(file, format!("line {}: {refusal}", number + 1));
        let parsed = match stem {
            Some("cameras") => read_camera(line, model),
            Some("images") => read_image(line).and_then(|image| model.add_image(image)),
            _ => read_point(line, model),
        };
        parsed.map_err(|refusal| refuse(number, refusal))?;
        if stem == Some("images")
            && let Some((below, points)) = lines.next()
            && let Some(image) = model.images.last_mut()
        {
            image.points = read_points(points, number + 1).map_err(|refusal| refuse(below, refusal))?;
        }
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

/// Reads a line `IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`. The points are on the next line.
fn read_image(line: &str) -> std::result::Result<Registered, Refusal> {
    let mut words = line.splitn(10, char::is_whitespace);
    let _number: u32 = next(&mut words, "the image's number")?;
    let mut pose = [0.0; 7];
    for number in &mut pose {
        *number = next(&mut words, "a number of the pose")?;
    }
    let camera = next(&mut words, "the camera's number")?;
    let name = words.next().map(str::trim).filter(|name| !name.is_empty()).ok_or("has no image name")?.to_owned();
    let [w, x, y, z, translation @ ..] = pose;
    Ok(Registered { name, camera, rotation: [w, x, y, z], translation, points: Vec::new() })
}

/// Reads the line below that of an image: `X Y POINT3D_ID` for each point seen, or nothing.
fn read_points(line: &str, image_line: usize) -> std::result::Result<Vec<u64>, Refusal> {
    let expected = format!(
        "where the points of the image on line {image_line} are expected; put a line of points, which may be empty, \
         below every image, or export the reconstruction again"
    );
    let mut points = Vec::new();
    let mut words = line.split_whitespace();
    while let Some(x) = words.next() {
        let is_number = |word: &str| word.parse::<f64>().is_ok();
        // -1 marks a point that no other image sees.
        let point = match (words.next(), words.next()) {
            (Some(y), Some(id)) if is_number(x) && is_number(y) => id.parse::<i128>().ok(),
            _ => None,
        };
        match point {
            Some(id) => points.extend(u64::try_from(id)),
            None if read_image(line.trim()).is_ok() => return Err(format!("looks like an image, {expected}")),
            None => return Err(format!("is not a list of `X Y POINT3D_ID`, {expected}")),
        }
    }
    Ok(points)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file of images that have one camera, with the number 1.
    fn images(text: &str) -> std::result::Result<Model, String> {
        let mut model = Model::default();
        parse(Path::new("cameras.txt"), b"1 PINHOLE 40 30 50 50 20 15", &mut model).unwrap();
        parse(Path::new("images.txt"), text.as_bytes(), &mut model).map(|()| model).map_err(|e| e.to_string())
    }

    #[test]
    fn points_may_be_absent_but_their_lines_may_not() {
        let image = |name: &str| format!("7 1 0 0 0 0 0 4 1 {name}\n");
        let seen = "1.5 2.5 3 3 4 -1 5 6 18446744073709551615\n";
        let model = images(&format!("# c\n{}{seen}{}\n\n{}", image("a.png"), image("b.png"), image("c.png"))).unwrap();
        let points: Vec<&[u64]> = model.images.iter().map(|image| image.points.as_slice()).collect();
        assert_eq!(points, [&[3, u64::MAX][..], &[], &[]]);
        for (below, says) in [
            (image("b.png"), "line 3: looks like an image, where the points of the image on line 2 are expected"),
            (image("b 1 2.png"), "line 3: looks like an image"),
            (
                "1.5 2.5\n".to_owned(),
                "line 3: is not a list of `X Y POINT3D_ID`, where the points of the image on line 2",
            ),
            ("1.5 x 3\n".to_owned(), "line 3: is not a list"),
            ("1.5 2.5 0.3\n".to_owned(), "line 3: is not a list"),
        ] {
            let refusal = images(&format!("# c\n{}{below}", image("a.png"))).err().unwrap();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
