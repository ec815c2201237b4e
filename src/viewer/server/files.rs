//! Files that browsers save with the run: paths, videos, the crop box. Files are written on other threads, so that the
//! other browsers do not wait.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::oneshot;

use super::end::End;
use super::hub::{Hub, text};
use crate::geometry::{Camera, Corners};
use crate::scene::path::Keyframes;
use crate::viewer::protocol::{ServerMessage, check_color};
use crate::viewer::{Request, RunFiles, VideoRequest};
use crate::{Error, Result};

/// Answers with the part of the scene that is not empty.
pub async fn extent(hub: &Hub) -> Utf8Bytes {
    let (reply, answer) = oneshot::channel();
    let reply = Box::new(move |extent| {
        // It fails if the browser left.
        let _ = reply.send(extent);
    });
    let asked = hub.request(Request::Extent(reply));
    // Without a host there is no answer.
    let extent = if asked.is_none() { answer.await.ok().flatten() } else { None };
    text(&ServerMessage::Extent { extent: extent.map(Corners::from) })
}

/// Answers with the frames of a path.
pub async fn preview(hub: &Hub, keys: Keyframes) -> std::result::Result<Utf8Bytes, End> {
    let planned = with_files(hub, move |files| files.preview(&keys)).await?;
    Ok(match planned {
        Ok((cameras, seconds)) => {
            let frames: Vec<_> = cameras.iter().map(numbers).collect();
            text(&ServerMessage::Preview { frames: &frames, seconds })
        }
        Err(error) => refused(&error),
    })
}

/// Saves a path, and answers where.
pub async fn save_path(hub: &Hub, keys: Keyframes) -> std::result::Result<Utf8Bytes, End> {
    let saved = with_files(hub, move |files| files.save_path(&keys)).await?;
    Ok(saved.map_or_else(|error| refused(&error), |(_, file)| kept(&format!("Saved as {}", file.display()))))
}

/// Saves a path and requests its video, of whose progress all browsers are told. Answers if it cannot be rendered.
pub async fn video(
    hub: &Hub,
    keys: Keyframes,
    background: Option<[f32; 3]>,
) -> std::result::Result<Option<Utf8Bytes>, End> {
    check_color(background).map_err(End::Refused)?;
    if hub.is_rendering_video() {
        return Ok(Some(refused(&Error::config("a video is being rendered already; wait for it or cancel it"))));
    }
    let planned = with_files(hub, move |files| {
        let (path, _) = files.save_path(&keys)?;
        Ok(VideoRequest { path, background, file: files.video_file()? })
    })
    .await?;
    let video = match planned {
        Ok(video) => video,
        Err(error) => return Ok(Some(refused(&error))),
    };
    let busy = || refused(&Error::config("the run is too busy to take the request; try again"));
    Ok(hub.request(Request::Video(video)).map(|_| busy()))
}

/// Saves or removes the crop box, and answers where.
pub async fn crop(hub: &Hub, crop: Option<Corners>) -> std::result::Result<Utf8Bytes, End> {
    let saved = with_files(hub, move |files| files.save_box(crop)).await?;
    let what = if crop.is_some() { "Saved as" } else { "Removed" };
    Ok(saved.map_or_else(|error| refused(&error), |file| kept(&format!("{what} {}", file.display()))))
}

/// Does something that may wait for files.
async fn with_files<T: Send + 'static>(
    hub: &Hub,
    work: impl FnOnce(&RunFiles) -> Result<T> + Send + 'static,
) -> std::result::Result<Result<T>, End> {
    let files: Arc<RunFiles> = hub.files.clone();
    tokio::task::spawn_blocking(move || work(&files)).await.map_err(|_| End::Closing)
}

fn numbers(camera: &Camera) -> [f32; 13] {
    let mut numbers = [camera.intrinsics.fov_y(); 13];
    numbers[..12].copy_from_slice(camera.camera_to_world.as_flattened());
    numbers
}

fn kept(message: &str) -> Utf8Bytes {
    text(&ServerMessage::Kept { message })
}

fn refused(error: &Error) -> Utf8Bytes {
    text(&ServerMessage::Refused { message: &error.to_string() })
}
