//! PNG files and videos: a written file reads back, and is written completely or not at all.

use crate::skip::skipped;
use gridfield::media::{Encoder, Pixels, VideoWriter, write_png};
use gridfield::metrics::psnr;
use openh264::formats::YUVSource as _;
use std::path::Path;
use std::process::Command;

/// Returns a smooth picture with a square that moves with `t`.
fn frame(width: usize, height: usize, t: usize) -> Vec<u8> {
    let pixel = |i: usize| {
        let (x, y) = (i % width, i / width);
        match (x.abs_diff(4 * t + 16) < 8, y.abs_diff(height / 2) < 8) {
            (true, true) => [230, 40, 30],
            _ => [(255 * x / width) as u8, (255 * y / height) as u8, 90],
        }
    };
    (0..width * height).flat_map(pixel).collect()
}

fn write_video(encoder: Encoder, path: &Path, (width, height): (usize, usize), n_frames: usize) {
    let mut video = VideoWriter::with_encoder(encoder, path, width as u32, height as u32, 24.0).unwrap();
    for t in 0..n_frames {
        video.push(&frame(width, height, t)).unwrap();
    }
    video.finish().unwrap();
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Returns the payload of the first box of this `kind`, found by its name.
fn mp4_box<'a>(file: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let at = file.windows(4).position(|name| name == kind).expect("the file has the box");
    &file[at + 4..at - 4 + be32(&file[at - 4..]) as usize]
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Returns the frames of an MP4 file with one H.264 track in one chunk, each in Annex B format.
fn mp4_samples(file: &[u8]) -> Vec<Vec<u8>> {
    let sizes = mp4_box(file, b"stsz")[12..].chunks_exact(4).map(|size| be32(size) as usize);
    let mut rest = mp4_box(file, b"mdat");
    let annex_b = |size: usize| {
        let (mut sample, after) = rest.split_at(size);
        rest = after;
        let mut units = Vec::new();
        while !sample.is_empty() {
            let length = be32(sample) as usize;
            units.extend([0, 0, 0, 1]);
            units.extend(&sample[4..4 + length]);
            sample = &sample[4 + length..];
        }
        units
    };
    sizes.map(annex_b).collect()
}

/// Returns the sequence and picture parameter sets of the track, in Annex B format.
fn mp4_parameter_sets(file: &[u8]) -> Vec<u8> {
    let config = mp4_box(file, b"avcC");
    let sps_length = usize::from(u16::from_be_bytes([config[6], config[7]]));
    let (sps, pps) = (&config[8..8 + sps_length], &config[8 + sps_length + 3..]);
    [&[0, 0, 0, 1], sps, &[0, 0, 0, 1], pps].concat()
}

/// Decodes with OpenH264: returns the width, height and luma of each frame.
fn decode(file: &[u8]) -> Vec<(usize, usize, Vec<u8>)> {
    let mut decoder = openh264::decoder::Decoder::new().unwrap();
    decoder.decode(&mp4_parameter_sets(file)).unwrap();
    let mut frames = Vec::new();
    for sample in mp4_samples(file) {
        let picture = decoder.decode(&sample).unwrap().expect("a frame for each sample");
        let (width, height) = picture.dimensions();
        let rows = picture.y().chunks(picture.strides().0).take(height);
        frames.push((width, height, rows.flat_map(|row| row[..width].to_vec()).collect()));
    }
    frames
}

fn luma(rgb: &[u8]) -> Vec<f32> {
    let weigh = |p: &[u8]| 0.2126 * f32::from(p[0]) + 0.7152 * f32::from(p[1]) + 0.0722 * f32::from(p[2]);
    rgb.chunks_exact(3).map(|pixel| (16.0 + 219.0 / 255.0 * weigh(pixel)) / 255.0).collect()
}

#[test]
fn bundled_video_decodes_to_the_frames_that_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    write_video(Encoder::Bundled, &path, (160, 96), 30);
    let file = std::fs::read(&path).unwrap();
    assert_eq!(&file[4..8], b"ftyp");
    let at = |name: &[u8; 4]| file.windows(4).position(|found| found == name).unwrap();
    assert!(at(b"moov") < at(b"mdat"), "the index comes first, so playback can start before the whole file is loaded");
    let frames = decode(&file);
    assert_eq!(frames.len(), 30);
    for (t, (width, height, decoded)) in frames.into_iter().enumerate() {
        assert_eq!((width, height), (160, 96));
        let decoded: Vec<f32> = decoded.iter().map(|&y| f32::from(y) / 255.0).collect();
        let quality = psnr(&decoded, &luma(&frame(160, 96, t)));
        assert!(quality > 42.0, "frame {t} has {quality:.1} dB");
    }
    assert_eq!(files(folder.path()), ["video.mp4"]);
}

