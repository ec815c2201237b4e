//! JSON values that record the file, frame and key they came from, so that every error message can name them.

use crate::geometry::pose;
use crate::{Error, Result, text};
use serde_json::Value;
use std::path::Path;

/// Reads the JSON document in `file`. Python writes NaN and Infinity, which JSON does not have. They are read as
/// strings, so that the error message can name the key that holds one.
pub(super) fn read(file: &Path) -> Result<Value> {
    let text = text::read(file).map_err(|e| Error::file(file, format!("cannot be read: {e}")))?;
    let parsed = serde_json::from_str(&text).or_else(|_| serde_json::from_str(&quote_non_finite(&text)));
    parsed.map_err(|e| {
        let what = match e.is_eof() {
            true => format!("ends too early ({e}): the file is truncated; copy or export it again"),
            false => format!("is not valid JSON: {e}; correct or export it again"),
        };
        Error::file(file, what)
    })
}

/// Tolerance for the last row of a matrix: exporters round, but a transposed or projective matrix is far off.
const LAST_ROW_TOLERANCE: f64 = 1e-3;

/// Returns whether these numbers are the last row of an affine 4×4 matrix.
pub(super) fn is_last_row(row: &[f64; 4]) -> bool {
    row.iter().zip([0.0, 0.0, 0.0, 1.0]).all(|(found, expected)| (found - expected).abs() <= LAST_ROW_TOLERANCE)
}

const NON_FINITE: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

fn quote_non_finite(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped, mut rest) = (false, false, text);
    while let Some(next) = rest.chars().next() {
        let word = NON_FINITE.iter().find(|word| !in_string && rest.starts_with(**word));
        if let Some(word) = word {
            quoted.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        in_string ^= next == '"' && !escaped;
        escaped = next == '\\' && !escaped;
        quoted.push(next);
        rest = &rest[next.len_utf8()..];
    }
    quoted
}

