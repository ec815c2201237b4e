//! Rendering in bands, so that training can go on between them.

use super::ViewRequest;
use crate::geometry::{Camera, Intrinsics};
use crate::render::{Frame, Render};
use crate::{Error, Result};

/// A frame that is rendered band by band, from the top.
#[derive(Clone, Debug)]
pub struct Progressive {
    request: ViewRequest,
    background: [f32; 3],
    frame: Frame,
    rows_done: usize,
}

impl Progressive {
    /// Begins the frame of a request; `background` (sRGB) is used if the request names none.
    ///
    /// # Errors
    /// Returns an error for a camera with a lens: bands are parts of the image plane, and viewers have no lens.
    pub fn new(request: &ViewRequest, background: [f32; 3]) -> Result<Progressive> {
        let Intrinsics { width, height, lens, .. } = request.camera.intrinsics;
        if lens != crate::geometry::Lens::Perspective {
            return Err(Error::config("a viewer's camera has no lens"));
        }
        let (width, height) = (width as usize, height as usize);
        let n = width * height;
        Ok(Progressive {
            request: *request,
            background: request.background.unwrap_or(background),
            frame: Frame { width, height, rgb: vec![0.0; 3 * n], depth: vec![0.0; n], opacity: vec![0.0; n] },
            rows_done: 0,
        })
    }

    /// Returns whether all bands are rendered.
    pub fn is_complete(&self) -> bool {
        self.rows_done == self.frame.height
    }

    /// Renders the next band of about `pixels` pixels, at least one row, and returns the number of its pixels.
    ///
    /// # Errors
    /// Returns the errors of [`Render::render`].
    pub fn advance(&mut self, renderer: &dyn Render, pixels: usize) -> Result<usize> {
        let width = self.frame.width;
        let rows = (pixels / width).clamp(1, self.frame.height - self.rows_done);
        let band = renderer.render(&band_of(&self.request.camera, self.rows_done, rows), self.background)?;
        let (first, n) = (self.rows_done * width, rows * width);
        self.frame.rgb[3 * first..][..3 * n].copy_from_slice(&band.rgb);
        self.frame.depth[first..][..n].copy_from_slice(&band.depth);
        self.frame.opacity[first..][..n].copy_from_slice(&band.opacity);
        self.rows_done += rows;
        Ok(n)
    }

    /// Returns the requested channel as 8-bit sRGB, `[h, w, 3]`; black where no band has been rendered.
    pub fn image(&self) -> Vec<u8> {
        self.request.channel.image(&self.frame, &self.request.camera, None)
    }
}

/// Returns the camera that sees only `rows` rows of the image, from row `first` on.
fn band_of(camera: &Camera, first: usize, rows: usize) -> Camera {
    let intrinsics = Intrinsics { height: rows as u32, cy: camera.intrinsics.cy - first as f32, ..camera.intrinsics };
    Camera { intrinsics, ..*camera }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Channel;

    /// Shows the direction of each pixel's ray.
    struct Directions;

    impl Render for Directions {
        fn render(&self, camera: &Camera, background: [f32; 3]) -> Result<Frame> {
            let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
            let pixels = (0..width * height)
                .map(|p| camera.ray((p % width) as f32 + 0.5, (p / width) as f32 + 0.5).1.map(|x| 0.5 + 0.5 * x));
            let n = width * height;
            let rgb = pixels.flat_map(|pixel| [pixel[0], pixel[1], background[2]]).collect();
            Ok(Frame { width, height, rgb, depth: vec![1.0; n], opacity: vec![1.0; n] })
        }
    }

    #[test]
    fn bands_join_to_the_whole_frame() {
        let camera_to_world = [[0.8, 0.0, 0.6, 1.0], [0.0, 1.0, 0.0, 2.0], [-0.6, 0.0, 0.8, 3.0]];
        let camera = Camera { intrinsics: Intrinsics::from_fov_y(16, 11, 0.9), camera_to_world };
        let request = ViewRequest { camera, channel: Channel::Rgb, background: Some([0.0, 0.0, 0.25]) };
        let whole = Directions.render(&camera, [0.0, 0.0, 0.25]).unwrap();
        for pixels in [1, 16, 50, 10_000] {
            let mut frame = Progressive::new(&request, [1.0; 3]).unwrap();
            let mut n = 0;
            while !frame.is_complete() {
                n += frame.advance(&Directions, pixels).unwrap();
            }
            assert_eq!(n, 16 * 11);
            let rounded = |a: &[f32]| a.iter().map(|x| (x * 1e5).round() as i64).collect::<Vec<_>>();
            assert_eq!(rounded(&frame.frame.rgb), rounded(&whole.rgb), "{pixels}");
            assert_eq!(frame.image().len(), 3 * 16 * 11);
        }
    }
}
