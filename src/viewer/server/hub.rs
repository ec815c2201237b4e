//! What all browsers of a server share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{broadcast, watch};

use super::MOST_CLIENTS;
use super::access::Access;
use crate::train::TrainEvent;
use crate::viewer::protocol::{ServerMessage, State, Subject};
use crate::viewer::{Ask, History, Told};

/// Messages that a slow browser may be behind before it gets the whole history anew.
const NEWS: usize = 64;

/// The state that the browsers of a server share.
pub struct Hub {
    /// Who may look.
    pub access: Access,
    /// Becomes true when the server ends.
    pub closed: watch::Receiver<bool>,
    subject: Subject,
    is_training: bool,
    asks: SyncSender<Ask>,
    board: Mutex<Board>,
    news: broadcast::Sender<Utf8Bytes>,
    n_clients: Arc<AtomicUsize>,
}

struct Board {
    history: History,
    state: State,
}

/// The place of one browser, given back when dropped.
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    /// Creates the state of a server that sends what is asked to `asks`.
    pub fn new(
        subject: Subject,
        history: History,
        is_training: bool,
        access: Access,
        asks: SyncSender<Ask>,
        closed: watch::Receiver<bool>,
    ) -> Hub {
        let state = if is_training { State::Training } else { State::Viewing };
        Hub {
            access,
            closed,
            subject,
            is_training,
            asks,
            board: Mutex::new(Board { history, state }),
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

    /// Returns the greeting of a browser, and what it is told from then on.
    pub fn greet(&self) -> (Utf8Bytes, broadcast::Receiver<Utf8Bytes>) {
        let (news, history, state) = {
            // Under the lock, so that nothing is told twice or never.
            let board = self.board();
            (self.news.subscribe(), board.history.clone(), board.state)
        };
        (text(&ServerMessage::Hello { subject: &self.subject, history: &history, state }), news)
    }

    /// Passes on what a browser asks. Returns what it asked if that cannot be passed on now, and nothing if it asks for
    /// what a finished run cannot do.
    pub fn ask(&self, ask: Ask) -> Option<Ask> {
        if !self.is_training && !matches!(ask, Ask::View(_)) {
            return None;
        }
        self.asks.try_send(ask).err().map(|(TrySendError::Full(ask) | TrySendError::Disconnected(ask))| ask)
    }

    /// Tells all browsers of the course of the run.
    pub fn tell(&self, told: &Told) {
        match told {
            Told::Event(event) => self.tell_event(event),
            Told::Paused(paused) => self.set_state(if *paused { State::Paused } else { State::Training }),
        }
    }

    /// Tells all browsers that the server ends.
    pub fn end(&self) {
        self.set_state(State::Ended);
    }

    fn tell_event(&self, event: &TrainEvent) {
        let mut board = self.board();
        board.history.add(event);
        // It fails if nobody looks.
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
