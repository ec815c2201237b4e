//! glTF 2.0, as text with its buffers in separate files or embedded, and binary (GLB): the triangles of the default
//! scene, transformed by its nodes.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gltf::Glb;
use gltf::accessor::{DataType, Dimensions};
use gltf::buffer::Source;
use gltf::mesh::Mode;
use gltf::{Accessor, Document, Gltf, Node, Primitive, Semantic};
use nalgebra::{Matrix4, Point3, Quaternion, Translation3, UnitQuaternion, Vector3};
use serde_json::Value;

use super::raw::{Raw, Read, no_vertex};
use crate::geometry::is_zero;
use crate::names;
use crate::text::as_utf8;

/// Length of the GLB header, whose last four bytes are the length of the file.
const GLB_HEADER: u32 = 12;

pub fn read(bytes: &[u8], path: &Path) -> Read<Raw> {
    let length = bytes.get(8..12).map(|length| u32::from_le_bytes(length.try_into().expect("four bytes")));
    if bytes.starts_with(b"glTF") && length.is_none_or(|length| length < GLB_HEADER || length as usize > bytes.len()) {
        return Err("truncated: it is shorter than its GLB header says; fetch it again".to_owned());
    }
    let unreadable = |e: gltf::Error| format!("not a glTF file that can be read ({e})");
    let (json, blob) = if bytes.starts_with(b"glTF") {
        let glb = Glb::from_slice(bytes).map_err(unreadable)?;
        (glb.json, glb.bin.map(Cow::into_owned))
    } else {
        (as_utf8(bytes), None)
    };
    let json = geometry_of(&json)?;
    let Gltf { document, .. } = Gltf::from_slice(&json).map_err(unreadable)?;
    let buffers = buffers(&document, blob, path.parent().unwrap_or(Path::new("")))?;
    let mesh = placed(&document, &buffers, |node| {
        Matrix4::from_fn(|row, column| f64::from(node.transform().matrix()[column][row]))
    })?;
    if is_zero(&mesh.origin()) {
        return Ok(mesh);
    }
    // The transforms of a mesh far from its origin do not fit single precision, in which `gltf` has them.
    let root: Value = serde_json::from_slice(&json).map_err(|e| e.to_string())?;
    placed(&document, &buffers, |node| transform(&root["nodes"][node.index()]))
}

/// Returns the transform of a node from its JSON, whose lists of numbers have the right lengths.
fn transform(node: &Value) -> Matrix4<f64> {
    let numbers = |key: &str| -> Option<Vec<f64>> { node[key].as_array()?.iter().map(Value::as_f64).collect() };
    if let Some(matrix) = numbers("matrix") {
        return Matrix4::from_column_slice(&matrix);
    }
    let vector = |key, usual: f64| numbers(key).map_or(Vector3::repeat(usual), |v| Vector3::from_column_slice(&v));
    let rotation = numbers("rotation").map_or(UnitQuaternion::identity(), |q| {
        UnitQuaternion::from_quaternion(Quaternion::new(q[3], q[0], q[1], q[2]))
    });
    let translation = Translation3::from(vector("translation", 0.0));
    translation.to_homogeneous() * rotation.to_homogeneous() * Matrix4::new_nonuniform_scaling(&vector("scale", 1.0))
}

/// Returns the triangles of the default scene, with the transform of each node given by `transform`.
fn placed(document: &Document, buffers: &[Vec<u8>], transform: impl Fn(&Node) -> Matrix4<f64>) -> Read<Raw> {
    let scene = document.default_scene().or_else(|| document.scenes().next());
    let roots: Vec<Node> = match &scene {
        Some(scene) => scene.nodes().collect(),
        None => return Err("has no scene, so that nothing says where its meshes are".to_owned()),
    };
    let mut mesh = Raw::default();
    let mut seen = vec![false; document.nodes().len()];
    let mut left: Vec<(Node, Matrix4<f64>)> = roots.into_iter().map(|node| (node, Matrix4::identity())).collect();
    while let Some((node, parent)) = left.pop() {
        if std::mem::replace(&mut seen[node.index()], true) {
            return Err(format!("node {} has two parents, which glTF does not allow; export it again", node.index()));
        }
        let to_scene = parent * transform(&node);
        for primitive in node.mesh().iter().flat_map(|mesh| mesh.primitives()) {
            append(&mut mesh, &primitive, &to_scene, buffers)?;
        }
        left.extend(node.children().map(|child| (child, to_scene)));
    }
    Ok(mesh)
}

/// Extensions that encode geometry and are not supported.
const REFUSED: [&str; 5] = [
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
    "KHR_mesh_quantization",
    "EXT_mesh_gpu_instancing",
];