#[test]
fn odd_sides_grow_by_a_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    write_video(Encoder::Bundled, &path, (63, 35), 3);
    let frames = decode(&std::fs::read(&path).unwrap());
    assert!(frames.iter().all(|(width, height, _)| (*width, *height) == (64, 36)));
}

/// Returns `ffprobe`'s answer for the first stream, or prints a reason and returns None.
fn ffprobe(path: &Path) -> Option<String> {
    let entries = "stream=codec_name,width,height,pix_fmt,color_space,color_range,r_frame_rate,nb_read_frames";
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", entries, "-of", "default=nokey=0:noprint_wrappers=1"])
        .arg(path)
        .output();
    match probe {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)),
        Err(e) => {
            skipped("what ffprobe says of videos", format!("it cannot be started: {e}"));
            None
        }
    }
}

#[test]
fn both_encoders_write_what_ffprobe_expects() {
    for encoder in [Encoder::Bundled, Encoder::Ffmpeg] {
        if encoder == Encoder::Ffmpeg && Encoder::detect() == Encoder::Bundled {
            skipped("the ffmpeg encoder", "there is no ffmpeg with libx264");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        write_video(encoder, &path, (160, 97), 25);
        let Some(answer) = ffprobe(&path) else { return };
        for line in [
            "codec_name=h264",
            "width=160",
            "height=98",
            "pix_fmt=yuv420p",
            "color_range=tv",
            "color_space=bt709",
            "r_frame_rate=24/1",
            "nb_read_frames=25",
        ] {
            assert!(answer.lines().any(|found| found == line), "{encoder:?}: no {line} in {answer}");
        }
    }
}

#[test]
fn abandoned_videos_leave_nothing_behind() {
    for encoder in [Encoder::Bundled, Encoder::detect()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        let mut video = VideoWriter::with_encoder(encoder, &path, 64, 48, 30.0).unwrap();
        video.push(&frame(64, 48, 0)).unwrap();
        assert_eq!(files(folder.path()).len(), 1);
        drop(video);
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn failing_videos_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    let fault = |result: gridfield::Result<VideoWriter>| result.map(drop).unwrap_err().to_string();
    let missing = folder.path().join("nowhere/video.mp4");
    assert!(fault(VideoWriter::create(&missing, 64, 48, 30.0)).contains("nowhere/video.mp4: cannot be written"));
    assert!(fault(VideoWriter::create(&path, 64, 48, 0.0)).contains("0 frames a second"));
    assert!(fault(VideoWriter::create(&path, 0, 48, 30.0)).contains("0×48"));
    let large = VideoWriter::with_encoder(Encoder::Bundled, &path, 5000, 16, 30.0);
    assert!(fault(large).contains("install ffmpeg"));
    let empty = VideoWriter::create(&path, 64, 48, 30.0).unwrap().finish().unwrap_err().to_string();
    assert!(empty.contains("at least one frame"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn png_reads_back_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.png");
    std::fs::write(&path, "older").unwrap();
    write_png(&path, 3, 1, Pixels::Rgb8(&[1, 2, 3, 4, 5, 6, 7, 8, 9])).unwrap();
    assert_eq!(image::open(&path).unwrap().into_rgb8().into_raw(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    write_png(&path, 1, 2, Pixels::Rgba8(&[1, 2, 3, 0, 5, 6, 7, 255])).unwrap();
    assert_eq!(image::open(&path).unwrap().into_rgba8().into_raw(), [1, 2, 3, 0, 5, 6, 7, 255]);
    assert_eq!(files(folder.path()), ["image.png"]);
}

#[test]
fn png_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere/image.png");
    let error = write_png(&path, 1, 1, Pixels::Rgb8(&[0; 3])).unwrap_err();
    assert!(error.to_string().contains("nowhere/image.png: cannot be written"));
    std::fs::create_dir(folder.path().join("taken.png")).unwrap();
    assert!(write_png(folder.path().join("taken.png"), 1, 1, Pixels::Rgb8(&[0; 3])).is_err());
    assert_eq!(files(folder.path()), ["taken.png"]);
}

#[cfg(unix)]
#[test]
fn written_files_have_ordinary_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    write_png(folder.path().join("image.png"), 1, 1, Pixels::Rgb8(&[0; 3])).unwrap();
    assert_eq!(mode("image.png"), mode("plain"));
}
