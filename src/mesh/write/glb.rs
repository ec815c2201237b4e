//! Writes binary glTF 2.0 (`.glb`).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Surface;
use crate::geometry::is_zero;
use crate::media::linear;

/// Bytes of a vertex's position or normal, of its colour (four times 16 bits), of its texture coordinates, and of an
/// index.
const VECTOR: u64 = 12;
const COLOR: u64 = 8;
const TEXTURE_COORDINATES: u64 = 8;
const INDEX: u64 = 4;
/// Component type codes of glTF.
const FLOAT: u32 = 5126;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;

/// Codes of a texture's sampler: linear filtering without mipmaps, which would mix triangles; coordinates are clamped
/// to the edge.
const LINEAR: u32 = 9729;
const CLAMP_TO_EDGE: u32 = 33071;
/// Extension for materials that show their texture as it is, without lighting.
const UNLIT: &str = "KHR_materials_unlit";

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
        let image = self.texture.map_or(0, |texture| texture.png.len().next_multiple_of(4));
        self.parts().iter().map(|(_, part)| part.bytes).sum::<u64>() + image as u64
    }

    /// Returns the vertices in the order of the file. With a texture, each triangle has vertices of its own, since its
    /// corners have their own texture coordinates.
    fn order(&self) -> Vec<u32> {
        match self.texture {
            None => (0..self.mesh.vertices.len() as u32).collect(),
            Some(_) => self.mesh.triangles.as_flattened().to_vec(),
        }
    }

    /// Returns the parts that the surface has, of positions, normals, colours, texture coordinates and indices, with
    /// their names in glTF.
    fn parts(&self) -> Vec<(&'static str, Part)> {
        let corners = 3 * self.mesh.triangles.len();
        let n = if self.texture.is_some() { corners } else { self.mesh.vertices.len() };
        let item = |bytes, component, kind| Part { bytes: bytes * n as u64, component, kind, count: n };
        let mut parts = vec![("POSITION", item(VECTOR, FLOAT, "VEC3"))];
        if self.normals.is_some() {
            parts.push(("NORMAL", item(VECTOR, FLOAT, "VEC3")));
        }
        if self.colors.is_some() {
            parts.push(("COLOR_0", item(COLOR, UNSIGNED_SHORT, "VEC4")));
        }
        if self.texture.is_some() {
            parts.push(("TEXCOORD_0", item(TEXTURE_COORDINATES, FLOAT, "VEC2")));
        }
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
        let order = self.order();
        for vectors in [Some(&self.mesh.vertices[..]), self.normals].into_iter().flatten() {
            let mut numbers = order.iter().flat_map(|&vertex| vectors[vertex as usize]);
            numbers.try_for_each(|number| file.write_all(&number.to_le_bytes()))?;
        }
        if let Some(colors) = self.colors {
            for channel in order.iter().flat_map(|&vertex| {
                let [r, g, b] = colors[vertex as usize].map(linear);
                [r, g, b, 1.0]
            }) {
                file.write_all(&((channel * 65535.0 + 0.5) as u16).to_le_bytes())?;
            }
        }
        let Some(texture) = self.texture else {
            let indices = self.mesh.triangles.as_flattened();
            return indices.iter().try_for_each(|vertex| file.write_all(&vertex.to_le_bytes()));
        };
        for number in (0..self.mesh.triangles.len()).flat_map(|triangle| texture.atlas.corners(triangle)).flatten() {
            file.write_all(&number.to_le_bytes())?;
        }
        (0..order.len() as u32).try_for_each(|vertex| file.write_all(&vertex.to_le_bytes()))?;
        file.write_all(&texture.png)?;
        file.write_all(&[0; 3][..texture.png.len().next_multiple_of(4) - texture.png.len()])
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
        let mut document = json!({
            "asset": {"version": "2.0", "generator": "gridfield"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [node],
            "meshes": [{"primitives": [{"attributes": attributes, "indices": accessors.len() - 1}]}],
            "buffers": [{"byteLength": self.glb_bytes()}],
            "bufferViews": views,
            "accessors": accessors,
        });
        if let Some(texture) = self.texture {
            let view = json!({"buffer": 0, "byteOffset": offset, "byteLength": texture.png.len()});
            document["images"] = json!([{"bufferView": views.len(), "mimeType": "image/png"}]);
            views.push(view);
            document["bufferViews"] = json!(views);
            document["samplers"] = json!([{
                "magFilter": LINEAR, "minFilter": LINEAR, "wrapS": CLAMP_TO_EDGE, "wrapT": CLAMP_TO_EDGE
            }]);
            document["textures"] = json!([{"source": 0, "sampler": 0}]);
            document["materials"] = json!([{
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0
                },
                "extensions": {UNLIT: {}},
            }]);
            document["extensionsUsed"] = json!([UNLIT]);
            document["meshes"][0]["primitives"][0]["material"] = json!(0);
        }
        document
    }
}
