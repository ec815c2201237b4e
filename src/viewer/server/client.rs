//! One browser: reads its requests, and sends it pictures and news until it leaves or breaks the rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time;

use super::end::End;
use super::files;
use super::hub::{Hub, Seat, text};
use super::jpeg;
use crate::viewer::protocol::{ClientMessage, PictureHeader, ServerMessage, WireView, picture_message};
use crate::viewer::{Answer, Picture, Request, View, ViewRequest};

/// Quality of large pictures, where higher ones show no difference in a rendered field, and of small ones, which are
/// magnified.
const QUALITY: u8 = 88;
const QUALITY_OF_SMALL: u8 = 96;
/// Number of pixels below which a picture is small.
const SMALL: u32 = 300 * 300;
/// Maximum number of a browser's requests in progress: one that is being rendered, and a newer one that replaces it.
const MOST_UNDER_WAY: usize = 2;
/// Messages that a browser may send per second on average, and in a burst. Pictures come at most 60 times a second.
const MESSAGES_PER_SECOND: f64 = 120.0;
const MOST_AT_ONCE: f64 = 240.0;
/// Time that a browser has to take a message.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Interval between pings, and time without a message after which a browser counts as gone.
const BEAT: Duration = Duration::from_secs(15);
const SILENT_FOR: Duration = Duration::from_secs(45);
/// Delay after which a request that found the channel full is sent again.
const AGAIN: Duration = Duration::from_millis(50);

/// A browser's requests for pictures.
struct Views {
    newest: Arc<AtomicU64>,
    under_way: usize,
    /// The newest request, if too many are in progress.
    waiting: Option<Waiting>,
    answers: mpsc::Sender<Answer>,
}

/// A request that has not been passed on.
struct Waiting {
    number: u64,
    request: ViewRequest,
    is_refinement: bool,
}

/// Counts messages against a rate.
struct Rate {
    left: f64,
    at: Instant,
}

/// Serves a browser until it leaves, breaks the rules, or the server ends.
pub async fn attend(mut socket: WebSocket, hub: Arc<Hub>, _seat: Seat) {
    let (sender, answers) = mpsc::channel(MOST_UNDER_WAY);
    let views = Views { newest: Arc::default(), under_way: 0, waiting: None, answers: sender };
    let newest = views.newest.clone();
    let end = exchange(&mut socket, &hub, views, answers).await;
    // Requests in progress are dropped.
    newest.store(u64::MAX, Ordering::Relaxed);
    if let Some(frame) = end.err().and_then(End::frame) {
        let _ = send(&mut socket, Message::Close(Some(frame))).await;
    }
}

async fn exchange(
    socket: &mut WebSocket,
    hub: &Hub,
    mut views: Views,
    mut answers: mpsc::Receiver<Answer>,
) -> Result<(), End> {
    let (greeting, mut news) = hub.greet();
    send(socket, Message::Text(greeting)).await?;
    let (mut rate, mut heard) = (Rate { left: MOST_AT_ONCE, at: Instant::now() }, Instant::now());
    let (mut beat, mut again) = (time::interval(BEAT), time::interval(AGAIN));
    let mut closed = hub.closed.clone();
    loop {
        tokio::select! {
            // In this order, so that the last news goes out before the end.
            biased;
            message = socket.recv() => {
                heard = Instant::now();
                rate.count(heard)?;
                match message {
                    None | Some(Ok(Message::Close(_))) => return Err(End::Left),
                    Some(Err(error)) => return Err(End::Refused(error.to_string())),
                    Some(Ok(Message::Text(message))) => {
                        if let Some(answer) = take(hub, &mut views, &message).await? {
                            send(socket, Message::Text(answer)).await?;
                        }
                    }
                    Some(Ok(Message::Binary(_))) => return Err(End::Refused("a message must be text".to_owned())),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                }
            }
            Some(answer) = answers.recv() => {
                views.under_way -= 1;
                views.pass_on(hub);
                match answer {
                    Answer::Picture(picture) => send(socket, encoded(picture).await?).await?,
                    Answer::Failed(message) => {
                        send(socket, Message::Text(text(&ServerMessage::Failed { message: &message }))).await?;
                    }
                    Answer::Superseded => {}
                }
            }
            item = news.recv() => match item {
                Ok(item) => send(socket, Message::Text(item)).await?,
                Err(RecvError::Lagged(_)) => {
                    let greeting;
                    (greeting, news) = hub.greet();
                    send(socket, Message::Text(greeting)).await?;
                }
                Err(RecvError::Closed) => return Err(End::Closing),
            },
            _ = again.tick(), if views.waiting.is_some() => views.pass_on(hub),
            _ = beat.tick() => {
                if heard.elapsed() > SILENT_FOR {
                    return Err(End::Left);
                }
                send(socket, Message::Ping(Bytes::new())).await?;
            }
            // Only becoming true is a change; an error means that the server is gone.
            _ = closed.changed() => return Err(End::Closing),
        }
    }
}

