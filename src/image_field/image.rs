//! Images read from files: their values as stored, and as displayed.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::scene::{foreign_format, jpeg_is_complete};
use crate::{Error, Result};

/// Maximum memory for decoding, in bytes; enough for a 16-bit image of 200 megapixels.
const MOST_BYTES: u64 = 4 << 30;
/// Maximum number of pixels, since the device uses 32-bit pixel indices.
const MOST_PIXELS: u64 = 1 << 31;

/// An image, stored row by row from the top.
#[derive(Clone, Debug)]
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha (straight).
    pub n_channels: u32,
    /// Values of the pixels, `[height, width, n_channels]`.
    pub texels: Texels,
}

/// Channel values, `[height, width, n_channels]`.
#[derive(Clone, Debug)]
pub enum Texels {
    /// sRGB, in units of 1/255.
    U8(Vec<u8>),
    /// sRGB, in units of 1/65535.
    U16(Vec<u16>),
    /// Linear, with any range.
    F32(Vec<f32>),
}

impl Texels {
    fn len(&self) -> usize {
        match self {
            Texels::U8(values) => values.len(),
            Texels::U16(values) => values.len(),
            Texels::F32(values) => values.len(),
        }
    }
}

impl Image {
    /// Reads a PNG, JPEG, TIFF, OpenEXR, WebP, BMP, TGA or GIF file with 8 bits, 16 bits or floating point per channel:
    /// grey, grey with alpha, RGB or RGBA. Of several frames, the first is read. The image is turned as its EXIF
    /// orientation says.
    ///
    /// # Errors
    /// Returns an error if the file is missing, truncated or of another type, or if it has no pixels, too many, or
    /// values that are not finite.
    pub fn read(path: &Path) -> Result<Image> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("the image cannot be read ({e})")))?;
        let not_whole = |e: &dyn std::fmt::Display| match foreign_format(&bytes) {
            Some(format) => format!("is {format}, which is not read; convert it to PNG or JPEG"),
            None => {
                format!("is not a whole PNG, JPEG, TIFF, OpenEXR, WebP, BMP, TGA or GIF image ({e}); export it again")
            }
        };
        let mut reader = ImageReader::new(Cursor::new(&bytes))
            .with_guessed_format()
            .map_err(|e| Error::file(path, not_whole(&e)))?;
        // TGA files have nothing at their beginning that tells what they are.
        if reader.format().is_none() && ImageFormat::from_path(path).is_ok_and(|format| format == ImageFormat::Tga) {
            reader.set_format(ImageFormat::Tga);
        }
        if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_is_complete(&bytes) {
            return Err(Error::file(path, "is a truncated JPEG; copy or export the image again"));
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(MOST_BYTES);
        reader.limits(limits.clone());
        let decode = || {
            let mut decoder = reader.into_decoder()?;
            limits.reserve(decoder.total_bytes())?;
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            let mut decoded = DynamicImage::from_decoder(decoder)?;
            decoded.apply_orientation(orientation);
            Ok(decoded)
        };
        let decoded = decode().map_err(|e: ImageError| Error::file(path, not_whole(&e)))?;
        Image::of(decoded).map_err(|what| Error::file(path, what))
    }

    fn of(decoded: DynamicImage) -> std::result::Result<Image, String> {
        let (width, height) = (decoded.width(), decoded.height());
        let (n_channels, texels) = match decoded {
            DynamicImage::ImageLuma8(image) => (1, Texels::U8(image.into_raw())),
            DynamicImage::ImageLumaA8(image) => (2, Texels::U8(image.into_raw())),
            DynamicImage::ImageRgb8(image) => (3, Texels::U8(image.into_raw())),
            DynamicImage::ImageRgba8(image) => (4, Texels::U8(image.into_raw())),
            DynamicImage::ImageLuma16(image) => (1, Texels::U16(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => (2, Texels::U16(image.into_raw())),
            DynamicImage::ImageRgb16(image) => (3, Texels::U16(image.into_raw())),
            DynamicImage::ImageRgba16(image) => (4, Texels::U16(image.into_raw())),
            DynamicImage::ImageRgb32F(image) => (3, Texels::F32(image.into_raw())),
            DynamicImage::ImageRgba32F(image) => (4, Texels::F32(image.into_raw())),
            other => {
                return Err(format!(
                    "has pixels of the kind {:?}, which are not read; export it with 8 or 16 bits or as 32-bit floats",
                    other.color()
                ));
            }
        };
        Image::checked((width, height), n_channels, texels)
    }

    /// Returns the image of `size` (width, height) pixels with these values, `[height, width, n_channels]`.
    ///
    /// # Errors
    /// Returns an error if the image has no pixels or too many, not 1 to 4 channels, another number of values, or a
    /// value that is not finite.
    pub fn new(size: (u32, u32), n_channels: u32, texels: Texels) -> Result<Image> {
        Image::checked(size, n_channels, texels).map_err(|what| Error::config(format!("the image {what}")))
    }

    fn checked((width, height): (u32, u32), n_channels: u32, texels: Texels) -> std::result::Result<Image, String> {
        if width == 0 || height == 0 {
            return Err(format!("is {width}×{height}: it has no pixels; export it again"));
        }
        if u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(format!("is {width}×{height}, but at most {MOST_PIXELS} pixels are possible; reduce it"));
        }
        if !(1..=4).contains(&n_channels) {
            return Err(format!(
                "has {n_channels} channels, but 1 (grey), 2 (with alpha), 3 (RGB) or 4 (RGBA) are possible"
            ));
        }
        let image = Image { width, height, n_channels, texels };
        let (found, expected) = (image.texels.len(), image.n_pixels() * n_channels as usize);
        if found != expected {
            return Err(format!("has {found} values, but {} needs {expected}", image.describe()));
        }
        match image.first_not_finite() {
            None => Ok(image),
            Some(at) => Err(format!(
                "has a pixel at {}, {} that is not a finite number; export it again",
                at % width as usize,
                at / width as usize
            )),
        }
    }

    fn first_not_finite(&self) -> Option<usize> {
        match &self.texels {
            Texels::F32(values) => {
                values.iter().position(|value| !value.is_finite()).map(|at| at / self.n_channels as usize)
            }
            _ => None,
        }
    }

    /// Returns the number of pixels.
    pub(crate) fn n_pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Returns the size in bytes of the pixels as stored here, with which the size of a fitted field is compared.
    pub(super) fn n_bytes(&self) -> usize {
        let n = self.n_pixels() * self.n_channels as usize;
        match &self.texels {
            Texels::U8(_) => n,
            Texels::U16(_) => 2 * n,
            Texels::F32(_) => 4 * n,
        }
    }

    /// Returns whether values are linear with any range. Otherwise they are sRGB in [0, 1].
    pub fn is_hdr(&self) -> bool {
        matches!(self.texels, Texels::F32(_))
    }

    /// Returns the values `[height, width, n_channels]`: sRGB in [0, 1], or linear.
    pub fn values(&self) -> Vec<f32> {
        match &self.texels {
            Texels::U8(texels) => texels.iter().map(|&texel| f32::from(texel) / 255.0).collect(),
            Texels::U16(texels) => texels.iter().map(|&texel| f32::from(texel) / 65535.0).collect(),
            Texels::F32(texels) => texels.clone(),
        }
    }

    /// Returns the channels of one pixel, as [`Image::values`] has them.
    pub(super) fn pixel(&self, x: usize, y: usize) -> impl Iterator<Item = f32> {
        let n = self.n_channels as usize;
        let at = (y * self.width as usize + x) * n;
        (at..at + n).map(|at| match &self.texels {
            Texels::U8(texels) => f32::from(texels[at]) / 255.0,
            Texels::U16(texels) => f32::from(texels[at]) / 65535.0,
            Texels::F32(texels) => texels[at],
        })
    }

    /// Describes size, channels and value type, for example `1008×756 RGB, 8 bit`.
    pub fn describe(&self) -> String {
        let channels = ["grey", "grey with alpha", "RGB", "RGBA"][self.n_channels as usize - 1];
        let depth = match self.texels {
            Texels::U8(_) => "8 bit",
            Texels::U16(_) => "16 bit",
            Texels::F32(_) => "floating point",
        };
        format!("{}×{} {channels}, {depth}", self.width, self.height)
    }
}

