//! STL, binary and ASCII. Since binary files may also begin with `solid`, the file's length and its second line tell
//! which of the two it is. Keywords may be in capitals, names in any encoding, and other bytes may stand behind the
//! last facet.

use super::raw::{Raw, Read};
use crate::text::as_utf8;

const HEADER: usize = 84;
const FACET: usize = 50;

pub fn read(bytes: &[u8]) -> Read<Raw> {
    let announced =
        bytes.get(80..HEADER).map(|count| u32::from_le_bytes(count.try_into().expect("four bytes")) as usize);
    let is_whole = announced.is_some_and(|n| n * FACET + HEADER == bytes.len());
    let as_text = as_utf8(bytes);
    if !is_whole && is_text(&as_text) { text(&as_text) } else { binary(bytes, announced) }
}

/// Returns whether the file begins with `solid` and its next line with a word that an ASCII file has there.
fn is_text(bytes: &[u8]) -> bool {
    let begun = bytes.trim_ascii_start();
    if !begun.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"solid")) {
        return false;
    }
    let mut lines = begun.split(|&byte| byte == b'\n').skip(1).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.next().map_or(!bytes.contains(&0), |line| {
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_ascii_lowercase();
        [&b"facet"[..], b"endsolid", b"end"].contains(&&word[..])
    })
}

fn binary(bytes: &[u8], announced: Option<usize>) -> Read<Raw> {
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
    let number = |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes")));
    let corner = |bytes: &[u8]| [number(&bytes[..4]), number(&bytes[4..8]), number(&bytes[8..])];
    // A facet is its normal, three corners and two attribute bytes.
    let vertices = facets.flat_map(|facet| facet[12..48].chunks_exact(12).map(corner)).collect();
    Ok(soup(vertices))
}

fn text(bytes: &[u8]) -> Read<Raw> {
    let mut vertices = Vec::new();
    let mut ended = false;
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        let mut words = line.split_whitespace();
        // Some programs write `end facet` and `end solid` as two words.
        let word = match words.next() {
            Some("end") => format!("end{}", words.next().unwrap_or_default()),
            word => word.unwrap_or_default().to_owned(),
        };
        match word.as_str() {
            "vertex" => {
                let mut number_of = || words.next().and_then(|word| word.parse::<f64>().ok());
                let (Some(x), Some(y), Some(z)) = (number_of(), number_of(), number_of()) else {
                    return Err(format!("line {} has a vertex without three numbers; fetch it again", number + 1));
                };
                vertices.push([x, y, z]);
            }
            "endfacet" if vertices.len() % 3 != 0 => {
                return Err(format!("line {} ends a facet that has not three corners", number + 1));
            }
            "endsolid" => ended = true,
            "solid" | "facet" => ended = false,
            _ => {}
        }
    }
    if ended {
        Ok(soup(vertices))
    } else {
        Err("truncated: it does not end with `endsolid`; fetch it again".to_owned())
    }
}

/// Makes a triangle from every three vertices.
fn soup(vertices: Vec<[f64; 3]>) -> Raw {
    let triangles = (0..vertices.len() as u32 / 3).map(|i| [3 * i, 3 * i + 1, 3 * i + 2]).collect();
    Raw { vertices, triangles, ..Raw::default() }
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
    fn what_programs_make_of_the_format_is_read() {
        let expected = soup(vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]);
        let whole = format!("{TEXT}endsolid\n");
        let latin_1 = [b"solid K\xf6rper\r\n", &whole.as_bytes()[6..]].concat();
        let behind = [&whole[..], "\n\u{1a}\0\0"].concat();
        for text in [
            whole.to_uppercase().into_bytes(),
            whole.replace("endsolid", "end solid a").replace("endfacet", "end facet").into_bytes(),
            latin_1,
            behind.into_bytes(),
            format!("\u{feff}{whole}").into_bytes(),
        ] {
            assert_eq!(read(&text).unwrap(), expected, "{}", String::from_utf8_lossy(&text));
        }
        assert_eq!(read(&[binary_file(1), vec![1, 2]].concat()).unwrap(), expected, "bytes behind a binary file");
        assert!(read(whole.to_uppercase().replace("ENDSOLID", "").as_bytes()).unwrap_err().contains("truncated"));
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
