//! Renders a field along a camera path to videos or numbered frames.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::channel::{Channel, surface_depths};
use super::{Frame, Layer, Render, RenderOptions, exr};
use crate::geometry::Camera;
use crate::media::{self, Pixels, VideoWriter};
use crate::ranks::{Parts, Ranks, digest};
use crate::scene::CameraPath;
use crate::{Error, Result, atomic, names};

/// The share of the frames that this process renders: part `index` of `count`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of this part, from 1 to `count`.
    pub index: usize,
    /// Number of parts.
    pub count: usize,
}

/// Where a video is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An `.mp4` file.
    Video(PathBuf),
    /// A `.png` file per frame and channel, or an `.exr` file per frame; written as a file name pattern, or as a folder
    /// for `.png` files: one that exists, or a name that ends with a separator.
    Frames(FramePattern),
}

/// A path whose file name contains one printf-style `%d` or `%04d` for the frame number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramePattern {
    folder: PathBuf,
    before: String,
    digits: usize,
    /// The part of the name after the number, without the extension.
    after: String,
    format: FrameFormat,
}

/// File format of numbered frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameFormat {
    /// 8-bit pictures of one channel each.
    Png,
    /// Floating-point files with all channels.
    Exr,
}

/// A camera path and the channels to render along it.
pub struct Video<'a> {
    renderer: &'a dyn Render,
    path: &'a CameraPath,
    background: [f32; 3],
    channels: Vec<Channel>,
    /// Nearest and farthest distance in the colour scale of the depth channel, the same for all frames.
    depth_range: (f32, f32),
    ranks: Ranks,
}

/// The depth range is measured on this many evenly spaced frames, rendered at this height in pixels.
const PROBES: usize = 8;
const PROBE_HEIGHT: u32 = 64;

impl<'a> Video<'a> {
    /// Creates a video of what `renderer` shows over `background` (sRGB) along `path`.
    ///
    /// # Errors
    /// Returns an error if the field does not have one of the channels, or if rendering fails: frames are rendered to
    /// measure the depth range.
    pub fn new(
        renderer: &'a dyn Render,
        path: &'a CameraPath,
        background: [f32; 3],
        channels: &[Channel],
    ) -> Result<Self> {
        let (depth_range, ranks) = ((0.0, 1.0), Ranks::alone());
        let mut video = Video { renderer, path, background, channels: Vec::new(), depth_range, ranks };
        for &channel in channels {
            renderer.check(channel)?;
            if !video.channels.contains(&channel) {
                video.channels.push(channel);
            }
        }
        if video.channels.contains(&Channel::Depth) {
            video.depth_range = video.measure_depths()?;
        }
        Ok(video)
    }

    /// Shares the frames among `ranks`, which render the same field: rank r renders frames r, r + N, … of those that are
    /// to be written, and rank 0 writes all. All ranks must then call [`Video::write`] together.
    ///
    /// # Errors
    /// Returns an error on all ranks if they have not the same path, background and channels.
    pub fn among(mut self, ranks: &Ranks) -> Result<Self> {
        if !ranks.is_alone() {
            let size = self.path.frames[0].intrinsics;
            let all = format!("{:?} {:?} {:?} {:?}", self.path, self.background, self.channels, self.depth_range);
            let (n, hash) = (self.path.frames.len(), digest(all.as_bytes()));
            ranks.agree("video", &format_args!("{n} frames of {}×{}, {hash:016x}", size.width, size.height))?;
        }
        self.ranks = ranks.clone();
        Ok(self)
    }

    /// Returns the output files: for each channel a video or a pattern of frames, or one pattern if each frame's file
    /// has all channels.
    pub fn files(&self, destination: &Destination) -> Vec<PathBuf> {
        let path = |&channel: &Channel| match destination {
            Destination::Video(path) => self.video_path(channel, path),
            Destination::Frames(pattern) => self.pattern(channel, pattern).path(),
        };
        let mut files: Vec<PathBuf> = self.channels.iter().map(path).collect();
        files.dedup();
        files
    }

    /// Returns a note if the frames have an odd side, so that the video's size differs from theirs.
    pub fn note(&self, destination: &Destination) -> Option<String> {
        let size = self.path.frames[0].intrinsics;
        let (width, height) = media::video_size(size.width, size.height);
        let is_changed = (width, height) != (size.width, size.height) && matches!(destination, Destination::Video(_));
        is_changed.then(|| {
            let sides = match (width == size.width, height == size.height) {
                (false, false) => "last column and row are",
                (false, true) => "last column is",
                _ => "last row is",
            };
            format!(
                "videos need an even width and height, so the {sides} repeated: {}×{} becomes {width}×{height}; choose \
                 --width and --height to avoid it",
                size.width, size.height
            )
        })
    }

