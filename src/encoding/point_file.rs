//! Reads point clouds: the vertices of a PLY file, or a NumPy array `[N, 3]` of floats.

use std::path::Path;

use crate::mesh::Ply;
use crate::{Error, Result, names, npy};

/// Reason why a file was refused; the caller adds the file's name.
type Refusal = String;

/// Reads the points of the file `path`, in the file's own coordinates.
///
/// # Errors
/// Returns an error if the file cannot be read, has an unsupported format, ends early, or contains a coordinate that is
/// not finite.
pub fn read(path: &Path) -> Result<Vec<[f64; 3]>> {
    let bytes = std::fs::read(path)
        .map_err(|e| Error::file(path, format!("the point cloud cannot be read ({e}); check the path")))?;
    let points = match names::extension(path).as_str() {
        "npy" => numpy(&bytes),
        "ply" => Ply::read(&bytes, false).map(|ply| ply.vertices),
        _ => Err("a point cloud is a .ply or .npy file; check model.grid.points.file".to_owned()),
    };
    let points = points.map_err(|refusal| Error::file(path, refusal))?;
    match points.iter().position(|point| point.iter().any(|&x| !(x as f32).is_finite())) {
        Some(index) => {
            let what = format!("point {index} is {:?}, but coordinates must be finite numbers", points[index]);
            Err(Error::file(path, what))
        }
        None => Ok(points),
    }
}

/// Returns the rows of a NumPy array.
fn numpy(bytes: &[u8]) -> std::result::Result<Vec<[f64; 3]>, Refusal> {
    let array = npy::parse(bytes)?;
    if !matches!(array.shape[..], [_, 3]) {
        return Err(format!("its NumPy array has the shape {:?}, but an array [N, 3] is expected", array.shape));
    }
    Ok(array.values.chunks_exact(3).map(|row| [row[0], row[1], row[2]]).collect())
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
        let doubles = POINTS.map(|point| point.map(f64::from));
        assert_eq!(numpy(&numpy_file(header, bytemuck::cast_slice(&POINTS))).unwrap(), doubles);
        let header = header.replace("f4", "f8");
        assert_eq!(numpy(&numpy_file(&header, bytemuck::cast_slice(&doubles))).unwrap(), doubles);
    }

    #[test]
    fn files_that_are_none_are_refused_with_the_reason() {
        for (found, says) in [
            (numpy(b"PK"), "not a NumPy file"),
            (numpy(b"\x93NUMPY\x01\x00\xff\xff{"), "truncated: its NumPy header does not end"),
            (numpy(&numpy_file("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3)}", b"")), "an array of <f4"),
            (numpy(&numpy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", b"1234")), "array [N, 3]"),
            (numpy(&numpy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", b"1")), "truncated"),
        ] {
            let refusal = found.unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
