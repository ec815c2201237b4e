//! Reads point clouds: the vertices of a PLY file (ascii, binary_little_endian), or a NumPy array `[N, 3]` of floats.

use std::ffi::OsStr;
use std::path::Path;

use crate::{Error, Result, npy};

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
        Some("ply") => ply(&bytes),
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

/// A property's type in PLY: how many bytes, and how they become a number.
#[derive(Clone, Copy)]
struct Scalar {
    bytes: usize,
    value: fn(&[u8]) -> f32,
}

fn scalar(name: &str) -> Option<Scalar> {
    let unread = |bytes| Scalar { bytes, value: |_| f32::NAN };
    Some(match name {
        "char" | "uchar" | "int8" | "uint8" => unread(1),
        "short" | "ushort" | "int16" | "uint16" => unread(2),
        "int" | "uint" | "int32" | "uint32" => unread(4),
        "float" | "float32" => Scalar { bytes: 4, value: float },
        "double" | "float64" => Scalar { bytes: 8, value: double },
        _ => return None,
    })
}

fn float(bytes: &[u8]) -> f32 {
    f32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

fn double(bytes: &[u8]) -> f32 {
    f64::from_le_bytes(bytes.try_into().expect("eight bytes")) as f32
}

/// The vertices of a PLY file, as its header announces them.
struct Vertices {
    ascii: bool,
    count: usize,
    properties: Vec<(String, Scalar)>,
}

impl Vertices {
    /// Places of x, y and z among the properties.
    fn axes(&self) -> std::result::Result<[usize; 3], Refusal> {
        let mut places = [0; 3];
        for (place, axis) in places.iter_mut().zip(["x", "y", "z"]) {
            let found = self.properties.iter().position(|(name, scalar)| name == axis && scalar.bytes >= 4);
            *place = found.ok_or_else(|| format!("its vertices have no property {axis} of type float or double"))?;
        }
        Ok(places)
    }
}

fn ply(bytes: &[u8]) -> std::result::Result<Vec<[f32; 3]>, Refusal> {
    const END: &[u8] = b"end_header";
    if !bytes.starts_with(b"ply") {
        return Err("not a PLY file: it does not begin with `ply`".to_owned());
    }
    let end = bytes.windows(END.len()).position(|window| window == END).ok_or("its PLY header does not end")?;
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| "its PLY header is no text")?;
    let line_end = bytes[end..].iter().position(|&byte| byte == b'\n').ok_or("its PLY header does not end")?;
    let vertices = ply_header(header)?;
    let body = &bytes[end + line_end + 1..];
    if vertices.ascii { ply_text(body, &vertices) } else { ply_binary(body, &vertices) }
}

fn ply_header(header: &str) -> std::result::Result<Vertices, Refusal> {
    let (mut ascii, mut count, mut properties) = (None, None, Vec::new());
    for line in header.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["format", "ascii", _] => ascii = Some(true),
            ["format", "binary_little_endian", _] => ascii = Some(false),
            ["format", other, ..] => {
                return Err(format!("its PLY format is {other}, but ascii or binary_little_endian is expected"));
            }
            ["element", "vertex", n] if count.is_none() => {
                count = Some(n.parse().map_err(|_| format!("its PLY header announces {n} vertices"))?);
            }
            ["element", ..] if count.is_some() => break,
            ["element", other, ..] => return Err(format!("its first PLY element is {other}, but must be vertex")),
            ["property", kind, name] => match scalar(kind) {
                Some(scalar) => properties.push((name.to_owned(), scalar)),
                None => return Err(format!("its vertices have a property of the type {kind}, which PLY has not")),
            },
            ["property", ..] => return Err("its vertices have a list property, which is not read".to_owned()),
            _ => {}
        }
    }
    let ascii = ascii.ok_or("its PLY header names no format")?;
    Ok(Vertices { ascii, count: count.ok_or("its PLY header announces no vertices")?, properties })
}

fn ply_text(body: &[u8], vertices: &Vertices) -> std::result::Result<Vec<[f32; 3]>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| "its vertices are no text, though its PLY format is ascii")?;
    let axes = vertices.axes()?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    // The header may announce more than memory holds: only what is there is taken.
    let mut points = Vec::new();
    for index in 0..vertices.count {
        let line = lines.next().ok_or_else(|| truncated(index, vertices.count))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |axis: usize| words.get(axis).and_then(|word| word.parse().ok());
        let point = axes.map(number);
        let [Some(x), Some(y), Some(z)] = point else {
            return Err(format!("vertex {index} is `{}`, but must be numbers", line.trim()));
        };
        points.push([x, y, z]);
    }
    Ok(points)
}

