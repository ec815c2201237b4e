//! NumPy arrays (`.npy`: magic, version, length of the header, a Python literal, the numbers), and archives of them
//! (`.npz`: a zip file of such arrays).

/// Reason why a file was refused; the caller adds its name.
type Refusal = String;

/// An array of floating-point numbers in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    /// Values row by row, as many as the shape says.
    pub values: Vec<f64>,
}

const EXPECTED: &str = "an array of <f4 or <f8 in C order is expected";

/// Parses the array in `bytes`. Memory use is proportional to the length of `bytes`, whatever the header
/// says.
///
/// # Errors
/// Returns an error if this is not a NumPy file, if it holds numbers of another type or order, or if it is truncated.
pub fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    let Some(version) = bytes.strip_prefix(b"\x93NUMPY") else {
        return Err("not a NumPy file: it does not begin with \\x93NUMPY".to_owned());
    };
    let short = || "truncated: its NumPy header does not end; fetch it again".to_owned();
    let (begin, length): (usize, usize) = match version {
        [1, _, a, b, ..] => (4, usize::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d, ..] => (6, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        [] | [1..=3, ..] => return Err(short()),
        [other, ..] => {
            return Err(format!("a NumPy file of version {other}, which is not known; save it with np.save"));
        }
    };
    let header = version.get(begin..begin.saturating_add(length)).ok_or_else(short)?;
    let body = &version[begin + length..];
    let header: String = String::from_utf8_lossy(header).split_whitespace().collect();
    let other = || format!("its NumPy header is {}, but {EXPECTED}", shown(&header));
    let width = [("'descr':'<f4'", 4), ("'descr':'<f8'", 8)].into_iter().find(|(name, _)| header.contains(name));
    let (_, width) = width.filter(|_| header.contains("'fortran_order':False")).ok_or_else(other)?;
    let shape = shape(&header).ok_or_else(other)?;
    let announced = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let announced = announced.ok_or_else(other)?;
    let number = |bytes: &[u8]| match bytes.try_into() {
        Ok(double) => f64::from_le_bytes(double),
        Err(_) => f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes where not eight"))),
    };
    let values: Vec<f64> = body.chunks_exact(width).take(announced).map(number).collect();
    match values.len() {
        found if found < announced => Err(format!(
            "truncated: its header announces an array of {shape:?}, which is {announced} numbers, but {found} are \
             there; fetch it again"
        )),
        _ => Ok(Array { shape, values }),
    }
}

/// Parses the numbers of `'shape':(20,17)`.
fn shape(header: &str) -> Option<Vec<usize>> {
    let (shape, _) = header.split_once("'shape':(")?.1.split_once(')')?;
    shape.split(',').filter(|side| !side.is_empty()).map(|side| side.parse().ok()).collect()
}

/// Truncates the header for an error message, since an invalid header may be long.
fn shown(header: &str) -> String {
    const MOST: usize = 120;
    match header.chars().count() {
        0..=MOST => header.to_owned(),
        _ => header.chars().take(MOST).chain(['…']).collect(),
    }
}

/// An array to write.
#[cfg(feature = "export")]
pub struct Entry<'a> {
    /// Name in the archive, without an extension.
    pub name: &'a str,
    /// NumPy's name of the type of the numbers, such as `<f4`.
    pub descr: &'a str,
    pub shape: &'a [usize],
    /// The numbers in C order and little-endian.
    pub numbers: &'a [u8],
}

/// Writes an archive, not compressed as with `np.savez`, completely or not at all.
///
/// # Errors
/// Returns an error if the file cannot be written.
#[cfg(feature = "export")]
pub fn write_npz(path: &std::path::Path, entries: &[Entry]) -> crate::Result<()> {
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    crate::atomic::write(path, |file| {
        let mut archive = ZipWriter::new_stream(file);
        for entry in entries {
            let is_large = entry.numbers.len() as u64 + MOST_HEADER > u64::from(u32::MAX);
            let options = SimpleFileOptions::default();
            let options = options.compression_method(CompressionMethod::Stored).large_file(is_large);
            archive.start_file(format!("{}.npy", entry.name), options)?;
            archive.write_all(&head(entry.descr, entry.shape))?;
            archive.write_all(entry.numbers)?;
        }
        archive.finish()?;
        Ok(())
    })
}

/// Maximum length of a header in bytes.
#[cfg(feature = "export")]
const MOST_HEADER: u64 = 1 << 16;

/// Returns what precedes the numbers: version 1.0, padded so that they begin at a multiple of 64 bytes.
pub fn head(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A tuple of one number ends in a comma.
    let (sides, comma) = (sides.join(", "), if shape.len() == 1 { "," } else { "" });
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}{comma}), }}");
    let before = b"\x93NUMPY\x01\x00".len() + 2;
    let length = (before + text.len() + 1).next_multiple_of(64) - before;
    text += &" ".repeat(length - text.len() - 1);
    text.push('\n');
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "export")]
    #[test]
    fn what_is_written_is_read_again() {
        let values: Vec<f32> = (0..24).map(|x| x as f32 / 3.0).collect();
        for shape in [&[24][..], &[2, 3, 4], &[1, 24]] {
            let head = head("<f4", shape);
            assert!(head.len().is_multiple_of(64) && head.ends_with(b"\n"));
            let read = parse(&[&head[..], bytemuck::cast_slice(&values)].concat()).unwrap();
            assert_eq!(read.shape, shape);
            assert!(read.values.iter().zip(&values).all(|(a, b)| *a == f64::from(*b)));
        }
    }

    fn file(header: &str, body: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), body].concat()
    }

    fn header(descr: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}          \n")
    }

    #[test]
    fn both_widths_are_read_with_their_shape() {
        let values = [0.5, -1.0, 2.0, 1e-3, 7.0, 0.25];
        let doubles = parse(&file(&header("<f8", "False", "2, 3"), bytemuck::cast_slice(&values))).unwrap();
        assert_eq!(doubles, Array { shape: vec![2, 3], values: values.to_vec() });
        let singles = values.map(|x| x as f32);
        let singles = parse(&file(&header("<f4", "False", "6,"), bytemuck::cast_slice(&singles))).unwrap();
        assert_eq!((singles.shape, singles.values[4]), (vec![6], 7.0));
    }

    #[test]
    fn what_is_no_such_array_is_refused_with_the_reason() {
        for (bytes, says) in [
            (b"PK".to_vec(), "not a NumPy file"),
            (b"\x93NUMPY".to_vec(), "truncated: its NumPy header does not end"),
            (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "truncated: its NumPy header does not end"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec(), "truncated: its NumPy header does not end"),
            (b"\x93NUMPY\x07\x00".to_vec(), "of version 7"),
            (file(&header("<i4", "False", "2, 3"), &[0; 24]), "'<i4'"),
            (file(&header("<f4", "True", "2, 3"), &[0; 24]), "C order"),
            (file(&header("<f4", "False", "x"), &[0; 24]), "an array of"),
            (file(&header("<f8", "False", "18446744073709551615, 3"), &[0; 24]), "an array of"),
            (file(&header("<f8", "False", "9999999999999, 3"), &[0; 24]), "29999999999997 numbers, but 3 are there"),
        ] {
            let refusal = parse(&bytes).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
