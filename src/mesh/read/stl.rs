//! STL, binary and ASCII. The file's length tells which of the two it is, since binary files may also begin with
//! `solid`.

use super::Read;
use crate::mesh::Mesh;

const HEADER: usize = 84;
const FACET: usize = 50;

pub fn read(bytes: &[u8]) -> Read<Mesh> {
    let announced =
        bytes.get(80..HEADER).map(|count| u32::from_le_bytes(count.try_into().expect("four bytes")) as usize);
    let is_whole = announced.is_some_and(|n| n * FACET + HEADER == bytes.len());
    if !is_whole && bytes.trim_ascii_start().starts_with(b"solid") { text(bytes) } else { binary(bytes, announced) }
}

fn binary(bytes: &[u8], announced: Option<usize>) -> Read<Mesh> {
    let Some(announced) = announced else {
        return Err(
            "not an STL file: neither does it begin with `solid` nor is it as long as a binary header".to_owned()
        );
    };
    let facets = bytes[HEADER..].chunks_exact(FACET).take(announced);
    if facets.len() < announced {
        let found = facets.len();
        return Err(format!(
            "truncated: its header announces {announced} facets, but {found} are there; fetch it again"
        ));
    }
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let corner = |bytes: &[u8]| [number(&bytes[..4]), number(&bytes[4..8]), number(&bytes[8..])];
    // A facet is its normal, three corners and two attribute bytes.
    let vertices = facets.flat_map(|facet| facet[12..48].chunks_exact(12).map(corner)).collect();
    Ok(soup(vertices))
}

fn text(bytes: &[u8]) -> Read<Mesh> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "begins with `solid`, but is neither text nor a whole binary STL file")?;
    let mut vertices = Vec::new();
    let mut ended = false;
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("vertex") => {
                let mut number_of = || words.next().and_then(|word| word.parse::<f32>().ok());
                let (Some(x), Some(y), Some(z)) = (number_of(), number_of(), number_of()) else {
                    return Err(format!("line {} has a vertex without three numbers; fetch it again", number + 1));
                };
                vertices.push([x, y, z]);
            }
            Some("endfacet") if vertices.len() % 3 != 0 => {
                return Err(format!("line {} ends a facet that has not three corners", number + 1));
            }
            word => ended = word == Some("endsolid") || (ended && word.is_none()),
        }
    }
    if ended {
        Ok(soup(vertices))
    } else {
        Err("truncated: it does not end with `endsolid`; fetch it again".to_owned())
    }
}

/// Makes a triangle from every three vertices.
fn soup(vertices: Vec<[f32; 3]>) -> Mesh {
    let triangles = (0..vertices.len() as u32 / 3).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
    Mesh { vertices, triangles }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "solid\nfacet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex 1 0 0\n  vertex 0 1 0.5\n endloop\nendfacet\n";

    fn binary_file(announced: u32) -> Vec<u8> {
        let mut file = b"solid, as some write here".to_vec();
        file.resize(80, b' ');
        file.extend(announced.to_le_bytes());
        for number in [0.0f32, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.5] {
            file.extend(number.to_le_bytes());
        }
        file.extend([0, 0]);
        file
    }

    #[test]
    fn both_kinds_are_read() {
        let expected = soup(vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]);
        assert_eq!(read(format!("{TEXT}endsolid\n").as_bytes()).unwrap(), expected);
        assert_eq!(read(&binary_file(1)).unwrap(), expected);
    }

    #[test]
    fn broken_files_are_refused_with_the_reason() {
        let mut other = binary_file(2);
        other[0] = 0;
        for (file, says) in [
            (TEXT.as_bytes().to_vec(), "truncated: it does not end with `endsolid`"),
            (TEXT.replace("1 0 0", "1 0").into_bytes(), "line 5 has a vertex without three numbers"),
            (TEXT.replace("  vertex 1 0 0\n", "").into_bytes(), "ends a facet that has not three corners"),
            (other, "announces 2 facets, but 1 are there"),
            (b"PK".to_vec(), "not an STL file"),
        ] {
            let refusal = read(&file).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
