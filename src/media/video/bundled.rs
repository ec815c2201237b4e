//! Encodes frames with OpenH264 into an MP4 file, without any other program.

use super::sink::Sink;
use crate::atomic;
use crate::media::yuv::Yuv420;
use muxide::api::{Muxer, MuxerBuilder, MuxerError, VideoCodec};
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, QpRange, RateControlMode, UsageType,
    VuiConfig,
};
use openh264::formats::YUVSlices;
use std::fs::File;
use std::io::{BufWriter, Write as _};

/// Quantizer of every frame. Compared with x264's CRF 18 on rendered views, it gives 1.5 dB more at twice the file
/// size.
const QUANTIZER: u8 = 20;

/// Bits per pixel from which the stream's level is chosen.
const BITS_PER_PIXEL: f32 = 0.5;

/// Largest bit rate that the encoder's highest level (5.2) allows.
const MAX_BITS_PER_SECOND: f32 = 240e6;

const LARGEST: (usize, usize) = (3840, 2160);

pub(super) struct Bundled {
    encoder: Encoder,
    muxer: Muxer<BufWriter<File>>,
    fps: f64,
    n_frames: u64,
}

impl Bundled {
    /// Starts a video with frames of the size of `frame`.
    pub fn start(file: File, frame: &Yuv420, fps: f32) -> Result<Self, String> {
        let (width, height) = (frame.width, frame.height);
        if width.max(height) > LARGEST.0 || width.min(height) > LARGEST.1 {
            let (w, h) = LARGEST;
            return Err(format!("{width}×{height} is more than the bundled encoder's {w}×{h}: install ffmpeg"));
        }
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config(width, height, fps));
        let muxer = MuxerBuilder::new(BufWriter::new(file))
            .video(VideoCodec::H264, width as u32, height as u32, f64::from(fps))
            .build();
        Ok(Self {
            encoder: encoder.map_err(|e| failure(&e))?,
            muxer: muxer.map_err(|e| muxing_failure(&e))?,
            fps: f64::from(fps),
            n_frames: 0,
        })
    }
}

fn config(width: usize, height: usize, fps: f32) -> EncoderConfig {
    let bits_per_second = (BITS_PER_PIXEL * (width * height) as f32 * fps).clamp(1e6, MAX_BITS_PER_SECOND);
    // The "buffer-based" mode moves the quantizer only within the given range, and never drops a frame.
    EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(QpRange::new(QUANTIZER, QUANTIZER))
        .adaptive_quantization(false)
        .background_detection(false) // it leaves specks of earlier frames on plain backgrounds
        .bitrate(BitRate::from_bps(bits_per_second as u32))
        .max_frame_rate(FrameRate::from_hz(fps))
        .intra_frame_period(IntraFramePeriod::from_num_frames((2.0 * fps).ceil() as u32)) // players seek to these
        .vui(VuiConfig::bt709())
}

impl Sink for Bundled {
    fn push(&mut self, frame: &Yuv420) -> Result<(), String> {
        let [y, u, v] = frame.split();
        let strides = (frame.width, frame.width / 2, frame.width / 2);
        let planes = YUVSlices::new((y, u, v), (frame.width, frame.height), strides);
        let bits = self.encoder.encode(&planes).map_err(|e| failure(&e))?;
        let is_key = bits.frame_type() == FrameType::IDR;
        let seconds = self.n_frames as f64 / self.fps;
        self.muxer.write_video(seconds, &bits.to_vec(), is_key).map_err(|e| muxing_failure(&e))?;
        self.n_frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        self.muxer.finish_in_place().map_err(|e| muxing_failure(&e))?;
        // Flush explicitly, because dropping a writer swallows the error of a full disk.
        self.muxer.into_writer().flush().map_err(|e| atomic::cannot_write(&e))
    }
}

fn muxing_failure(error: &MuxerError) -> String {
    match error {
        MuxerError::Io(error) => atomic::cannot_write(error),
        other => failure(other),
    }
}

fn failure(error: &dyn std::error::Error) -> String {
    format!("the bundled encoder could not write the video: {error}")
}