    /// Returns the number of frames to write.
    pub fn n_frames(&self, shard: Option<Shard>) -> usize {
        (0..self.path.frames.len()).filter(|&number| is_held(shard, number)).count()
    }

    /// Renders the video to `destination`. For numbered frames with a `shard`, renders the shard's frames that do not
    /// exist yet. Returns false if `stop` was set before the end: a video is then not written, while frames written so
    /// far are kept. Creates missing folders, and calls `progress` with the number of finished frames.
    ///
    /// [Among](Video::among) several ranks, `stop` counts on rank 0, which alone writes and calls `progress`.
    ///
    /// # Errors
    /// Returns an error for a shard of a video, or if rendering fails or a file cannot be written. If rendering fails on
    /// one of several ranks, or if their destinations or shards differ, all return an error; if writing fails, rank 0
    /// does, while the others wait for it.
    pub fn write(
        &self,
        destination: &Destination,
        shard: Option<Shard>,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(usize),
    ) -> Result<bool> {
        self.agree_on(destination, shard)?;
        match (destination, shard) {
            (Destination::Video(path), None) => match self.write_videos(path, stop, progress) {
                // The signal that set `stop` may have ended an encoder first; that is not a failure. Other ranks would
                // wait for a next round: they end with an error.
                Err(_) if stop.load(Ordering::Relaxed) && self.ranks.is_alone() => Ok(false),
                written => written,
            },
            (Destination::Video(_), Some(_)) => Err(Error::config(
                "shards of a video cannot be joined; render frames, with --output such as frames/%04d.png",
            )),
            (Destination::Frames(pattern), _) => self.write_frames(pattern, shard, stop, progress),
        }
    }

    /// Checks that all ranks write the same files. The folders may differ: those of rank 0 count.
    fn agree_on(&self, destination: &Destination, shard: Option<Shard>) -> Result<()> {
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names = self.files(destination).iter().map(name).collect::<Vec<_>>().join(" and ");
        let part = shard.map(|Shard { index, count }| format!(", shard {index}/{count}")).unwrap_or_default();
        self.ranks.agree("output", &format_args!("{names}{part}"))
    }

    fn write_videos(&self, path: &Path, stop: &AtomicBool, progress: &mut dyn FnMut(usize)) -> Result<bool> {
        let mut videos = if self.ranks.leads() { self.open_videos(path)? } else { Vec::new() };
        let numbers: Vec<usize> = (0..self.path.frames.len()).collect();
        let make = |&number: &usize| {
            let camera = &self.path.frames[number];
            let layers = self.layers(camera, self.background)?;
            let image = |&channel: &Channel| channel.image(layers.of(channel), camera, Some(self.depth_range));
            Ok(self.channels.iter().map(image).collect())
        };
        let take = |&number: &usize, images: Parts| {
            videos.iter_mut().zip(&images).try_for_each(|(video, image)| video.push(image))?;
            progress(number + 1);
            Ok(())
        };
        if !self.ranks.share(&numbers, stop, make, take)? {
            return Ok(false);
        }
        videos.into_iter().try_for_each(VideoWriter::finish)?;
        Ok(true)
    }

    /// Starts a video for each channel.
    fn open_videos(&self, path: &Path) -> Result<Vec<VideoWriter>> {
        atomic::make_folder_of(path)?;
        let size = self.path.frames[0].intrinsics;
        let open = |&channel: &Channel| {
            VideoWriter::create(self.video_path(channel, path), size.width, size.height, self.path.fps)
        };
        self.channels.iter().map(open).collect()
    }

    fn write_frames(
        &self,
        pattern: &FramePattern,
        shard: Option<Shard>,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(usize),
    ) -> Result<bool> {
        if self.ranks.leads() {
            atomic::make_folder_of(&pattern.path())?;
        }
        let numbers: Vec<usize> = (0..self.path.frames.len()).filter(|&number| is_held(shard, number)).collect();
        let is_there =
            |&number: &usize| shard.is_some() && self.frame_files(pattern, number).iter().all(|f| f.is_file());
        // Rank 0 says which frames exist: the others may not see its folder.
        let mut are_there: Vec<u32> = numbers.iter().map(|number| u32::from(is_there(number))).collect();
        self.ranks.of_leader(&mut are_there);
        let missing: Vec<usize> =
            numbers.iter().zip(&are_there).filter(|(_, is_there)| **is_there == 0).map(|(number, _)| *number).collect();
        let mut done = numbers.len() - missing.len();
        progress(done);
        let make = |&number: &usize| match pattern.format {
            FrameFormat::Png => self.encode_frame(pattern, number),
            FrameFormat::Exr => self.encode_exr_frame(pattern, number),
        };
        let take = |&number: &usize, contents: Parts| {
            let files = self.frame_files(pattern, number);
            let mut pairs = files.iter().zip(&contents);
            pairs.try_for_each(|(file, content)| atomic::write(file, |file| file.write_all(content)))?;
            done += 1;
            progress(done);
            Ok(())
        };
        self.ranks.share(&missing, stop, make, take)
    }

