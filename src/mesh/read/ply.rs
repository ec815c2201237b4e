//! PLY (Turk, "The PLY polygon file format", 1994): ASCII, and binary in both byte orders. Reads the coordinates of
//! vertices and the vertex lists of faces; everything else in a file is skipped.

use super::raw::{Polygons, Raw, Read};
use crate::text::as_utf8;

/// Vertex coordinates and faces of a file.
pub struct Ply {
    pub vertices: Vec<[f64; 3]>,
    faces: Polygons,
}

/// Encoding of a file's numbers.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Ascii,
    LittleEndian,
    BigEndian,
}

#[derive(Clone, Copy, PartialEq)]
enum Scalar {
    Signed(usize),
    Unsigned(usize),
    Float,
    Double,
}

enum Property {
    One(String, Scalar),
    List { name: String, count: Scalar, item: Scalar },
}

struct Element {
    name: String,
    count: usize,
    properties: Vec<Property>,
}

/// Reads the mesh of a file.
pub fn read_mesh(bytes: &[u8]) -> Read<Raw> {
    let Ply { vertices, faces } = Ply::read(bytes, true)?;
    Ok(Raw { vertices, polygons: faces, ..Raw::default() })
}

impl Ply {
    /// Reads the vertices of a file and, if `with_faces`, its faces.
    pub fn read(bytes: &[u8], with_faces: bool) -> Read<Ply> {
        const END: &[u8] = b"end_header";
        let bytes = as_utf8(bytes);
        let bytes = &*bytes;
        if !bytes.starts_with(b"ply") {
            return Err("not a PLY file: it does not begin with `ply`".to_owned());
        }
        let end = bytes.windows(END.len()).position(|window| window == END).ok_or("its PLY header does not end")?;
        let header = std::str::from_utf8(&bytes[..end]).map_err(|_| "its PLY header is not text")?;
        let line_end = bytes[end..].iter().position(|&byte| byte == b'\n').ok_or("its PLY header does not end")?;
        let (format, elements) = parse_header(header)?;
        let mut numbers = Numbers { format, left: &bytes[end + line_end + 1..] };
        let mut ply = Ply { vertices: Vec::new(), faces: Polygons::default() };
        let has_vertices = elements.iter().any(|element| element.name == "vertex");
        if !has_vertices {
            return Err("its PLY header announces no vertices".to_owned());
        }
        for element in &elements {
            match element.name.as_str() {
                "vertex" => ply.vertices = numbers.vertices(element)?,
                "face" if with_faces => ply.faces = numbers.faces(element)?,
                _ => numbers.pass(element)?,
            }
            if element.name == "vertex" && !with_faces {
                break;
            }
        }
        Ok(ply)
    }
}

impl Scalar {
    fn parse(name: &str) -> Read<Scalar> {
        Ok(match name {
            "char" | "int8" => Scalar::Signed(1),
            "uchar" | "uint8" => Scalar::Unsigned(1),
            "short" | "int16" => Scalar::Signed(2),
            "ushort" | "uint16" => Scalar::Unsigned(2),
            "int" | "int32" => Scalar::Signed(4),
            "uint" | "uint32" => Scalar::Unsigned(4),
            "float" | "float32" => Scalar::Float,
            "double" | "float64" => Scalar::Double,
            _ => return Err(format!("its header has a property of the type {name}, which PLY has not")),
        })
    }

    fn bytes(self) -> usize {
        match self {
            Scalar::Signed(bytes) | Scalar::Unsigned(bytes) => bytes,
            Scalar::Float => 4,
            Scalar::Double => 8,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Scalar::Float | Scalar::Double)
    }

    /// Decodes the scalar from its bytes, lowest byte first.
    fn value(self, little: [u8; 8]) -> f64 {
        let unsigned = u64::from_le_bytes(little);
        match self {
            Scalar::Unsigned(_) => unsigned as f64,
            Scalar::Signed(bytes) => {
                let above = 64 - 8 * bytes as u32;
                ((unsigned << above) as i64 >> above) as f64
            }
            Scalar::Float => f64::from(f32::from_bits(unsigned as u32)),
            Scalar::Double => f64::from_bits(unsigned),
        }
    }
}

fn parse_header(header: &str) -> Read<(Format, Vec<Element>)> {
    let mut format = None;
    let mut elements: Vec<Element> = Vec::new();
    for line in header.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["format", name, _] => {
                format = Some(match name {
                    "ascii" => Format::Ascii,
                    "binary_little_endian" => Format::LittleEndian,
                    "binary_big_endian" => Format::BigEndian,
                    _ => return Err(format!("its PLY format is {name}, but ascii or a binary one is expected")),
                });
            }
            ["element", name, n] => {
                let count = n.parse().map_err(|_| format!("its PLY header announces {n} of {name}"))?;
                elements.push(Element { name: name.to_owned(), count, properties: Vec::new() });
            }
            ["property", "list", count, item, name] => {
                let (count, item) = (Scalar::parse(count)?, Scalar::parse(item)?);
                let list = Property::List { name: name.to_owned(), count, item };
                elements.last_mut().ok_or("its PLY header has a property before any element")?.properties.push(list);
            }
            ["property", kind, name] => {
                let one = Property::One(name.to_owned(), Scalar::parse(kind)?);
                elements.last_mut().ok_or("its PLY header has a property before any element")?.properties.push(one);
            }
            _ => {}
        }
    }
    Ok((format.ok_or("its PLY header names no format")?, elements))
}