/// Takes a message of the browser, and returns the answer to it, if it has one.
async fn take(hub: &Hub, views: &mut Views, message: &str) -> Result<Option<Utf8Bytes>, End> {
    let request = match ClientMessage::parse(message).map_err(End::Refused)? {
        ClientMessage::View(wire) => return views.want(hub, &wire).map(|()| None),
        ClientMessage::Pause => Request::Pause,
        ClientMessage::Resume => Request::Resume,
        ClientMessage::Save => Request::Save,
        ClientMessage::Stop => Request::Stop,
        ClientMessage::CancelVideo => Request::CancelVideo,
        ClientMessage::Extent => return Ok(Some(files::extent(hub).await)),
        ClientMessage::Preview { path } => return files::preview(hub, path).await.map(Some),
        ClientMessage::SavePath { path } => return files::save_path(hub, path).await.map(Some),
        ClientMessage::Video { path, background } => return files::video(hub, path, background).await,
        ClientMessage::Crop { crop } => return files::crop(hub, crop).await.map(Some),
    };
    // A full channel means that the run has been busy for a long time; the user sees no change, and presses the button
    // again.
    let _ = hub.request(request);
    Ok(None)
}

impl Views {
    fn want(&mut self, hub: &Hub, wire: &WireView) -> Result<(), End> {
        let request = wire.request().map_err(End::Refused)?;
        if wire.id <= self.newest.load(Ordering::Relaxed) {
            return Err(End::Refused(format!("the id {} does not ascend", wire.id)));
        }
        self.newest.store(wire.id, Ordering::Relaxed);
        self.waiting = Some(Waiting { number: wire.id, request, is_refinement: wire.is_refinement });
        self.pass_on(hub);
        Ok(())
    }

    /// Passes the newest request on, if no more than [`MOST_UNDER_WAY`] are.
    fn pass_on(&mut self, hub: &Hub) {
        if self.under_way >= MOST_UNDER_WAY {
            return;
        }
        let Some(Waiting { number, request, is_refinement }) = self.waiting.take() else { return };
        let answers = self.answers.clone();
        // The channel has room for the answers to all requests in progress, so the reply never waits; it fails if the
        // browser left.
        let reply = Box::new(move |answer| drop(answers.try_send(answer)));
        match hub.request(Request::View(View { request, number, newest: self.newest.clone(), is_refinement, reply })) {
            None => self.under_way += 1,
            Some(_) => self.waiting = Some(Waiting { number, request, is_refinement }),
        }
    }
}

impl Rate {
    fn count(&mut self, now: Instant) -> Result<(), End> {
        let gained = now.duration_since(self.at).as_secs_f64() * MESSAGES_PER_SECOND;
        (self.left, self.at) = ((self.left + gained).min(MOST_AT_ONCE) - 1.0, now);
        if self.left >= 0.0 { Ok(()) } else { Err(End::Refused("too many messages".to_owned())) }
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match time::timeout(SEND_WITHIN, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Left),
    }
}

/// Encodes a picture on another thread, so that the other browsers do not wait for it.
async fn encoded(picture: Picture) -> Result<Message, End> {
    let message = tokio::task::spawn_blocking(move || encode(&picture)).await;
    Ok(Message::Binary(message.map_err(|_| End::Closing)?.into()))
}

fn encode(picture: &Picture) -> Vec<u8> {
    let Picture { number, width, height, ref rgb, step, seconds } = *picture;
    let quality = if width * height < SMALL { QUALITY_OF_SMALL } else { QUALITY };
    let jpeg = jpeg::encoded(rgb, width, height, quality);
    let header = PictureHeader { id: number, width, height, step, ms: 1e3 * seconds };
    picture_message(&header, &jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_bursts_but_no_flood() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut rate = Rate { left: MOST_AT_ONCE, at: start };
        assert!((0..6000).all(|i| rate.count(after(f64::from(i) / 100.0)).is_ok()), "100 a second for a minute");
        let mut rate = Rate { left: MOST_AT_ONCE, at: start };
        assert_eq!((0..1000).take_while(|_| rate.count(start).is_ok()).count(), MOST_AT_ONCE as usize);
    }

    #[test]
    fn a_picture_is_encoded_with_its_size_and_step() {
        let rgb = vec![200; 3 * 8 * 4];
        let message = encode(&Picture { number: 5, width: 8, height: 4, rgb, step: 12, seconds: 0.25 });
        let length = u32::from_le_bytes(message[..4].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&message[4..4 + length]).unwrap();
        assert_eq!((&header["id"], &header["step"], &header["ms"]), (&5.into(), &12.into(), &250.0.into()));
        let read = image::load_from_memory(&message[4 + length..]).unwrap();
        assert_eq!((read.width(), read.height()), (8, 4));
    }
}
