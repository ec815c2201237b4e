//! Frames as OpenEXR files: all channels of a view in one file, as 32-bit floats.

use std::io::Cursor;
use std::path::Path;

use exr::prelude::{AnyChannel, AnyChannels, Encoding, FlatSamples, Image, WritableImage as _};

use super::Channel;
use super::frame::{Frame, SURFACE_OPACITY};
use crate::geometry::Camera;
use crate::media::linear;
use crate::{Error, Result};

/// Returns whether frames with these channels are rendered without a background: with alpha, OpenEXR stores
/// premultiplied colours.
pub(super) fn is_over_nothing(channels: &[Channel]) -> bool {
    channels.contains(&Channel::Opacity)
}

/// Returns the content of the file at `path` with channels, each with the frame of its layer: `R`, `G`, `B` (linear), `A`, `Z` (distance along the ray in scene
/// units, infinite where there is no surface), `N.X`, `N.Y`, `N.Z` (scene coordinates), and `occupancy.Z` (distance to the
/// first occupied cell). With `A`, the field must have been rendered over black; colours are then multiplied by `A`.
///
/// # Errors
/// Returns an error that names `path` if the frames cannot be encoded.
pub(super) fn encode(path: &Path, camera: &Camera, frames: &[(Channel, &Frame)]) -> Result<Vec<u8>> {
    let over_nothing = is_over_nothing(&frames.iter().map(|(channel, _)| *channel).collect::<Vec<_>>());
    let size = frames.first().map_or((0, 0), |(_, frame)| (frame.width, frame.height));
    let planes = frames.iter().flat_map(|(channel, frame)| planes(*channel, frame, camera, over_nothing));
    let planes = planes.map(|(name, values)| AnyChannel::new(name, FlatSamples::F32(values))).collect();
    let planes = AnyChannels::sort(planes);
    let mut encoded = Cursor::new(Vec::new());
    Image::from_encoded_channels(size, Encoding::SMALL_LOSSLESS, planes)
        .write()
        .non_parallel()
        .to_buffered(&mut encoded)
        .map_err(|e| Error::file(path, format!("cannot be written ({e})")))?;
    Ok(encoded.into_inner())
}

fn planes(channel: Channel, frame: &Frame, camera: &Camera, over_nothing: bool) -> Vec<(&'static str, Vec<f32>)> {
    let pixels = || frame.opacity.iter().enumerate();
    let of_three = |names: [&'static str; 3], values: &[f32]| {
        (0..3).map(|k| (names[k], values.iter().skip(k).step_by(3).copied().collect())).collect()
    };
    match channel {
        Channel::Rgb => {
            let color = |(pixel, &opacity): (usize, &f32)| {
                let color: [f32; 3] = std::array::from_fn(|k| frame.rgb[3 * pixel + k]);
                match over_nothing {
                    false => color.map(linear),
                    // Colours are composited in sRGB, so the colour is divided by the opacity before it is made linear.
                    true if opacity > 0.0 => color.map(|value| opacity * linear(value / opacity)),
                    true => [0.0; 3],
                }
            };
            of_three(["R", "G", "B"], &pixels().flat_map(color).collect::<Vec<_>>())
        }
        Channel::Opacity => vec![("A", frame.opacity.clone())],
        Channel::Depth | Channel::Occupancy => {
            let name = if channel == Channel::Depth { "Z" } else { "occupancy.Z" };
            let depth = |(pixel, &opacity): (usize, &f32)| match opacity >= SURFACE_OPACITY {
                true => frame.depth[pixel],
                false => f32::INFINITY,
            };
            vec![(name, pixels().map(depth).collect())]
        }
        Channel::Original | Channel::Error => Vec::new(),
        Channel::Normal => of_three(["N.X", "N.Y", "N.Z"], &frame.normals(camera)),
    }
}

#[cfg(test)]
mod tests {
    use exr::prelude::read_first_flat_layer_from_file;

    use super::*;
    use crate::geometry::Intrinsics;

    /// Writes a frame of four pixels, and returns the channels that are in the file.
    fn written(channels: &[Channel]) -> Vec<(String, Vec<f32>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.exr");
        let frame = Frame {
            width: 4,
            height: 1,
            rgb: vec![0.0, 0.5, 1.0, 0.25, 0.2, 0.0, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0],
            depth: vec![2.0, 3.0, 9.0, 0.0],
            opacity: vec![1.0, 0.5, 0.25, 0.0],
        };
        let camera = Camera {
            intrinsics: Intrinsics::from_fov_x(4, 1, 0.8),
            camera_to_world: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 5.0]],
        };
        let frames: Vec<_> = channels.iter().map(|&channel| (channel, &frame)).collect();
        std::fs::write(&path, encode(&path, &camera, &frames).unwrap()).unwrap();
        let image = read_first_flat_layer_from_file(&path).unwrap();
        let list = &image.layer_data.channel_data.list;
        list.iter().map(|plane| (plane.name.to_string(), plane.sample_data.values_as_f32().collect())).collect()
    }

    #[test]
    fn a_view_is_one_file_with_a_plane_for_each_channel() {
        let planes = written(&[Channel::Rgb, Channel::Depth, Channel::Normal, Channel::Occupancy]);
        let names: Vec<&str> = planes.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["B", "G", "N.X", "N.Y", "N.Z", "R", "Z", "occupancy.Z"]);
        let plane = |name: &str| &planes.iter().find(|(other, _)| other == name).unwrap().1;
        assert_eq!(*plane("Z"), [2.0, 3.0, f32::INFINITY, f32::INFINITY]);
        let green = [0.214_041_14, 0.033_104_77, 0.010_022_83, 0.0];
        assert!(plane("G").iter().zip(green).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", plane("G"));
        assert_eq!(plane("B")[0], 1.0);
    }

    #[test]
    fn with_opacity_colours_are_multiplied_by_it_after_they_are_made_linear() {
        let planes = written(&[Channel::Opacity, Channel::Rgb]);
        let [(a, opacity), _, _, (r, red)] = &planes[..] else { panic!("{planes:?}") };
        assert_eq!((&a[..], &r[..], &opacity[..]), ("A", "R", &[1.0, 0.5, 0.25, 0.0][..]));
        // 0.25 over nothing at an opacity of ½ is half of the colour 0.5.
        let expected = [0.0, 0.5 * 0.214_041_14, 0.25 * 0.132_868_32, 0.0];
        assert!(red.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{red:?}");
    }
}
