//! Wavefront OBJ: `v` and `f` lines; all other lines are irrelevant for a surface and are ignored.

use super::raw::{Raw, Read};
use crate::text::as_utf8;

pub fn read(bytes: &[u8]) -> Read<Raw> {
    let bytes = as_utf8(bytes);
    let mut mesh = Raw::default();
    let mut polygon = Vec::new();
    let mut joined = String::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        // A backslash at the end of a line continues it on the next one.
        if let Some(begun) = line.trim_end().strip_suffix('\\') {
            joined += begun;
            joined.push(' ');
            continue;
        }
        joined += &line;
        let mut words = joined.split_whitespace();
        match words.next() {
            Some("v") => mesh.vertices.push(vertex(words, number + 1)?),
            Some("f") => {
                polygon.clear();
                for word in words {
                    polygon.push(corner(word, mesh.vertices.len(), number + 1)?);
                }
                if polygon.len() < 3 {
                    return Err(format!(
                        "line {} has a face of {} corners, but 3 are the fewest",
                        number + 1,
                        polygon.len()
                    ));
                }
                mesh.polygons.push(polygon.iter().copied());
            }
            _ => {}
        }
        joined.clear();
    }
    Ok(mesh)
}

fn vertex<'a>(mut words: impl Iterator<Item = &'a str>, line: usize) -> Read<[f64; 3]> {
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok());
    match (number(), number(), number()) {
        (Some(x), Some(y), Some(z)) => Ok([x, y, z]),
        _ => Err(format!(
            "line {line} has a vertex without three numbers; a file that was cut off must be fetched again"
        )),
    }
}

/// Returns the vertex that a corner such as `7`, `7/2/1` or `-1` refers to; negative numbers count back from the
/// newest.
fn corner(word: &str, n: usize, line: usize) -> Read<u32> {
    let number = word.split('/').next().and_then(|number| number.parse::<i64>().ok());
    let Some(number) = number else {
        return Err(format!("line {line} has a face with the corner `{word}`, but numbers of vertices are expected"));
    };
    let index = if number < 0 { n as i64 + number } else { number - 1 };
    match usize::try_from(index) {
        Ok(index) if index < n && index < u32::MAX as usize => Ok(index as u32),
        _ => Err(format!(
            "line {line} has a face with vertex {number}, but {n} vertices stand above it; export it again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_negative_numbers_and_continued_lines_are_read() {
        let text = b"# a square and a triangle\no thing\nv 0 0 0\nv 1 0 0 1.0\r\nv 1 1 0 0.5 0.5 0.5\nv 0 1 \\\n0\n\
                     vn 0 0 1\nf 1//1 2//1 3//1 4//1\nl 1 2 3\nf -1 -4/7 -3/1/1";
        let mesh = read(text).and_then(|raw| raw.checked(None)).unwrap();
        assert_eq!(mesh.vertices, [[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]);
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3], [3, 0, 1]]);
    }

    #[test]
    fn concave_polygons_are_split_within_their_outline() {
        // A dart in both orders. Its first corner does not see the third.
        let text = b"v 0 0 0\nv 4 0 0\nv 1 1 0\nv 0 4 0\nf 2 3 4 1\nf 4 3 2 1\n";
        let mesh = read(text).and_then(|raw| raw.checked(None)).unwrap();
        assert_eq!(mesh.triangles.len(), 4);
        assert_eq!(mesh.area(), 8.0, "each of the two faces has an area of 4");
    }

    #[test]
    fn broken_files_are_refused_with_the_line() {
        for (text, says) in [
            ("v 0 0 0\nv 1 0", "line 2 has a vertex without three numbers"),
            ("v 0 0 x\n", "line 1 has a vertex"),
            ("v 0 0 0\nf 1 1", "line 2 has a face of 2 corners"),
            ("v 0 0 0\nf 1 1 2", "line 2 has a face with vertex 2, but 1 vertices stand above it"),
            ("v 0 0 0\nf 1 1 0", "with vertex 0"),
            ("v 0 0 0\nf 1 1 -2", "with vertex -2"),
            ("v 0 0 0\nf 1 1 99999999999999999999", "the corner `99999999999999999999`"),
            ("v 0 0 0\nf a b c", "the corner `a`"),
        ] {
            let refusal = read(text.as_bytes()).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