/// Returns the JSON without what does not affect the surface, such as materials and textures, so that their extensions
/// need not be supported.
///
/// # Errors
/// Returns an error that names the extension if one is required that encodes geometry.
fn geometry_of(json: &[u8]) -> Read<Vec<u8>> {
    let not_json = |e| format!("not a glTF file that can be read ({e})");
    let mut root: Value = serde_json::from_slice(json).map_err(not_json)?;
    let required = root.get("extensionsRequired").and_then(Value::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(name) = required.iter().find(|name| REFUSED.contains(name)) {
        return Err(format!("needs the extension {name}, which is not supported; export it without this extension"));
    }
    let without = |value: &mut Value, keys: &[&str]| {
        if let Some(object) = value.as_object_mut() {
            keys.iter().for_each(|key| _ = object.shift_remove(*key));
        }
    };
    without(
        &mut root,
        &["extensionsRequired", "extensionsUsed", "materials", "textures", "images", "samplers", "animations"],
    );
    let primitives = elements(&mut root, "meshes").flat_map(|mesh| elements(mesh, "primitives"));
    primitives.for_each(|primitive| without(primitive, &["material"]));
    serde_json::to_vec(&root).map_err(not_json)
}

/// Returns the elements of the array `key` of an object, or nothing if there is no such array.
fn elements<'a>(object: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Returns the bytes of each buffer.
fn buffers(document: &Document, mut blob: Option<Vec<u8>>, folder: &Path) -> Read<Vec<Vec<u8>>> {
    let mut buffers = Vec::new();
    for buffer in document.buffers() {
        let number = buffer.index();
        let bytes = match buffer.source() {
            Source::Bin => blob.take().ok_or_else(|| format!("buffer {number} is missing from the file"))?,
            Source::Uri(uri) => {
                resolve(uri, folder).map_err(|why| format!("buffer {number} cannot be read ({why})"))?
            }
        };
        if bytes.len() < buffer.length() {
            let (found, announced) = (bytes.len(), buffer.length());
            return Err(format!("truncated: buffer {number} has {found} bytes instead of {announced}; fetch it again"));
        }
        buffers.push(bytes);
    }
    Ok(buffers)
}

fn resolve(uri: &str, folder: &Path) -> Read<Vec<u8>> {
    if let Some(data) = uri.strip_prefix("data:") {
        let (_, text) = data.split_once(";base64,").ok_or("a data URI that is not base64")?;
        return STANDARD.decode(text).map_err(|e| e.to_string());
    }
    if uri.contains("://") {
        return Err(format!("{uri} is not a file beside it"));
    }
    let name = percent_decoded(uri);
    let file = names::find(folder, &name).unwrap_or_else(|| folder.join(&name));
    std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn append(mesh: &mut Raw, primitive: &Primitive, to_scene: &Matrix4<f64>, buffers: &[Vec<u8>]) -> Read<()> {
    let strip = match primitive.mode() {
        Mode::Triangles => Order::Separate,
        Mode::TriangleStrip => Order::Strip,
        Mode::TriangleFan => Order::Fan,
        Mode::Points | Mode::Lines | Mode::LineLoop | Mode::LineStrip => return Ok(()),
    };
    let positions = primitive.get(&Semantic::Positions).ok_or("has a mesh without positions")?;
    let place = |item: &[u8]| {
        let number = |k: usize| f64::from(f32::from_le_bytes(item[4 * k..4 * k + 4].try_into().expect("four bytes")));
        let point = to_scene.transform_point(&Point3::new(number(0), number(1), number(2)));
        [point.x, point.y, point.z]
    };
    if positions.data_type() != DataType::F32 || positions.dimensions() != Dimensions::Vec3 {
        return Err(
            "has positions that are not three floats, which are not read; export it without compression".to_owned()
        );
    }
    let first = mesh.vertices.len() as u32;
    mesh.vertices.extend(items(&positions, buffers)?.map(place));
    let n = mesh.vertices.len() as u32 - first;
    let corners: Vec<u32> = match primitive.indices() {
        Some(accessor) => items(&accessor, buffers)?.map(|item| little_endian(&item[..accessor.size()])).collect(),
        None => (0..n).collect(),
    };
    if let Some(at) = corners.iter().position(|&vertex| vertex >= n) {
        return Err(no_vertex(at / 3, i64::from(corners[at]), n as usize));
    }
    // A transform that mirrors flips the orientation of triangles.
    let mirrors = to_scene.fixed_view::<3, 3>(0, 0).determinant() < 0.0;
    let triangles = strip.triangles(&corners).into_iter().map(|[a, b, c]| if mirrors { [a, c, b] } else { [a, b, c] });
    mesh.triangles.extend(triangles.map(|triangle| triangle.map(|vertex| first + vertex)));
    Ok(())
}

/// How corners form triangles.
enum Order {
    Separate,
    Strip,
    Fan,
}

impl Order {
    fn triangles(&self, corners: &[u32]) -> Vec<[u32; 3]> {
        match self {
            Order::Separate => corners.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect(),
            // Every second triangle of a strip has the opposite orientation.
            Order::Strip => {
                let turned = |(i, c): (usize, &[u32])| if i % 2 == 0 { [c[0], c[1], c[2]] } else { [c[1], c[0], c[2]] };
                corners.windows(3).enumerate().map(turned).collect()
            }
            Order::Fan => corners.windows(2).skip(1).map(|pair| [corners[0], pair[0], pair[1]]).collect(),
        }
    }
}

/// Returns the items of an accessor, each as its bytes.
fn items<'b>(accessor: &Accessor, buffers: &'b [Vec<u8>]) -> Read<impl Iterator<Item = &'b [u8]>> {
    let number = accessor.index();
    if accessor.sparse().is_some() {
        return Err(format!("accessor {number} is sparse, which is not read; export it without sparse accessors"));
    }
    let view = accessor.view().ok_or_else(|| format!("accessor {number} has no data"))?;
    let (size, count) = (accessor.size(), accessor.count());
    let stride = view.stride().unwrap_or(size).max(1);
    let begin = view.offset().checked_add(accessor.offset());
    let length = count.saturating_sub(1).checked_mul(stride).and_then(|length| length.checked_add(size));
    let range = begin.zip(length).and_then(|(begin, length)| Some(begin..begin.checked_add(length)?));
    let bytes = range.filter(|_| count > 0).and_then(|range| buffers[view.buffer().index()].get(range));
    let bytes =
        bytes.ok_or_else(|| format!("accessor {number} reaches past the end of its buffer; export it again"))?;
    Ok((0..count).map(move |i| &bytes[i * stride..i * stride + size]))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(buffer: &str, length: usize) -> String {
        format!(
            r#"{{"asset": {{"version": "2.0"}}, "scene": 0, "scenes": [{{"nodes": [0]}}],
            "nodes": [{{"children": [1], "scale": [-1, 1, 1]}}, {{"mesh": 0, "translation": [10, 0, 0]}}],
            "meshes": [{{"primitives": [{{"attributes": {{"POSITION": 0}}, "indices": 1}}, {{"attributes": {{"POSITION": 0}}, "mode": 1}}]}}],
            "buffers": [{{"byteLength": {length}, "uri": "{buffer}"}}],
            "bufferViews": [{{"buffer": 0, "byteOffset": 0, "byteLength": 36}}, {{"buffer": 0, "byteOffset": 36, "byteLength": 6}}],
            "accessors": [
                {{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 1]}},
                {{"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"}}]}}"#
        )
    }

    fn buffer(last: u16) -> Vec<u8> {
        let numbers = [0.0f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
        let indices = [0u16, 1, last];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend(indices.iter().flat_map(|index| index.to_le_bytes()));
        bytes
    }

    fn inline(bytes: &[u8]) -> String {
        format!("data:application/octet-stream;base64,{}", STANDARD.encode(bytes))
    }

    #[test]
    fn buffers_within_and_beside_the_file_are_read_where_nodes_put_them() {
        // x is moved by 10, then mirrored, which flips the triangle.
        let expected = Raw {
            vertices: vec![[-10.0, 0.0, 0.0], [-11.0, 0.0, 0.0], [-10.0, 1.0, 1.0]],
            triangles: vec![[0, 2, 1]],
            ..Raw::default()
        };
        let within = document(&inline(&buffer(2)), 42);
        assert_eq!(read(within.as_bytes(), Path::new("a.gltf")).unwrap(), expected);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("the buffer.bin"), buffer(2)).unwrap();
        let beside = document("the%20buffer.bin", 42);
        assert_eq!(read(beside.as_bytes(), &folder.path().join("a.gltf")).unwrap(), expected);
    }

    #[test]
    fn extensions_that_do_not_touch_the_surface_are_passed_over() {
        let with = |extension: &str| {
            let more = format!(
                r#"{{"extensionsUsed": ["{extension}"], "extensionsRequired": ["{extension}"], "materials": [{{}}],
                "textures": [{{"extensions": {{"KHR_texture_basisu": {{"source": 0}}}}}}], "asset""#
            );
            let text = document(&inline(&buffer(2)), 42).replacen("{\"asset\"", &more, 1);
            let text = text.replacen("\"indices\": 1", "\"indices\": 1, \"material\": 0", 1);
            read(format!("\u{feff}{text}").as_bytes(), Path::new("a.gltf"))
        };
        for extension in ["KHR_materials_unlit", "KHR_texture_transform", "KHR_texture_basisu", "EXT_unheard_of"] {
            assert_eq!(with(extension).unwrap().triangles, [[0, 2, 1]], "{extension}");
        }
        for extension in REFUSED {
            assert!(with(extension).unwrap_err().contains(&format!("needs the extension {extension}")));
        }
    }

    #[test]
    fn transforms_far_from_the_origin_are_read_in_double_precision() {
        let far = |moved: &str| {
            let text = document(&inline(&buffer(2)), 42).replacen("\"translation\": [10, 0, 0]", moved, 1);
            read(text.as_bytes(), Path::new("a.gltf")).unwrap()
        };
        let apart = |mesh: &Raw, expected: [[f64; 3]; 3]| {
            let pairs = mesh.vertices.as_flattened().iter().zip(expected.into_iter().flatten());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let expected = [[-5121946.513, 3.25, 0.0], [-5121947.513, 3.25, 0.0], [-5121946.513, 4.25, 1.0]];
        let matrix = "\"matrix\": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5121946.513, 3.25, 0, 1]";
        for moved in ["\"translation\": [5121946.513, 3.25, 0], \"rotation\": [0, 0, 0, 1]", matrix] {
            assert!(apart(&far(moved), expected) < 1e-8, "{:?}", far(moved).vertices);
            assert_eq!(far(moved).triangles, [[0, 2, 1]]);
        }
        // A half turn about y, and half the size.
        let turned =
            far("\"rotation\": [0, 1, 0, 0], \"scale\": [0.5, 0.5, 0.5], \"translation\": [5121946.513, 3.25, 0]");
        let expected = [[-5121946.513, 3.25, 0.0], [-5121946.013, 3.25, 0.0], [-5121946.513, 3.75, -0.5]];
        assert!(apart(&turned, expected) < 1e-8, "{:?}", turned.vertices);
    }

    #[test]
    fn strips_keep_their_side() {
        assert_eq!(Order::Strip.triangles(&[0, 1, 2, 3]), [[0, 1, 2], [2, 1, 3]]);
        assert_eq!(Order::Fan.triangles(&[0, 1, 2, 3]), [[0, 1, 2], [0, 2, 3]]);
    }

    #[test]
    fn broken_files_are_refused_with_the_reason() {
        let good = document(&inline(&buffer(2)), 42);
        let glb = |length: u32| [b"glTF", &2u32.to_le_bytes()[..], &length.to_le_bytes()[..]].concat();
        for (file, says) in [
            (b"{".to_vec(), "not a glTF file that can be read"),
            (glb(4), "truncated: it is shorter than its GLB header says"),
            (glb(400), "truncated: it is shorter than its GLB header says"),
            (b"glTF".to_vec(), "truncated"),
            (document(&inline(&buffer(3)), 42).into_bytes(), "face 0 names vertex 3, but there are 3 vertices"),
            (document(&inline(&buffer(2)[..40]), 42).into_bytes(), "buffer 0 has 40 bytes instead of 42"),
            (document("absent.bin", 42).into_bytes(), "buffer 0 cannot be read (absent.bin:"),
            (document("https://a.b/c.bin", 42).into_bytes(), "is not a file beside it"),
            (document("%ff%", 42).into_bytes(), "buffer 0 cannot be read"),
            (document("data:;base64,!", 42).into_bytes(), "buffer 0 cannot be read"),
            (
                good.replace("\"byteOffset\": 36", "\"byteOffset\": 18446744073709551615").into_bytes(),
                "accessor 1 reaches past",
            ),
            (
                good.replace("\"count\": 3, \"type\": \"SC", "\"count\": 4, \"type\": \"SC").into_bytes(),
                "accessor 1 reaches past",
            ),
            (good.replace("[1], \"scale\"", "[1, 1], \"scale\"").into_bytes(), "node 1 has two parents"),
            (good.replace("\"children\": [1]", "\"children\": [0, 1]").into_bytes(), "has two parents"),
            (good.replace("\"scene\": 0, \"scenes\": [{\"nodes\": [0]}],", "").into_bytes(), "has no scene"),
            (good.replace("5126", "5121").into_bytes(), "has positions that are not three floats"),
        ] {
            let refusal = read(&file, Path::new("a.gltf")).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