    /// Returns the files of a frame: one for each channel, or one for all.
    fn frame_files(&self, pattern: &FramePattern, number: usize) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            self.channels.iter().map(|&channel| self.pattern(channel, pattern).file(number)).collect();
        files.dedup();
        files
    }

    /// Returns the contents of a frame's files.
    fn encode_frame(&self, pattern: &FramePattern, number: usize) -> Result<Parts> {
        let camera = &self.path.frames[number];
        let layers = self.layers(camera, self.background)?;
        let encode = |(&channel, file): (&Channel, PathBuf)| {
            let frame = layers.of(channel);
            let image = channel.image(frame, camera, Some(self.depth_range));
            media::content_of_png(&file, frame.width as u32, frame.height as u32, Pixels::Rgb8(&image))
        };
        self.channels.iter().zip(self.frame_files(pattern, number)).map(encode).collect()
    }

    /// Returns the content of the one file of a frame.
    fn encode_exr_frame(&self, pattern: &FramePattern, number: usize) -> Result<Parts> {
        let camera = &self.path.frames[number];
        let background = if exr::is_over_nothing(&self.channels) { [0.0; 3] } else { self.background };
        let layers = self.layers(camera, background)?;
        let frames: Vec<_> = self.channels.iter().map(|&channel| (channel, layers.of(channel))).collect();
        Ok(vec![exr::encode(&pattern.file(number), camera, &frames)?])
    }

    /// Renders what the channels need.
    fn layers(&self, camera: &Camera, background: [f32; 3]) -> Result<Layers> {
        let mut layers = Layers(Vec::new());
        for layer in self.channels.iter().map(|channel| channel.layer()) {
            if layers.0.iter().all(|(other, _)| *other != layer) {
                layers.0.push((layer, self.render(camera, layer, background)?));
            }
        }
        Ok(layers)
    }

    fn render(&self, camera: &Camera, layer: Layer, background: [f32; 3]) -> Result<Frame> {
        self.renderer.render(camera, &RenderOptions { layer, background, crop: self.path.crop })
    }

    /// Returns the path of a channel's video. If there are several channels, their paths differ by a suffix, as in
    /// `video-depth.mp4`.
    fn video_path(&self, channel: Channel, path: &Path) -> PathBuf {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!("{stem}{}.mp4", self.suffix(channel)))
    }

    fn pattern(&self, channel: Channel, pattern: &FramePattern) -> FramePattern {
        let suffix = if pattern.format == FrameFormat::Png { self.suffix(channel) } else { String::new() };
        FramePattern { after: format!("{}{suffix}", pattern.after), ..pattern.clone() }
    }

    fn suffix(&self, channel: Channel) -> String {
        if self.channels.len() > 1 { format!("-{}", channel.name()) } else { String::new() }
    }

    fn measure_depths(&self) -> Result<(f32, f32)> {
        let frames = &self.path.frames;
        let mut range = (f32::INFINITY, 0.0f32);
        for camera in frames.iter().step_by(frames.len().div_ceil(PROBES).max(1)) {
            let (width, height) = (camera.intrinsics.width, camera.intrinsics.height);
            let probe = PROBE_HEIGHT.min(height);
            let camera = camera.scaled((u64::from(width) * u64::from(probe) / u64::from(height)).max(1) as u32, probe);
            let depths = surface_depths(&self.render(&camera, Layer::Field, self.background)?);
            for depth in depths.into_iter().filter(|&depth| depth > 0.0) {
                range = (range.0.min(depth), range.1.max(depth));
            }
        }
        Ok(if range.0 <= range.1 { range } else { (0.0, 1.0) })
    }
}

/// A frame of each layer that is needed.
struct Layers(Vec<(Layer, Frame)>);

impl Layers {
    fn of(&self, channel: Channel) -> &Frame {
        let found = self.0.iter().find(|(layer, _)| *layer == channel.layer());
        &found.expect("a frame for each channel").1
    }
}