/// A value and its location.
#[derive(Clone)]
pub(super) struct Node<'a> {
    file: &'a Path,
    /// Name of the frame in messages, for example `frame 3 (./train/r_3)`; empty outside the frames.
    frame: String,
    /// Path of the value within the file or frame, for example `transform_matrix[0][2]`; empty at its root.
    key: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub fn root(file: &'a Path, value: &'a Value) -> Self {
        Self { file, frame: String::new(), key: String::new(), value }
    }

    /// Returns the same value, called `frame` in messages, with keys relative to it.
    pub fn named(self, frame: String) -> Self {
        Self { frame, key: String::new(), ..self }
    }

    /// Returns the field `key` if this is an object that has it and it is not null.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        let key = if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) };
        Some(Self { file: self.file, frame: self.frame.clone(), key, value })
    }

    /// Returns the field `key`, which must exist.
    pub fn require(&self, key: &str, meaning: &str) -> Result<Node<'a>> {
        if !self.value.is_object() {
            return Err(self.wrong_kind("an object"));
        }
        self.get(key).ok_or_else(|| self.error(format!("has no {key:?} ({meaning})")))
    }

    /// Returns the elements of an array.
    pub fn items(&self) -> Result<Vec<Node<'a>>> {
        let items = self.value.as_array().ok_or_else(|| self.wrong_kind("an array"))?;
        let node = |(i, value)| Self { key: format!("{}[{i}]", self.key), value, ..self.clone() };
        Ok(items.iter().enumerate().map(node).collect())
    }

    /// Returns whether this is an array without elements.
    pub fn is_empty(&self) -> bool {
        self.value.as_array().is_some_and(Vec::is_empty)
    }

    pub fn is_array(&self) -> bool {
        self.value.is_array()
    }

    pub fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong_kind("a string"))
    }

    pub fn flag(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong_kind("true or false"))
    }

    /// Returns a number that is finite in single precision. It may stand in quotes, as some programs write numbers.
    pub fn number(&self) -> Result<f64> {
        match self.value {
            Value::Number(number) => number
                .as_f64()
                .filter(|number| (*number as f32).is_finite())
                .ok_or_else(|| self.error(format!("is {number}, which is too large; a finite number is needed"))),
            Value::String(word) if NON_FINITE.contains(&word.as_str()) => {
                Err(self.error(format!("is {word}; a finite number is needed")))
            }
            Value::String(text) => match text.trim().parse::<f64>() {
                Ok(number) if (number as f32).is_finite() => Ok(number),
                Ok(_) => Err(self.error(format!("is {text:?}; a finite number is needed"))),
                Err(_) => Err(self.wrong_kind("a number")),
            },
            _ => Err(self.wrong_kind("a number")),
        }
    }

    /// Returns a number above 0.
    pub fn positive(&self) -> Result<f64> {
        match self.number()? {
            number if number > 0.0 => Ok(number),
            number => Err(self.error(format!("is {number}; it must be above 0"))),
        }
    }

    /// Returns exactly `N` numbers.
    pub fn numbers<const N: usize>(&self) -> Result<[f64; N]> {
        let items = self.items()?;
        let numbers = items.iter().map(Node::number).collect::<Result<Vec<_>>>()?;
        let found = numbers.len();
        numbers.try_into().map_err(|_| self.error(format!("has {found} numbers, expected {N}")))
    }

    /// Returns the first three rows of a 4×4 matrix, whose last row may be left out.
    pub fn matrix(&self) -> Result<[[f64; 4]; 3]> {
        let rows = self.items()?;
        if rows.len() != 3 && rows.len() != 4 {
            return Err(self.error(format!("has {} rows, expected a 4×4 matrix", rows.len())));
        }
        let rows = rows.iter().map(Node::numbers::<4>).collect::<Result<Vec<_>>>()?;
        if let Some(last) = rows.get(3).filter(|row| !is_last_row(row)) {
            let what = format!("has the last row {last:?}, expected [0, 0, 0, 1]; export the camera again");
            return Err(self.error(what));
        }
        Ok([rows[0], rows[1], rows[2]])
    }

    /// Returns the name of the file, without its folder.
    pub fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns whether the value switches something off: null, false, 0, something empty, or a list or object of only
    /// such values.
    pub fn is_off(&self) -> bool {
        is_off(self.value)
    }

    /// Returns an error about this value. `what` continues the sentence that the key begins, for example "is missing".
    pub fn error(&self, what: impl AsRef<str>) -> Error {
        let place = match (self.frame.as_str(), self.key.as_str()) {
            ("", "") => String::new(),
            (place, "") | ("", place) => format!("{place} "),
            (frame, key) => format!("{frame}: {key} "),
        };
        Error::file(self.file, format!("{place}{}", what.as_ref()))
    }

    fn wrong_kind(&self, expected: &str) -> Error {
        self.error(format!("is {}, expected {expected}", describe(self.value)))
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_off),
        Value::Object(fields) => fields.values().all(is_off),
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.len() <= 40 => format!("the string {text:?}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Returns the first three rows of the camera-to-world matrix in `node`, or an error if its rotation part is singular.
pub(super) fn checked_pose(node: &Node, rows: [[f64; 4]; 3]) -> Result<[[f64; 4]; 3]> {
    if pose::is_singular(&rows) {
        return Err(node.error("is singular: its rotation part has no inverse; export the camera again"));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_numbers_outside_json_become_strings() {
        let text = r#"{"NaN \" NaN": [NaN, -Infinity, Infinity, 1]}"#;
        assert_eq!(quote_non_finite(text), r#"{"NaN \" NaN": ["NaN", "-Infinity", "Infinity", 1]}"#);
    }

    #[test]
    fn complaints_name_the_frame_and_key() {
        let value = serde_json::json!({ "rows": [[1.0, "x"]] });
        let node = Node::root(Path::new("a.json"), &value).named("frame 3".to_owned());
        let error = node.get("rows").unwrap().items().unwrap()[0].numbers::<2>().unwrap_err();
        assert_eq!(error.to_string(), "a.json: frame 3: rows[0][1] is the string \"x\", expected a number");
    }

    #[test]
    fn null_counts_as_absent() {
        let value = serde_json::json!({ "w": null });
        assert!(Node::root(Path::new("a.json"), &value).get("w").is_none());
    }
}
