//! Chooses the frames of a video that become photographs: the sharpest one of each of many equal spans of time.

use super::options::{FEWEST_PHOTOGRAPHS, FrameChoice};
use super::stage::ImportStage;
use crate::media::{JudgedFrame, VideoReader};
use crate::{Error, Result};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Largest number of frames: an ffmpeg command that chooses more would be too long.
const MOST_FRAMES: usize = 5000;

/// Writes the chosen frames of the video `path` to the existing folder `images`. Returns `None` if interrupted.
pub(super) fn write(
    path: &Path,
    choice: FrameChoice,
    images: &Path,
    interrupted: &AtomicBool,
    progress: &mut dyn FnMut(ImportStage, usize, usize),
) -> Result<Option<()>> {
    let video = VideoReader::new(path, interrupted)?;
    progress(ImportStage::Judging, 0, 0);
    let Some(frames) = video.judge(&mut |done| progress(ImportStage::Judging, done, 0))? else { return Ok(None) };
    let chosen = choose(&frames, choice).map_err(|what| Error::file(path, what))?;
    progress(ImportStage::Frames, 0, chosen.len());
    video.extract(&chosen, images, &mut |done| progress(ImportStage::Frames, done, chosen.len()))
}

/// Returns the numbers of the chosen frames in ascending order: the sharpest frame of each span of time, or the first
/// of several equally sharp ones. A span without frames contributes none.
fn choose(frames: &[JudgedFrame], choice: FrameChoice) -> std::result::Result<Vec<usize>, String> {
    let n = frames.len();
    if n < FEWEST_PHOTOGRAPHS {
        return Err(format!("has {n} frames, but at least {FEWEST_PHOTOGRAPHS} are needed"));
    }
    let times = times(frames);
    // The end of the last frame, if it is shown for as long as the others.
    let duration = times.as_ref().map(|times| times[n - 1] * n as f64 / (n - 1) as f64);
    let n_spans = match (choice, duration) {
        (FrameChoice::Count(count), _) => count as usize,
        (FrameChoice::Rate(rate), Some(duration)) => (rate * duration).round() as usize,
        (FrameChoice::Rate(_), None) => return Err("does not say when its frames are shown; give --frames".to_owned()),
    };
    let most = n_spans.min(n);
    if most > MOST_FRAMES {
        return Err(format!("would give {most} frames, but at most {MOST_FRAMES} are possible; ask for fewer"));
    }
    // The middle of the time that a frame is shown for, so that no frame lies on the border of two spans.
    let half = 0.5 / n as f64;
    let share = |number: usize| match (&times, duration) {
        (Some(times), Some(duration)) => times[number] / duration + half,
        _ => number as f64 / n as f64 + half,
    };
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for number in 0..n {
        let span = ((share(number) * n_spans as f64) as usize).min(n_spans.saturating_sub(1));
        match chosen.last_mut().filter(|(of, _)| *of == span) {
            Some((_, best)) if frames[number].sharpness > frames[*best].sharpness => *best = number,
            Some(_) => {}
            None => chosen.push((span, number)),
        }
    }
    if chosen.len() < FEWEST_PHOTOGRAPHS {
        let found = chosen.len();
        return Err(format!("would give {found} frames, but at least {FEWEST_PHOTOGRAPHS} are needed; ask for more"));
    }
    Ok(chosen.into_iter().map(|(_, number)| number).collect())
}

/// Returns the times of all frames from the first one on, or `None` if they do not ascend.
fn times(frames: &[JudgedFrame]) -> Option<Vec<f64>> {
    let first = frames.first()?.seconds?;
    let times: Vec<f64> = frames.iter().map(|frame| Some(frame.seconds? - first)).collect::<Option<_>>()?;
    (times.is_sorted() && times.last()? > &0.0).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames at these times in tenths of a second; every third one from the second on is sharp.
    fn frames(tenths: impl IntoIterator<Item = u32>) -> Vec<JudgedFrame> {
        let frame = |(i, tenth)| JudgedFrame {
            seconds: Some(7.0 + f64::from(tenth) / 10.0),
            sharpness: if i % 3 == 1 { 9.0 } else { 1.0 },
        };
        tenths.into_iter().enumerate().map(frame).collect()
    }

    #[test]
    fn the_sharpest_frame_of_each_span_is_taken() {
        assert_eq!(choose(&frames(0..12), FrameChoice::Count(4)).unwrap(), [1, 4, 7, 10]);
        assert_eq!(choose(&frames(0..12), FrameChoice::Count(6)).unwrap(), [1, 2, 4, 7, 8, 10]);
        assert_eq!(choose(&frames(0..12), FrameChoice::Count(100)).unwrap(), (0..12).collect::<Vec<_>>());
        // Twelve frames last 1.2 s.
        assert_eq!(choose(&frames(0..12), FrameChoice::Rate(4.0 / 1.2)).unwrap(), [1, 4, 7, 10]);
    }

    #[test]
    fn spans_are_of_equal_time_where_frames_are_not() {
        // Half of the frames lie in the last fifth of the time.
        let uneven = frames([0, 5, 10, 15, 20, 21, 22, 23, 24, 25]);
        assert_eq!(choose(&uneven, FrameChoice::Count(5)).unwrap(), [0, 1, 2, 4, 7]);
        let mut unknown = uneven;
        unknown[3].seconds = None;
        assert_eq!(choose(&unknown, FrameChoice::Count(5)).unwrap(), [1, 2, 4, 7, 8]);
        assert!(choose(&unknown, FrameChoice::Rate(2.0)).unwrap_err().contains("give --frames"));
    }

    #[test]
    fn too_few_and_too_many_frames_are_refused() {
        let refused = |n: u32, choice| choose(&frames(0..n), choice).unwrap_err();
        assert!(refused(2, FrameChoice::default()).contains("has 2 frames, but at least 3"));
        assert!(refused(30, FrameChoice::Count(2)).contains("would give 2 frames"));
        assert!(refused(30, FrameChoice::Rate(0.1)).contains("would give 1 frames"));
        assert!(refused(6000, FrameChoice::Count(6000)).contains("at most 5000"));
    }
}