/// Converts values `[n, n_channels]` to sRGB `[n, 3]` in [0, 1] for display. Linear values go through the sRGB curve,
/// values out of range are clamped, grey is repeated three times, and alpha is composited over white.
pub(super) fn shown_rgb(values: &[f32], n_channels: u32, is_hdr: bool) -> Vec<f32> {
    let curve = |value: f32| if is_hdr { srgb(value) } else { value.clamp(0.0, 1.0) };
    let n = n_channels as usize;
    let mut rgb = Vec::with_capacity(values.len() / n * 3);
    for pixel in values.chunks_exact(n) {
        let alpha = if n.is_multiple_of(2) { pixel[n - 1].clamp(0.0, 1.0) } else { 1.0 };
        let color = if n < 3 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
        rgb.extend(color.map(|value| alpha * curve(value) + 1.0 - alpha));
    }
    rgb
}

/// Applies the sRGB transfer curve (IEC 61966-2-1) after clamping to [0, 1].
fn srgb(linear: f32) -> f32 {
    let linear = linear.clamp(0.0, 1.0);
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::sideways_jpeg;

    #[test]
    fn images_are_turned_as_exif_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, sideways_jpeg()).unwrap();
        let image = Image::read(&path).unwrap();
        assert_eq!((image.width, image.height, image.n_channels), (16, 32, 3));
        let Texels::U8(values) = image.texels else { panic!("8 bits") };
        let [top, bottom] = [&values[..3], &values[values.len() - 3..]];
        assert!(top[0] > 200 && top[2] < 50, "red: {top:?}");
        assert!(bottom[0] < 50 && bottom[2] > 200, "blue: {bottom:?}");
    }

    #[test]
    fn grey_alpha_and_linear_values_are_shown() {
        assert_eq!(shown_rgb(&[0.25, 2.0], 1, false), [0.25, 0.25, 0.25, 1.0, 1.0, 1.0]);
        assert_eq!(shown_rgb(&[0.5, 0.0], 2, false), [1.0; 3]);
        assert_eq!(shown_rgb(&[0.0, 0.5, 1.0, 0.5], 4, false), [0.5, 0.75, 1.0]);
        let linear = shown_rgb(&[0.0, 0.214_041_14, 1.0], 3, true);
        assert!((linear[1] - 0.5).abs() < 1e-6 && linear[0] == 0.0 && (linear[2] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn arrays_are_images_if_they_have_the_right_size() {
        let image = Image::new((2, 1), 3, Texels::U8(vec![0, 51, 255, 1, 2, 3])).unwrap();
        assert_eq!((image.describe(), image.values()[1]), ("2×1 RGB, 8 bit".to_owned(), 0.2));
        let refused = |size, n, values| Image::new(size, n, Texels::U8(values)).unwrap_err().to_string();
        assert_eq!(refused((2, 1), 3, vec![0; 5]), "the image has 5 values, but 2×1 RGB, 8 bit needs 6");
        assert!(refused((2, 1), 5, vec![0; 10]).contains("has 5 channels"));
        assert!(refused((0, 1), 3, Vec::new()).contains("no pixels"));
    }

    #[test]
    fn pixels_that_are_not_finite_are_named() {
        let mut image = image::Rgb32FImage::new(4, 3);
        image.get_pixel_mut(2, 1).0[1] = f32::NAN;
        let error = Image::of(DynamicImage::ImageRgb32F(image)).unwrap_err();
        assert!(error.starts_with("has a pixel at 2, 1 that is not"), "{error}");
    }
}