/// Reads the numbers after the header one by one.
struct Numbers<'a> {
    format: Format,
    left: &'a [u8],
}

/// Why no further number can be read.
enum Stop {
    End,
    NoNumber(String),
}

impl Numbers<'_> {
    fn next(&mut self, scalar: Scalar) -> std::result::Result<f64, Stop> {
        if self.format == Format::Ascii {
            return self.next_word();
        }
        let (bytes, left) = self.left.split_at_checked(scalar.bytes()).ok_or(Stop::End)?;
        let mut little = [0; 8];
        little[..bytes.len()].copy_from_slice(bytes);
        if self.format == Format::BigEndian {
            little[..bytes.len()].reverse();
        }
        self.left = left;
        Ok(scalar.value(little))
    }

    fn next_word(&mut self) -> std::result::Result<f64, Stop> {
        let begun = self.left.trim_ascii_start();
        let end = begun.iter().position(u8::is_ascii_whitespace).unwrap_or(begun.len());
        let (word, left) = begun.split_at(end);
        self.left = left;
        if word.is_empty() {
            return Err(Stop::End);
        }
        let text = String::from_utf8_lossy(word);
        text.parse().map_err(|_| Stop::NoNumber(text.into_owned()))
    }

    /// Reads every row of an element. For each property, `take` gets its position, its numbers (one, or a list), and
    /// the row.
    fn rows(&mut self, element: &Element, mut take: impl FnMut(usize, &[f64], usize)) -> Read<()> {
        let mut list = Vec::new();
        for row in 0..element.count {
            for (place, property) in element.properties.iter().enumerate() {
                list.clear();
                let read = match property {
                    Property::One(_, scalar) => self.next(*scalar).map(|number| list.push(number)),
                    Property::List { count, item, .. } => self.list(*count, *item, &mut list),
                };
                read.map_err(|stop| stop.sentence(element, row))?;
                take(place, &list, row);
            }
        }
        Ok(())
    }

    fn list(&mut self, count: Scalar, item: Scalar, list: &mut Vec<f64>) -> std::result::Result<(), Stop> {
        let n = self.next(count)?;
        if !(n >= 0.0 && n.fract() == 0.0) {
            return Err(Stop::NoNumber(format!("a list of {n}")));
        }
        // A list may announce more numbers than memory holds, so memory is taken only for those that are there.
        for _ in 0..n as u64 {
            list.push(self.next(item)?);
        }
        Ok(())
    }

    fn vertices(&mut self, element: &Element) -> Read<Vec<[f64; 3]>> {
        let place = |axis: &str| {
            let is_axis = |property: &Property| matches!(property, Property::One(name, scalar) if name == axis && scalar.is_float());
            element
                .properties
                .iter()
                .position(is_axis)
                .ok_or_else(|| format!("its vertices have no property {axis} of type float or double"))
        };
        let places = [place("x")?, place("y")?, place("z")?];
        let (mut vertices, mut vertex) = (Vec::new(), [0.0; 3]);
        let last = element.properties.len() - 1;
        self.rows(element, |at, numbers, _| {
            if let Some(axis) = places.iter().position(|&place| place == at) {
                vertex[axis] = numbers[0];
            }
            if at == last {
                vertices.push(vertex);
            }
        })?;
        Ok(vertices)
    }

    fn faces(&mut self, element: &Element) -> Read<Polygons> {
        let is_list = |property: &Property| {
            matches!(property, Property::List { name, item, .. }
                if (name == "vertex_indices" || name == "vertex_index") && !item.is_float())
        };
        let Some(place) = element.properties.iter().position(is_list) else {
            return Err("its faces have no list vertex_indices of whole numbers".to_owned());
        };
        let (mut faces, mut wrong) = (Polygons::default(), None);
        self.rows(element, |at, numbers, row| {
            if at == place {
                faces.push(numbers.iter().map(|&number| number as u32));
                // In ASCII, a number that should be an integer may not be one.
                let bad = numbers.iter().find(|&&number| f64::from(number as u32) != number);
                wrong = wrong.or(bad.map(|&number| (row, number)));
            }
        })?;
        match wrong {
            Some((row, number)) => Err(format!("face {row} names vertex {number}, but vertices are counted from 0")),
            None => Ok(faces),
        }
    }

    fn pass(&mut self, element: &Element) -> Read<()> {
        self.rows(element, |_, _, _| ())
    }
}

