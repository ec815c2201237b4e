//! Reader of COLMAP's binary files: little-endian, a count followed by that many records, without padding.

use super::model::{MODELS, Model, Refusal, Registered, camera};
use crate::{Error, Result};
use std::path::Path;

/// Reads one of the files, identified by its name, into the model. Cameras must be read before images.
///
/// # Errors
/// Returns an error if the file ends early or holds invalid values. A corrupt file never makes the reader use more
/// memory than the file's size justifies.
pub(super) fn parse(file: &Path, bytes: &[u8], model: &mut Model) -> Result<()> {
    let mut records = Records { rest: bytes };
    let parsed = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("cameras") => cameras(&mut records, model),
        Some("images") => images(&mut records, model),
        _ => points(&mut records, model),
    };
    parsed.map_err(|refusal| Error::file(file, refusal))
}

fn cameras(records: &mut Records, model: &mut Model) -> std::result::Result<(), Refusal> {
    let count = records.count("cameras")?;
    for _ in 0..count {
        let number = records.u32()?;
        let kind = records.u32()?;
        let (width, height) = (records.u64()?, records.u64()?);
        let known = usize::try_from(kind).ok().and_then(|kind| MODELS.get(kind)).ok_or_else(|| {
            format!("camera {number} is of the model {kind}, a number that is not known; reconstruct with OPENCV")
        })?;
        let parameters = (0..known.n_parameters).map(|_| records.f64()).collect::<std::result::Result<Vec<_>, _>>()?;
        let camera = camera(known.name, width, height, &parameters).map_err(|why| format!("camera {number} {why}"))?;
        model.cameras.insert(number, camera);
    }
    Ok(())
}

fn images(records: &mut Records, model: &mut Model) -> std::result::Result<(), Refusal> {
    let count = records.count("images")?;
    for _ in 0..count {
        let number = records.u32()?;
        let rotation = [records.f64()?, records.f64()?, records.f64()?, records.f64()?];
        let translation = records.point()?;
        let camera = records.u32()?;
        let name = records.text().map_err(|why| format!("the name of image {number} {why}"))?;
        let n_points = records.u64()?;
        // Each point is two image coordinates and the number of the 3D point or -1: 24 bytes.
        let bytes = usize::try_from(n_points).ok().and_then(|n| n.checked_mul(24)).ok_or_else(truncated)?;
        let points = records.take(bytes)?.chunks_exact(24).map(|point| number_of(&point[16..]));
        let points = points.filter(|&number| number != u64::MAX).collect();
        model.add_image(Registered { name, camera, rotation, translation, points })?;
    }
    model.check_names()
}

fn points(records: &mut Records, model: &mut Model) -> std::result::Result<(), Refusal> {
    let count = records.count("points")?;
    for _ in 0..count {
        let number = records.u64()?;
        let point = records.point()?;
        // Three bytes of colour, and the error.
        records.take(3 + 8)?;
        let track = records.u64()?;
        let bytes = usize::try_from(track).ok().and_then(|n| n.checked_mul(8)).ok_or_else(truncated)?;
        records.take(bytes)?;
        model.add_point(number, point)?;
    }
    Ok(())
}

/// The unread rest of a file.
struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    fn take(&mut self, n: usize) -> std::result::Result<&'a [u8], Refusal> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads the number of records. Each record has many bytes, so a count above the number of bytes left is refused.
    fn count(&mut self, what: &str) -> std::result::Result<u64, Refusal> {
        let count = self.u64()?;
        match count > self.rest.len() as u64 {
            true => Err(format!("announces {count} {what}, more than it has bytes: it is truncated or no COLMAP file")),
            false => Ok(count),
        }
    }

    fn u32(&mut self) -> std::result::Result<u32, Refusal> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> std::result::Result<u64, Refusal> {
        self.take(8).map(number_of)
    }

    fn f64(&mut self) -> std::result::Result<f64, Refusal> {
        self.u64().map(f64::from_bits)
    }

    fn point(&mut self) -> std::result::Result<[f64; 3], Refusal> {
        Ok([self.f64()?, self.f64()?, self.f64()?])
    }

    /// Reads text up to a zero byte and consumes that byte.
    fn text(&mut self) -> std::result::Result<String, Refusal> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or("does not end: the file is truncated")?;
        let text = self.take(end + 1)?;
        let text = std::str::from_utf8(&text[..end]).map_err(|_| "is no UTF-8 text; rename the image")?;
        Ok(text.to_owned())
    }
}

fn number_of(eight: &[u8]) -> u64 {
    u64::from_le_bytes(eight.try_into().expect("eight bytes"))
}

fn truncated() -> Refusal {
    "ends too early: it is truncated; copy it or reconstruct again".to_owned()
}
