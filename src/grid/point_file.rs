//! Reads point clouds: the vertices of a PLY file, or a NumPy array `[N, 3]` of floats.

use std::ffi::OsStr;
use std::path::Path;

use crate::mesh::Ply;
use crate::{Error, Result};

/// Why a file was refused; the caller adds its name.
type Refusal = String;

/// The points of the file `path`, in its own coordinates.
///
/// # Errors
/// A file that cannot be read, is of another kind, ends early, or holds a coordinate that is no finite number.
pub fn read(path: &Path) -> Result<Vec<[f32; 3]>> {
    let bytes = std::fs::read(path)
        .map_err(|e| Error::file(path, format!("the point cloud cannot be read ({e}); check the path")))?;
    let points = match path.extension().and_then(OsStr::to_str) {
        Some("npy") => numpy(&bytes),
        Some("ply") => Ply::read(&bytes, false).map(|ply| ply.vertices),
        _ => Err("a point cloud is a .ply or .npy file; check model.grid.points.file".to_owned()),
    };
    let points = points.map_err(|refusal| Error::file(path, refusal))?;
    match points.iter().position(|point| point.iter().any(|x| !x.is_finite())) {
        Some(index) => {
            let what = format!("point {index} is {:?}, but coordinates must be finite numbers", points[index]);
            Err(Error::file(path, what))
        }
        None => Ok(points),
    }
}

fn float(bytes: &[u8]) -> f32 {
    f32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

fn double(bytes: &[u8]) -> f32 {
    f64::from_le_bytes(bytes.try_into().expect("eight bytes")) as f32
}

fn truncated(found: usize, announced: usize) -> Refusal {
    format!("truncated: its header announces {announced} points, but {found} are there; fetch it again")
}

/// An array file of NumPy: magic, version, length of the header, a Python literal, the numbers.
fn numpy(bytes: &[u8]) -> std::result::Result<Vec<[f32; 3]>, Refusal> {
    const EXPECTED: &str = "an array [N, 3] of <f4 or <f8 in C order is expected";
    let Some(version) = bytes.strip_prefix(b"\x93NUMPY") else {
        return Err("not a NumPy file: it does not begin with \\x93NUMPY".to_owned());
    };
    let short = || "truncated: its NumPy header does not end; fetch it again".to_owned();
    let (begin, length) = match version {
        [1, _, a, b, ..] => (4, usize::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d, ..] => (6, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err(short()),
    };
    let header = version.get(begin..begin + length).ok_or_else(short)?;
    let body = &version[begin + length..];
    let header: String = String::from_utf8_lossy(header).split_whitespace().collect();
    let kind = [("'<f4'", 4, float as fn(&[u8]) -> f32), ("'<f8'", 8, double)];
    let (_, size, value) = kind
        .into_iter()
        .find(|(name, ..)| header.contains(&format!("'descr':{name}")))
        .filter(|_| header.contains("'fortran_order':False"))
        .ok_or_else(|| format!("its NumPy header is {}, but {EXPECTED}", header.trim()))?;
    let count: usize = header
        .split_once("'shape':(")
        .and_then(|(_, shape)| shape.split_once(",3)"))
        .and_then(|(count, _)| count.parse().ok())
        .ok_or_else(|| format!("its NumPy header is {}, but {EXPECTED}", header.trim()))?;
    let point = |bytes: &[u8]| std::array::from_fn(|axis| value(&bytes[axis * size..(axis + 1) * size]));
    let points: Vec<[f32; 3]> = body.chunks_exact(3 * size).take(count).map(point).collect();
    if points.len() < count { Err(truncated(points.len(), count)) } else { Ok(points) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [[f32; 3]; 2] = [[0.5, -1.0, 2.0], [1e-3, 7.0, 0.25]];

    fn numpy_file(header: &str, body: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), body].concat()
    }

    #[test]
    fn points_come_from_both_kinds_of_numbers() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n";
        assert_eq!(numpy(&numpy_file(header, bytemuck::cast_slice(&POINTS))).unwrap(), POINTS);
        let doubles = POINTS.map(|point| point.map(f64::from));
        let header = header.replace("f4", "f8");
        assert_eq!(numpy(&numpy_file(&header, bytemuck::cast_slice(&doubles))).unwrap(), POINTS);
    }

    #[test]
    fn files_that_are_none_are_refused_with_the_reason() {
        for (found, says) in [
            (numpy(b"PK"), "not a NumPy file"),
            (numpy(b"\x93NUMPY\x01\x00\xff\xff{"), "truncated: its NumPy header does not end"),
            (numpy(&numpy_file("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3)}", b"")), "array [N, 3]"),
            (numpy(&numpy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", b"")), "array [N, 3]"),
            (numpy(&numpy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", b"1")), "truncated"),
        ] {
            let refusal = found.unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
