//! Rendering in bands, so that training can go on between them.

use std::ops::Range;

use super::ViewRequest;
use crate::geometry::{Camera, Intrinsics};
use crate::render::{Frame, Layer, Render, RenderOptions};
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

    /// Returns the fraction of the rows that are rendered.
    pub fn fraction_done(&self) -> f64 {
        self.rows_done as f64 / self.frame.height as f64
    }

    /// Renders the next band of about `pixels` pixels, at least one row, and returns the number of its pixels.
    ///
    /// # Errors
    /// Returns the errors of [`Render::render`].
    pub fn advance(&mut self, renderer: &dyn Render, pixels: usize) -> Result<usize> {
        let width = self.frame.width;
        let rows = (pixels / width).clamp(1, self.frame.height - self.rows_done);
        let split = self.request.split as usize;
        self.draw(renderer, Layer::Original, 0..split.min(width), rows)?;
        self.draw(renderer, self.request.channel.layer(), split.min(width)..width, rows)?;
        self.rows_done += rows;
        Ok(rows * width)
    }

    /// Renders a layer in some columns of the next `rows` rows.
    fn draw(&mut self, renderer: &dyn Render, layer: Layer, columns: Range<usize>, rows: usize) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let ViewRequest { camera, crop, .. } = &self.request;
        let options = RenderOptions { layer, background: self.background, crop: *crop };
        let part = renderer.render(&part_of(camera, &columns, self.rows_done, rows), &options)?;
        for row in 0..rows {
            let (from, n) = (row * part.width, part.width);
            let to = (self.rows_done + row) * self.frame.width + columns.start;
            self.frame.rgb[3 * to..][..3 * n].copy_from_slice(&part.rgb[3 * from..][..3 * n]);
            self.frame.depth[to..][..n].copy_from_slice(&part.depth[from..][..n]);
            self.frame.opacity[to..][..n].copy_from_slice(&part.opacity[from..][..n]);
        }
        Ok(())
    }

    /// Returns the requested channel as 8-bit sRGB, `[h, w, 3]`; black where no band has been rendered.
    pub fn image(&self) -> Vec<u8> {
        self.request.channel.image(&self.frame, &self.request.camera, None)
    }
}

/// Returns the camera that sees only some columns of `rows` rows of the image, from row `first` on.
fn part_of(camera: &Camera, columns: &Range<usize>, first: usize, rows: usize) -> Camera {
    let k = camera.intrinsics;
    let intrinsics = Intrinsics {
        width: columns.len() as u32,
        height: rows as u32,
        cx: k.cx - columns.start as f32,
        cy: k.cy - first as f32,
        ..k
    };
    Camera { intrinsics, ..*camera }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Channel;

    /// Shows the direction of each pixel's ray.
    struct Directions;

    impl Render for Directions {
        fn render(&self, camera: &Camera, options: &RenderOptions) -> Result<Frame> {
            let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
            let pixels = (0..width * height)
                .map(|p| camera.ray((p % width) as f32 + 0.5, (p / width) as f32 + 0.5).1.map(|x| 0.5 + 0.5 * x));
            let n = width * height;
            let rgb = pixels.flat_map(|pixel| [pixel[0], pixel[1], options.background[2]]).collect();
            Ok(Frame { width, height, rgb, depth: vec![1.0; n], opacity: vec![1.0; n] })
        }
    }

    #[test]
    fn bands_join_to_the_whole_frame() {
        let camera_to_world = [[0.8, 0.0, 0.6, 1.0], [0.0, 1.0, 0.0, 2.0], [-0.6, 0.0, 0.8, 3.0]];
        let camera = Camera { intrinsics: Intrinsics::from_fov_y(16, 11, 0.9), camera_to_world };
        let background = Some([0.0, 0.0, 0.25]);
        let request = |split| ViewRequest { camera, channel: Channel::Rgb, background, crop: None, split };
        let whole = Directions.render(&camera, &RenderOptions::field([0.0, 0.0, 0.25])).unwrap();
        for (pixels, split) in [(1, 0), (16, 5), (50, 16), (10_000, 0)] {
            let mut frame = Progressive::new(&request(split), [1.0; 3]).unwrap();
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
