//! Text files as programs on other systems write them: with a byte order mark, or in UTF-16.

use std::borrow::Cow;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Reads a text file. A byte order mark is skipped, and text that begins with that of UTF-16 is converted.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path)?;
    let text = String::from_utf8(as_utf8(&bytes).into_owned());
    text.map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 or UTF-16 text"))
}

/// Returns the bytes of a text without its byte order mark, converted to UTF-8 if the mark is that of UTF-16. Bytes
/// without a mark are returned as they are.
pub(crate) fn as_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let convert = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        Cow::Owned(String::from_utf16_lossy(&units).into_bytes())
    };
    match bytes {
        [0xEF, 0xBB, 0xBF, text @ ..] => Cow::Borrowed(text),
        [0xFF, 0xFE, text @ ..] => convert(text, u16::from_le_bytes),
        [0xFE, 0xFF, text @ ..] => convert(text, u16::from_be_bytes),
        _ => Cow::Borrowed(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_skipped_and_utf_16_is_converted() {
        let text = "{\"ä\": 1}";
        let little: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes(), format!("\u{feff}{text}").as_bytes(), &little, &big] {
            assert_eq!(&*as_utf8(bytes), text.as_bytes());
        }
        assert_eq!(&*as_utf8(b""), b"");
    }
}
