//! Reads frames of videos through the `ffmpeg` on PATH.

use crate::child;
use crate::media::sharpness::sharpness;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Width in pixels to which frames are reduced for judging them: noise of single pixels, which makes dark frames look
/// sharp, averages out, and motion blur that matters is still visible.
const JUDGED_WIDTH: u32 = 1280;

/// End of a chain of filters with which every decoded frame becomes exactly one output frame, whatever its time: one
/// more tick of the output's clock for each.
const ONE_EACH: &str = "settb=1/25,setpts=N";
const CLOCK: [&str; 2] = ["-r", "25"];

/// A video file, read by an ffmpeg that ends when `interrupted` is set.
pub(crate) struct VideoReader<'a> {
    path: &'a Path,
    absolute: PathBuf,
    interrupted: &'a AtomicBool,
    /// File for ffmpeg's messages: an unread pipe would block it.
    messages: tempfile::TempPath,
}

/// Properties of a decoded frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct JudgedFrame {
    /// Time at which it is shown, in seconds, if the video says.
    pub seconds: Option<f64>,
    /// See [`sharpness`]; comparable between frames of one video.
    pub sharpness: f64,
}

impl<'a> VideoReader<'a> {
    /// Prepares to read the file `path`.
    ///
    /// # Errors
    /// Returns an error if the file does not exist or no temporary file can be made.
    pub fn new(path: &'a Path, interrupted: &'a AtomicBool) -> Result<Self> {
        // ffmpeg takes `name:` at the beginning of a path for a protocol.
        let absolute = path.canonicalize().map_err(|e| Error::file(path, format!("cannot be opened: {e}")))?;
        let messages = tempfile::NamedTempFile::new()
            .map_err(|e| Error::config(format!("no temporary file for ffmpeg's messages: {e}")))?;
        Ok(VideoReader { path, absolute, interrupted, messages: messages.into_temp_path() })
    }

    /// Decodes the whole video and judges each frame. Calls `progress` with the number of frames so far. Returns `None`
    /// if interrupted.
    ///
    /// # Errors
    /// Returns an error if ffmpeg is missing or cannot read the video.
    pub fn judge(&self, progress: &mut dyn FnMut(usize)) -> Result<Option<Vec<JudgedFrame>>> {
        let filters = format!("scale=w=min(iw\\,{JUDGED_WIDTH}):h=-2,format=gray,showinfo,{ONE_EACH}");
        // `showinfo` prints at this log level.
        let mut command = self.command("info", &filters)?;
        command.args(["-f", "yuv4mpegpipe", "pipe:1"]).stdout(Stdio::piped());
        let mut child = Guard(spawn(&mut command)?);
        let mut frames = BufReader::new(child.0.stdout.take().expect("stdout is piped"));
        let mut judged = Vec::new();
        let mut read = || -> std::io::Result<()> {
            let Some((width, height)) = header(&mut frames)? else { return Ok(()) };
            let mut grey = vec![0; width * height];
            while !self.interrupted.load(Ordering::Relaxed) && next_frame(&mut frames, &mut grey)? {
                judged.push(JudgedFrame { seconds: None, sharpness: sharpness(&grey, width) });
                progress(judged.len());
            }
            Ok(())
        };
        let is_read = read();
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if is_read.is_err() {
            child::end(&mut child.0);
        }
        let Some(status) = self.wait(&mut child.0, &mut || {})? else { return Ok(None) };
        if is_read.is_err() || !status.success() {
            return Err(self.failure());
        }
        for (frame, seconds) in judged.iter_mut().zip(times(&child::printed(&self.messages))) {
            frame.seconds = seconds;
        }
        Ok(Some(judged))
    }

    /// Writes the frames of these numbers, ascending and counted from 0, to the existing folder `folder` as
    /// `frame_00001.png` and so on. Calls `progress` with the number of frames so far. Returns `None` if interrupted;
    /// the folder then holds some of the frames.
    ///
    /// # Errors
    /// Returns an error if ffmpeg is missing or cannot read the video or write the frames.
    pub fn extract(&self, numbers: &[usize], folder: &Path, progress: &mut dyn FnMut(usize)) -> Result<Option<()>> {
        let mut command = self.command("error", &format!("select={},{ONE_EACH}", is_any_of(numbers)))?;
        // The pattern is relative, since a folder's name may have a % of its own.
        command.args(["-frames:v", &numbers.len().to_string(), "-f", "image2", "frame_%05d.png"]);
        command.current_dir(folder).stdout(Stdio::null());
        let mut child = Guard(spawn(&mut command)?);
        let written = || std::fs::read_dir(folder).map_or(0, |entries| entries.count());
        let Some(status) = self.wait(&mut child.0, &mut || progress(written()))? else { return Ok(None) };
        match status.success() && written() == numbers.len() {
            true => Ok(Some(())),
            false => Err(self.failure()),
        }
    }

    fn command(&self, level: &str, filters: &str) -> Result<Command> {
        let writable = |e| Error::config(format!("no temporary file for ffmpeg's messages: {e}"));
        let messages = File::create(&self.messages).map_err(writable)?;
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-nostats", "-loglevel", level, "-i"]).arg(&self.absolute);
        command.args(["-map", "0:v:0", "-vf", filters]).args(CLOCK).stdin(Stdio::null()).stderr(messages);
        Ok(command)
    }