impl Stop {
    fn sentence(self, element: &Element, row: usize) -> String {
        let (name, count) = (&element.name, element.count);
        let plural = if name == "vertex" { "vertices".to_owned() } else { format!("{name}s") };
        match self {
            Stop::End => {
                format!("truncated: its header announces {count} {plural}, but {row} are there; fetch it again")
            }
            Stop::NoNumber(word) => format!("{name} {row} has `{word}` in it, where a number is expected"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Mesh;

    const VERTICES: [[f32; 3]; 4] = [[0.5, -1.0, 2.0], [1e-3, 7.0, 0.25], [1.0, 1.0, 1.0], [2.0, 2.0, 3.0]];

    fn file(format: &str, body: &[u8]) -> Vec<u8> {
        let header = format!(
            "ply\nformat {format} 1.0\ncomment made by hand\nelement first 1\nproperty list uchar short odd\n\
             element vertex 4\nproperty uchar red\nproperty double x\nproperty float y\nproperty float z\n\
             element face 2\nproperty float weight\nproperty list uchar int vertex_indices\nend_header\n"
        );
        [header.as_bytes(), body].concat()
    }

    fn binary_body(big: bool) -> Vec<u8> {
        let mut body = Vec::new();
        let mut put = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if big {
                bytes.reverse();
            }
            body.extend(bytes);
        };
        put(&[2]);
        put(&(-7i16).to_le_bytes());
        put(&7i16.to_le_bytes());
        for [x, y, z] in VERTICES {
            put(&[7]);
            put(&f64::from(x).to_le_bytes());
            put(&y.to_le_bytes());
            put(&z.to_le_bytes());
        }
        for face in [&[0, 1, 2, 3][..], &[3, 1, 0]] {
            put(&0.5f32.to_le_bytes());
            put(&[face.len() as u8]);
            face.iter().for_each(|vertex: &i32| put(&vertex.to_le_bytes()));
        }
        body
    }

    const ASCII: &str = "1 -7\n7 0.5 -1 2\n7 1e-3 7 0.25\n7 1 1 1\n7 2 2 3\n0.5 4 0 1 2 3\n0.5 3 3 1 0\n";

    #[test]
    fn all_three_formats_are_read() {
        let triangles = vec![[0, 1, 2], [0, 2, 3], [3, 1, 0]];
        let expected = Mesh { vertices: VERTICES.to_vec(), triangles, ..Mesh::default() };
        let read = |file: Vec<u8>| read_mesh(&file).and_then(|raw| raw.checked(None)).unwrap();
        assert_eq!(read(file("ascii", ASCII.as_bytes())), expected);
        assert_eq!(read(file("binary_little_endian", &binary_body(false))), expected);
        assert_eq!(read(file("binary_big_endian", &binary_body(true))), expected);
    }

    #[test]
    fn concave_polygons_are_split_within_their_outline_also_before_their_vertices() {
        let vertices = "element vertex 4\nproperty float x\nproperty float y\nproperty double z\n";
        let faces = "element face 2\nproperty list uchar int vertex_indices\n";
        let (places, corners) = ("0 0 0\n4 0 0\n1 1 0\n0 4 0\n", "4 1 2 3 0\n4 3 2 1 0\n");
        for (header, body) in [
            ([vertices, faces].concat(), [places, corners].concat()),
            ([faces, vertices].concat(), [corners, places].concat()),
        ] {
            let file = format!("ply\nformat ascii 1.0\n{header}end_header\n{body}");
            let mesh = read_mesh(file.as_bytes()).and_then(|raw| raw.checked(None)).unwrap();
            assert_eq!((mesh.triangles.len(), mesh.area()), (4, 8.0));
        }
    }

    #[test]
    fn broken_files_are_refused_with_the_reason() {
        let body = binary_body(false);
        let ascii = |from: &str, to: &str| file("ascii", ASCII.replace(from, to).as_bytes());
        for (file, says) in [
            (b"solid".to_vec(), "not a PLY file"),
            (b"ply\nformat ascii 1.0\n".to_vec(), "its PLY header does not end"),
            (b"ply\nelement vertex 1\nproperty float x\nend_header\n".to_vec(), "names no format"),
            (b"ply\nformat ascii 1.0\nelement face 0\nend_header\n".to_vec(), "announces no vertices"),
            (file("binary_middle_endian", &body), "its PLY format is binary_middle_endian"),
            (file("binary_little_endian", &body[..body.len() - 1]), "announces 2 faces, but 1 are there"),
            (file("binary_little_endian", &body[..30]), "announces 4 vertices, but 1 are there"),
            (ascii("1e-3", "x"), "vertex 1 has `x` in it"),
            (ascii("3 3 1 0", "3 -3 1 0"), "face 1 names vertex -3"),
            (ascii("4 0 1 2 3", "-4 0 1 2 3"), "face 0 has `a list of -4`"),
            (ascii("3 3 1 0", "99999999999999 3 1 0"), "announces 2 faces, but 1 are there"),
            (b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n".to_vec(), "no property x"),
            (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty long x\nend_header\n".to_vec(), "the type long"),
        ] {
            let refusal = read_mesh(&file).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