/// Returns whether frame `number` is to be written; without a shard, all frames are.
fn is_held(shard: Option<Shard>, number: usize) -> bool {
    shard.is_none_or(|shard| shard.holds(number))
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Destination> {
        let path = Path::new(text);
        match names::extension(path).as_str() {
            _ if names::is_folder(text) => Ok(Destination::Frames(FramePattern::within(path))),
            "mp4" if path.file_stem().is_some() => Ok(Destination::Video(path.to_path_buf())),
            "png" => FramePattern::parse(path, FrameFormat::Png).map(Destination::Frames),
            "exr" => FramePattern::parse(path, FrameFormat::Exr).map(Destination::Frames),
            _ => Err(Error::config(
                "expected a video such as orbit.mp4, frames such as frames/%04d.png or frames/%04d.exr, or a folder for frames \
                 such as frames/",
            )),
        }
    }
}

impl FramePattern {
    /// Returns the pattern of frames with four digits in a folder.
    fn within(folder: &Path) -> FramePattern {
        let (folder, format) = (folder.to_path_buf(), FrameFormat::Png);
        FramePattern { folder, before: String::new(), digits: 4, after: String::new(), format }
    }

    fn parse(path: &Path, format: FrameFormat) -> Result<FramePattern> {
        let wrong = || Error::config("frames need one number in their file name, written %d or %04d: frames/%04d.png");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(wrong)?;
        let (before, rest) = stem.split_once('%').ok_or_else(wrong)?;
        let (digits, after) = rest.split_once('d').ok_or_else(wrong)?;
        let digits = match digits.strip_prefix('0') {
            None if digits.is_empty() => 1,
            Some(width) => width.parse().ok().filter(|width| (1..=9).contains(width)).ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        if after.contains('%') || folder.to_string_lossy().contains('%') {
            return Err(wrong());
        }
        let (folder, before, after) = (folder.to_path_buf(), before.to_owned(), after.to_owned());
        Ok(FramePattern { folder, before, digits, after, format })
    }

    fn file(&self, number: usize) -> PathBuf {
        let (before, digits, after) = (&self.before, self.digits, &self.after);
        self.folder.join(format!("{before}{number:0digits$}{after}.{}", self.format.extension()))
    }

    /// Returns the path from which the pattern was parsed.
    fn path(&self) -> PathBuf {
        let number = if self.digits == 1 { "%d".to_owned() } else { format!("%0{}d", self.digits) };
        self.folder.join(format!("{}{number}{}.{}", self.before, self.after, self.format.extension()))
    }
}

impl FrameFormat {
    fn extension(self) -> &'static str {
        match self {
            FrameFormat::Png => "png",
            FrameFormat::Exr => "exr",
        }
    }
}

impl Shard {
    /// Returns whether frame `frame`, counted from 0, belongs to this shard: every `count`-th does.
    pub fn holds(self, frame: usize) -> bool {
        frame % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shard> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if 1 <= index && index <= count => Ok(Shard { index, count }),
            _ => Err(Error::config("a shard is I/N with I from 1 to N, such as 2/8")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_frames_between_them() {
        let shards = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Shard>().unwrap());
        for frame in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.holds(frame)).count(), 1);
        }
        assert!(shards[1].holds(1));
    }

    #[test]
    fn shards_out_of_range_are_refused() {
        for text in ["0/3", "4/3", "1/0", "3", "a/b", "-1/2", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn frames_are_named_as_printf_would() {
        let patterns = [("a/%04d.png", "a/0007.png"), ("f%d.png", "f7.png"), ("%03d_x.exr", "007_x.exr")];
        for (text, name) in patterns {
            let Ok(Destination::Frames(pattern)) = text.parse() else { panic!("{text}") };
            assert_eq!(pattern.file(7), Path::new(name));
            assert_eq!(pattern.path(), Path::new(text));
        }
    }

    #[test]
    fn folders_hold_frames() {
        let folder = tempfile::tempdir().unwrap();
        let existing = folder.path().join("there.mp4");
        std::fs::create_dir(&existing).unwrap();
        let text = existing.to_str().unwrap().to_owned();
        for (text, name) in [("new/100%/", Path::new("new/100%").join("0007.png")), (&*text, existing.join("0007.png"))]
        {
            let Ok(Destination::Frames(pattern)) = text.parse() else { panic!("{text}") };
            assert_eq!(pattern.file(7), name);
        }
    }

    #[test]
    fn destinations_that_are_none_are_refused() {
        for text in [
            "",
            "video",
            "video.gif",
            "a.png",
            "a.exr",
            "%s.png",
            "%4d.png",
            "%04d%d.png",
            "%d/%d.png",
            "%00d.png",
            ".mp4",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
