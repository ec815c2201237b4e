//! What browsers download besides the page: photographs of the scene, and the last video.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::hub::Hub;
use super::jpeg;
use crate::media::to_rgb8;
use crate::scene::Image8;

/// Quality of the JPEGs of photographs.
const QUALITY: u8 = 95;

/// Answers with photograph `i` of the scene as a JPEG, over white where it is transparent.
pub async fn photograph(State(hub): State<Arc<Hub>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = hub.access.admit(&headers, query.as_deref()) {
        return refusal.into_response();
    }
    let number =
        query.as_deref().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("i=")?.parse().ok()));
    let Some(number) = number else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(_permit) = hub.decoders.acquire().await else { return StatusCode::NOT_FOUND.into_response() };
    let files = hub.files.clone();
    match tokio::task::spawn_blocking(move || files.photograph(number).map(|image| image.as_ref().map(encoded))).await {
        Ok(Ok(Some(jpeg))) => {
            ([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=600")], jpeg)
                .into_response()
        }
        Ok(Err(error)) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
        Ok(Ok(None)) | Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Encodes a photograph over white.
fn encoded(image: &Image8) -> Vec<u8> {
    jpeg::encoded(&to_rgb8(&image.over([1.0; 3])), image.width, image.height, QUALITY)
}

/// Answers with the last video.
pub async fn video(State(hub): State<Arc<Hub>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = hub.access.admit(&headers, query.as_deref()) {
        return refusal.into_response();
    }
    let Some(file) = hub.video() else { return StatusCode::NOT_FOUND.into_response() };
    match tokio::task::spawn_blocking(move || std::fs::read(file)).await {
        Ok(Ok(bytes)) => {
            let name = "attachment; filename=\"camera_path.mp4\"";
            ([(header::CONTENT_TYPE, "video/mp4"), (header::CONTENT_DISPOSITION, name)], bytes).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