    fn wait(&self, child: &mut Child, look: &mut dyn FnMut()) -> Result<Option<std::process::ExitStatus>> {
        child::wait(child, self.interrupted, look)
            .map_err(|e| Error::config(format!("ffmpeg cannot be waited for: {e}")))
    }

    fn failure(&self) -> Error {
        let printed = child::printed(&self.messages);
        if printed.contains("matches no streams") {
            return Error::file(self.path, "holds no video; give a video file or a folder of photographs");
        }
        let words = child::last_words(&printed.replace("Conversion failed!", ""));
        Error::file(self.path, format!("ffmpeg cannot read frames of it; its last words: {words}"))
    }
}

/// Ends the program on drop.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        child::end(&mut self.0);
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::config(
            "ffmpeg, which reads videos, is not on PATH; install it (Debian, Ubuntu: apt install ffmpeg; macOS: brew install \
             ffmpeg), or give a folder of photographs",
        ),
        _ => Error::config(format!("ffmpeg cannot be run: {e}; check the `ffmpeg` that is on PATH")),
    })
}

/// Returns the expression that tells whether a frame's number is one of these, as a balanced tree of sums: ffmpeg
/// refuses long chains, which it parses as deep trees.
fn is_any_of(numbers: &[usize]) -> String {
    match numbers {
        [] => "0".to_owned(),
        [number] => format!("eq(n\\,{number})"),
        _ => {
            let (low, high) = numbers.split_at(numbers.len() / 2);
            format!("({}+{})", is_any_of(low), is_any_of(high))
        }
    }
}

/// Reads the header of a YUV4MPEG2 stream: a line of words that begin with a letter, among them W and H for the size.
/// Returns `None` at the end of the stream.
fn header(stream: &mut impl BufRead) -> std::io::Result<Option<(usize, usize)>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    let side = |letter: char| text.split_whitespace().skip(1).find_map(|word| word.strip_prefix(letter)?.parse().ok());
    match (text.starts_with("YUV4MPEG2 "), side('W'), side('H')) {
        (true, Some(width), Some(height)) => Ok(Some((width, height))),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Reads the next frame of the stream, after the line that begins it. Returns false at the end of the stream.
fn next_frame(stream: &mut impl BufRead, grey: &mut [u8]) -> std::io::Result<bool> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(false);
    }
    if !line.starts_with(b"FRAME") {
        return Err(ErrorKind::InvalidData.into());
    }
    stream.read_exact(grey).map(|()| true)
}

/// Returns the times that the filter `showinfo` printed, one for each frame.
fn times(messages: &str) -> impl Iterator<Item = Option<f64>> {
    let after = |line: &'_ str| Some(line.split_once("pts_time:")?.1.split_whitespace().next()?.parse().ok());
    messages.lines().filter_map(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_grey_frames_is_read_to_its_end() {
        let mut stream: &[u8] = b"YUV4MPEG2 W2 H1 F25:1 Ip A0:0 Cmono\nFRAME\nabFRAME Ip\ncd";
        assert_eq!(header(&mut stream).unwrap(), Some((2, 1)));
        let mut grey = [0; 2];
        assert!(next_frame(&mut stream, &mut grey).unwrap() && grey == *b"ab");
        assert!(next_frame(&mut stream, &mut grey).unwrap() && grey == *b"cd");
        assert!(!next_frame(&mut stream, &mut grey).unwrap());
        assert_eq!(header(&mut stream).unwrap(), None);
        assert!(header(&mut &b"RIFF W2 H1\n"[..]).is_err());
        assert!(next_frame(&mut &b"FRAME\na"[..], &mut grey).is_err(), "cut off");
    }

    #[test]
    fn many_numbers_make_a_flat_tree() {
        assert_eq!(is_any_of(&[3, 5, 9]), r"(eq(n\,3)+(eq(n\,5)+eq(n\,9)))");
        let numbers: Vec<usize> = (0..5000).collect();
        let text = is_any_of(&numbers);
        let depths = text.chars().scan(0i32, |depth, c| {
            *depth += i32::from(c == '(') - i32::from(c == ')');
            Some(*depth)
        });
        assert!(depths.max().unwrap() <= 14);
    }

    #[test]
    fn times_are_those_of_the_frames() {
        let messages = "Input #0, mov, from 'a.mp4':\n[Parsed_showinfo_2 @ 0x5] config in time_base: 1/90000\n\
                        [Parsed_showinfo_2 @ 0x5] n:   0 pts:      0 pts_time:0       pos: 48 fmt:gray\n\
                        [Parsed_showinfo_2 @ 0x5] n:   1 pts:   3003 pts_time:0.0333667 pos: 49\n\
                        [Parsed_showinfo_2 @ 0x5] n:   2 pts:  NOPTS pts_time:NOPTS\n";
        assert_eq!(times(messages).collect::<Vec<_>>(), [Some(0.0), Some(0.0333667), None]);
    }
}
