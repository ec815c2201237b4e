//! What all browsers of a server share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Semaphore, broadcast, watch};

use super::access::Access;
use crate::train::TrainEvent;
use crate::viewer::protocol::{ServerMessage, State, Subject};
use crate::viewer::{History, HostEvent, Request, RunFiles, VideoProgress, VideoStage};

/// Most browsers at a time.
pub const MOST_CLIENTS: usize = 32;
/// Number of messages that a slow browser may fall behind before it is sent the whole history again.
const NEWS: usize = 64;
/// Maximum number of photographs decoded at a time.
const MOST_DECODERS: usize = 2;

/// The state that the browsers of a server share.
pub struct Hub {
    /// Access control.
    pub access: Access,
    /// Becomes true when the server ends.
    pub closed: watch::Receiver<bool>,
    /// Files that browsers save with the run and read from its scene.
    pub files: Arc<RunFiles>,
    /// Limits how many photographs are decoded at a time.
    pub decoders: Semaphore,
    subject: Subject,
    is_training: AtomicBool,
    requests: SyncSender<Request>,
    board: Mutex<Board>,
    news: broadcast::Sender<Utf8Bytes>,
    n_clients: Arc<AtomicUsize>,
}

struct Board {
    history: History,
    state: State,
    video: Option<VideoProgress>,
}

/// The place of one browser, given back when dropped.
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    /// Creates the state of a server that sends requests to `requests`.
    pub fn new(
        subject: Subject,
        history: History,
        files: RunFiles,
        is_training: bool,
        access: Access,
        requests: SyncSender<Request>,
        closed: watch::Receiver<bool>,
    ) -> Hub {
        let state = if is_training { State::Training } else { State::Viewing };
        Hub {
            access,
            closed,
            files: Arc::new(files),
            decoders: Semaphore::new(MOST_DECODERS),
            subject,
            is_training: AtomicBool::new(is_training),
            requests,
            board: Mutex::new(Board { history, state, video: None }),
            news: broadcast::channel(NEWS).0,
            n_clients: Arc::default(),
        }
    }

    /// Returns a place for another browser, if there is one.
    pub fn seat(&self) -> Option<Seat> {
        let more = |n: usize| (n < MOST_CLIENTS).then_some(n + 1);
        self.n_clients.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Seat(self.n_clients.clone()))
    }

    /// Returns the greeting for a browser, and the channel of all later messages.
    pub fn greet(&self) -> (Utf8Bytes, broadcast::Receiver<Utf8Bytes>) {
        let (news, history, state, video) = {
            // Under the lock, so that no message is sent twice or lost.
            let board = self.board();
            (self.news.subscribe(), board.history.clone(), board.state, board.video.clone())
        };
        let (subject, history, video) = (&self.subject, &history, video.as_ref());
        let (crop, path) = (self.files.crop_box(), self.files.saved_path());
        (text(&ServerMessage::Hello { subject, history, state, video, crop, path }), news)
    }

    /// Passes on a browser's request. Returns the request if it cannot be passed on now; drops it if it asks for what a
    /// finished run cannot do.
    pub fn request(&self, request: Request) -> Option<Request> {
        let is_steering = matches!(request, Request::Pause | Request::Resume | Request::Save | Request::Stop);
        if !self.is_training.load(Ordering::Relaxed) && is_steering {
            return None;
        }
        self.requests
            .try_send(request)
            .err()
            .map(|(TrySendError::Full(request) | TrySendError::Disconnected(request))| request)
    }

    /// Tells all browsers of the course of the run.
    pub fn tell(&self, event: &HostEvent) {
        match event {
            HostEvent::Train(event) => self.tell_event(event),
            HostEvent::Video(progress) => self.tell_video(progress),
            HostEvent::Paused(paused) => self.set_state(if *paused { State::Paused } else { State::Training }),
        }
    }

    /// Returns the number of browsers.
    pub fn n_clients(&self) -> usize {
        self.n_clients.load(Ordering::Relaxed)
    }

    /// Tells all browsers that training has ended, and that the field can still be looked at.
    pub fn end_training(&self) {
        self.is_training.store(false, Ordering::Relaxed);
        self.set_state(State::Viewing);
    }

    /// Tells all browsers that the server ends.
    pub fn end(&self) {
        self.set_state(State::Ended);
    }

    /// Returns the file of the last video, if it is complete.
    pub fn video(&self) -> Option<PathBuf> {
        let board = self.board();
        board.video.as_ref().filter(|video| video.stage == VideoStage::Done).map(|video| video.file.clone())
    }

    /// Returns whether a video is being rendered.
    pub fn is_rendering_video(&self) -> bool {
        self.board().video.as_ref().is_some_and(|video| video.stage == VideoStage::Rendering)
    }

    fn tell_video(&self, progress: &VideoProgress) {
        let mut board = self.board();
        board.video = Some(progress.clone());
        let _ = self.news.send(text(&ServerMessage::Video { video: progress }));
    }

    fn tell_event(&self, event: &TrainEvent) {
        let mut board = self.board();
        board.history.add(event);
        // Sending fails if no browser is connected.
        let _ = self.news.send(text(&ServerMessage::Event { event }));
    }

    fn set_state(&self, state: State) {
        let mut board = self.board();
        board.state = state;
        let _ = self.news.send(text(&ServerMessage::State { state }));
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a message as text.
pub fn text(message: &ServerMessage) -> Utf8Bytes {
    serde_json::to_string(message).expect("a message has string keys").into()
}