fn ply_binary(body: &[u8], vertices: &Vertices) -> std::result::Result<Vec<[f32; 3]>, Refusal> {
    let axes = vertices.axes()?;
    let stride: usize = vertices.properties.iter().map(|(_, scalar)| scalar.bytes).sum();
    let offset = |place: usize| vertices.properties[..place].iter().map(|(_, scalar)| scalar.bytes).sum::<usize>();
    let read = |vertex: &[u8]| {
        axes.map(|place| {
            let scalar = vertices.properties[place].1;
            (scalar.value)(&vertex[offset(place)..offset(place) + scalar.bytes])
        })
    };
    let points: Vec<_> = body.chunks_exact(stride).take(vertices.count).map(read).collect();
    if points.len() < vertices.count { Err(truncated(points.len(), vertices.count)) } else { Ok(points) }
}

fn truncated(found: usize, announced: usize) -> Refusal {
    format!("truncated: its header announces {announced} points, but {found} are there; fetch it again")
}

/// The rows of an array of NumPy.
fn numpy(bytes: &[u8]) -> std::result::Result<Vec<[f32; 3]>, Refusal> {
    let array = npy::parse(bytes)?;
    if !matches!(array.shape[..], [_, 3]) {
        return Err(format!("its NumPy array has the shape {:?}, but an array [N, 3] is expected", array.shape));
    }
    Ok(array.values.chunks_exact(3).map(|row| std::array::from_fn(|axis| row[axis] as f32)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [[f32; 3]; 2] = [[0.5, -1.0, 2.0], [1e-3, 7.0, 0.25]];

    fn ply_file(format: &str, body: &[u8]) -> Vec<u8> {
        let header = format!(
            "ply\nformat {format} 1.0\ncomment made by hand\nelement vertex 2\nproperty uchar red\nproperty double x\n\
             property float y\nproperty float z\nelement face 0\nproperty list uchar int vertex_index\nend_header\n"
        );
        [header.as_bytes(), body].concat()
    }

    fn binary_body() -> Vec<u8> {
        let vertex = |p: &[f32; 3]| {
            [&[7u8][..], &f64::from(p[0]).to_le_bytes(), &p[1].to_le_bytes(), &p[2].to_le_bytes()].concat()
        };
        POINTS.iter().flat_map(vertex).collect()
    }

    fn numpy_file(header: &str, body: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), body].concat()
    }

    #[test]
    fn points_come_from_every_kind_of_file() {
        assert_eq!(ply(&ply_file("ascii", b"255 0.5 -1 2\n3 1e-3 7.0 0.25\n")).unwrap(), POINTS);
        assert_eq!(ply(&ply_file("binary_little_endian", &binary_body())).unwrap(), POINTS);
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n";
        assert_eq!(numpy(&numpy_file(header, bytemuck::cast_slice(&POINTS))).unwrap(), POINTS);
        let doubles = POINTS.map(|point| point.map(f64::from));
        let header = header.replace("f4", "f8");
        assert_eq!(numpy(&numpy_file(&header, bytemuck::cast_slice(&doubles))).unwrap(), POINTS);
    }

    #[test]
    fn files_that_are_none_are_refused_with_the_reason() {
        let cut = &binary_body()[..20];
        for (found, says) in [
            (ply(b"solid cube"), "not a PLY file"),
            (ply(b"ply\nformat ascii 1.0\n"), "header does not end"),
            (ply(&ply_file("binary_big_endian", b"")), "its PLY format is binary_big_endian"),
            (ply(&ply_file("binary_little_endian", cut)), "truncated: its header announces 2 points, but 1 are there"),
            (ply(&ply_file("ascii", b"1 2 3 4\n")), "truncated: its header announces 2 points, but 1 are there"),
            (ply(&ply_file("ascii", b"1 2 3 4\n1 2 x 4\n")), "vertex 1 is `1 2 x 4`"),
            (ply(b"ply\nformat ascii 1.0\nelement face 3\nend_header\n"), "its first PLY element is face"),
            (ply(b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n"), "no property x"),
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
