//! Pipes frames through the `ffmpeg` on PATH.

use super::sink::Sink;
use crate::media::yuv::Yuv420;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// "Visually lossless or nearly so", according to ffmpeg's own guide to H.264.
const CRF: &str = "18";

/// Colour space of [`Yuv420`].
const COLOUR: [&str; 8] =
    ["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"];

/// Returns whether there is an ffmpeg with libx264 (some distributions build it without).
pub(super) fn is_usable() -> bool {
    let encoders = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).stdin(Stdio::null()).output();
    encoders.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libx264"))
}

pub(super) struct Ffmpeg {
    child: Child,
    /// ffmpeg's error messages. They go to a file, because an unread pipe would block ffmpeg.
    complaints: File,
}

impl Ffmpeg {
    /// Starts ffmpeg for frames of the size of `frame`, writing to the existing file `output`.
    pub fn start(output: &Path, frame: &Yuv420, fps: f32) -> Result<Self, String> {
        let complaints = tempfile::tempfile().map_err(|e| format!("no temporary file for ffmpeg's messages: {e}"))?;
        let stderr = complaints.try_clone().map_err(|e| format!("no temporary file for ffmpeg's messages: {e}"))?;
        let mut command = Command::new("ffmpeg");
        command
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
            .args(["-f", "rawvideo", "-pix_fmt", "yuv420p"])
            .args(COLOUR)
            .args(["-s", &format!("{}x{}", frame.width, frame.height), "-r", &fps.to_string(), "-i", "pipe:0"])
            .args(["-c:v", "libx264", "-crf", CRF, "-pix_fmt", "yuv420p"])
            .args(COLOUR)
            .args(["-movflags", "+faststart", "-f", "mp4"])
            .arg(output)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr);
        // Ctrl-C is sent to the terminal's whole process group, but it is for this program to handle.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .map_err(|e| format!("ffmpeg cannot be started: {e}; install it or use the bundled encoder"))?;
        Ok(Self { child, complaints })
    }

    /// Returns the error message for an ffmpeg that stopped, with the first line of its messages.
    fn failure(&mut self) -> String {
        let mut text = String::new();
        let read = self.complaints.rewind().and_then(|()| self.complaints.read_to_string(&mut text));
        let line = read.ok().and_then(|_| text.lines().next()).unwrap_or("it gave no reason");
        format!("ffmpeg could not write the video: {line}")
    }
}

impl Sink for Ffmpeg {
    fn push(&mut self, frame: &Yuv420) -> Result<(), String> {
        let pipe = self.child.stdin.as_mut().expect("stdin is open until finish");
        if pipe.write_all(&frame.planes).is_err() {
            let _ = self.child.wait(); // its pipe is closed: it is gone or going, and has said why
            return Err(self.failure());
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        drop(self.child.stdin.take()); // the end of the frames
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.failure()),
        }
    }
}

impl Drop for Ffmpeg {
    /// Stops an ffmpeg whose video was abandoned; after `finish`, both calls do nothing.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_ffmpeg_is_quoted() {
        if !is_usable() {
            let _ = writeln!(std::io::stderr(), "skipped failing_ffmpeg_is_quoted: there is no ffmpeg with libx264");
            return;
        }
        let mut sink = Ffmpeg::start(Path::new("/nowhere/video.mp4"), &Yuv420::new(640, 480), 30.0).unwrap();
        // ffmpeg exits while frames are being written: some push, or finish, must report the error.
        let pushed = (0..30).try_for_each(|_| sink.push(&Yuv420::new(640, 480)));
        let what = pushed.and_then(|()| Box::new(sink).finish()).unwrap_err();
        assert!(what.contains("could not write") && what.contains("No such file"), "{what}");
    }
}
