use std::io::{self, Write};

use serde_json::{Value, json};

use super::Surface;
use crate::geometry::is_zero;

/// Bytes of a vertex's position or normal, of its colour (four times 16 bits), and of an index.
const VECTOR: u64 = 12;
const COLOR: u64 = 8;
const INDEX: u64 = 4;
/// Component type codes of glTF.
const FLOAT: u32 = 5126;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;

/// One part of the binary chunk: its size in bytes, the component type and kind of its items, and their number.
struct Part {
    bytes: u64,
    component: u32,
    kind: &'static str,
    count: usize,
}

impl Surface<'_> {
    /// Returns the size of the binary chunk in bytes.
    pub(super) fn glb_bytes(&self) -> u64 {
        self.parts().iter().map(|(_, part)| part.bytes).sum()
    }

    /// Returns those of positions, normals, colours and indices that the surface has.
    fn parts(&self) -> Vec<(&'static str, Part)> {
        let n = self.mesh.vertices.len();
        let vector = || Part { bytes: VECTOR * n as u64, component: FLOAT, kind: "VEC3", count: n };
        let mut parts = vec![("POSITION", vector())];
        if self.normals.is_some() {
            parts.push(("NORMAL", vector()));
        }
        if self.colors.is_some() {
            parts
                .push(("COLOR_0", Part { bytes: COLOR * n as u64, component: UNSIGNED_SHORT, kind: "VEC4", count: n }));
        }
        let corners = 3 * self.mesh.triangles.len();
        parts.push((
            "",
            Part { bytes: INDEX * corners as u64, component: UNSIGNED_INT, kind: "SCALAR", count: corners },
        ));
        parts
    }

    /// Writes binary glTF 2.0: a header, a JSON chunk and a binary chunk.
    pub(super) fn write_glb(&self, file: &mut dyn Write) -> io::Result<()> {
        let mut text = serde_json::to_vec(&self.document())?;
        text.resize(text.len().next_multiple_of(4), b' ');
        let bytes = self.glb_bytes();
        let whole = 12 + 8 + text.len() as u64 + 8 + bytes;
        for number in [u32::from_le_bytes(*b"glTF"), 2, whole as u32, text.len() as u32, u32::from_le_bytes(*b"JSON")] {
            file.write_all(&number.to_le_bytes())?;
        }
        file.write_all(&text)?;
        file.write_all(&(bytes as u32).to_le_bytes())?;
        file.write_all(b"BIN\0")?;
        for number in self.mesh.vertices.iter().chain(self.normals.unwrap_or(&[])).flatten() {
            file.write_all(&number.to_le_bytes())?;
        }
        for color in self.colors.unwrap_or(&[]) {
            for channel in color.iter().map(|&channel| linear(channel)).chain([1.0]) {
                file.write_all(&((channel * 65535.0 + 0.5) as u16).to_le_bytes())?;
            }
        }
        self.mesh.triangles.as_flattened().iter().try_for_each(|vertex| file.write_all(&vertex.to_le_bytes()))
    }

    fn document(&self) -> Value {
        let (mut views, mut accessors, mut attributes) = (Vec::new(), Vec::new(), serde_json::Map::new());
        let mut offset = 0;
        for (name, part) in self.parts() {
            let Part { bytes, component, kind, count } = part;
            let mut accessor =
                json!({"bufferView": views.len(), "componentType": component, "count": count, "type": kind});
            match name {
                "POSITION" => {
                    let (low, high) = self.mesh.bounds();
                    accessor["min"] = json!(low);
                    accessor["max"] = json!(high);
                }
                "COLOR_0" => accessor["normalized"] = json!(true),
                _ => {}
            }
            if !name.is_empty() {
                attributes.insert(name.to_owned(), json!(accessors.len()));
            }
            views.push(json!({"buffer": 0, "byteOffset": offset, "byteLength": bytes}));
            accessors.push(accessor);
            offset += bytes;
        }
        let mut node = json!({"mesh": 0});
        if !is_zero(&self.mesh.origin) {
            // Vertices are in single precision, and a translation is a number in JSON.
            node["translation"] = json!(self.mesh.origin);
        }
        json!({
            "asset": {"version": "2.0", "generator": "gridfield"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [node],
            "meshes": [{"primitives": [{"attributes": attributes, "indices": accessors.len() - 1}]}],
            "buffers": [{"byteLength": offset}],
            "bufferViews": views,
            "accessors": accessors,
        })
    }
}

/// Converts from sRGB to linear, which glTF expects for vertex colours: the inverse of sRGB's transfer function (IEC
/// 61966-2-1).
fn linear(srgb: f32) -> f32 {
    let srgb = srgb.clamp(0.0, 1.0);
    if srgb <= 0.04045 { srgb / 12.92 } else { ((srgb + 0.055) / 1.055).powf(2.4) }
}
