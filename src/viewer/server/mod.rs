//! The web server of the viewer, on a thread of its own: a page, and a WebSocket for each browser that shows it.

mod access;
mod client;
mod downloads;
mod end;
mod files;
mod hub;
mod jpeg;
mod page;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::runtime;
use tokio::sync::watch;

use super::protocol::{MOST_BYTES, Subject};
use super::{History, HostEvent, MOST_REQUESTS, Request, RunFiles};
use crate::{Error, Result};
use access::Access;
use hub::{Hub, MOST_CLIENTS};

/// Time that browsers have to take the last message when the server ends.
const FAREWELL: Duration = Duration::from_millis(400);

/// A bound port on which nothing is served yet.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
}

/// A server that runs until it is dropped.
pub struct Server {
    hub: Arc<Hub>,
    closing: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Binds `address`, and draws the token that browsers must present.
    ///
    /// # Errors
    /// Returns an error if the port is in use, if the address does not belong to this machine, or if the system
    /// provides no random numbers.
    pub fn on(address: SocketAddr) -> Result<Listening> {
        let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
        let address = listener.local_addr().map_err(|error| cannot_listen(address, &error))?;
        listener.set_nonblocking(true).map_err(|error| cannot_listen(address, &error))?;
        Ok(Listening { listener, address, token: access::random_hex()? })
    }

    /// Returns the address that a browser on this machine opens.
    pub fn url(&self) -> String {
        let mut shown = self.address;
        if shown.ip().is_unspecified() {
            shown.set_ip(if shown.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
        }
        format!("http://{shown}/?token={}", self.token)
    }

    /// Returns whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Starts to serve. Returns the server, and the channel of the browsers' requests; `is_training` says whether they
    /// may steer a run.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn serve(
        self,
        subject: Subject,
        history: History,
        files: RunFiles,
        is_training: bool,
    ) -> Result<(Server, Receiver<Request>)> {
        let (requests, received) = sync_channel(MOST_REQUESTS);
        let (closing, closed) = watch::channel(false);
        let access = Access::new(self.token, self.address.ip().is_loopback());
        let hub = Arc::new(Hub::new(subject, history, files, is_training, access, requests, closed));
        let (listener, served) = (self.listener, hub.clone());
        let thread = thread::Builder::new()
            .name("viewer".to_owned())
            .spawn(move || run(listener, served))
            .map_err(|error| Error::device(format!("the viewer cannot start a thread ({error})")))?;
        Ok((Server { hub, closing, thread: Some(thread) }, received))
    }
}

impl Server {
    /// Returns a function that reports the course of the run to the browsers. It never waits.
    pub fn teller(&self) -> impl Fn(&HostEvent) + use<> {
        let hub = self.hub.clone();
        move |event| hub.tell(event)
    }

    /// Returns whether a browser shows the page.
    pub fn is_watched(&self) -> bool {
        self.hub.n_clients() > 0
    }

    /// Tells the browsers that training has ended, and that its field can still be looked at.
    pub fn end_training(&self) {
        self.hub.end_training();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hub.end();
        let _ = self.closing.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Error {
    let other = SocketAddr::new(address.ip(), address.port().wrapping_add(1).max(1024));
    Error::config(match error.kind() {
        ErrorKind::AddrInUse => {
            format!("the viewer's port {address} is taken; choose another one, as in --viewer {other}")
        }
        ErrorKind::AddrNotAvailable => format!(
            "the viewer cannot listen on {address}, which is no address of this machine; use 127.0.0.1 and ssh -L"
        ),
        ErrorKind::PermissionDenied => {
            format!("the viewer may not listen on {address}; choose a port from 1024 on, as in --viewer {other}")
        }
        _ => format!("the viewer cannot listen on {address} ({error}); choose another address with --viewer"),
    })
}

/// Serves until the hub is told to close.
fn run(listener: TcpListener, hub: Arc<Hub>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime without options");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the listener does not block");
        let mut closed = hub.closed.clone();
        let app = Router::new()
            .route("/", get(page))
            .route("/ws", get(connect))
            .route("/photograph", get(downloads::photograph))
            .route("/video", get(downloads::video))
            .with_state(hub);
        tokio::select! {
            // It ends only when its future is dropped.
            _ = axum::serve(listener, app) => {}
            _ = closed.wait_for(|closed| *closed) => tokio::time::sleep(FAREWELL).await,
        }
    });
    runtime.shutdown_timeout(FAREWELL);
}

/// Answers with the page.
async fn page(State(hub): State<Arc<Hub>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = hub.access.admit(&headers, query.as_deref()) {
        return refusal.into_response();
    }
    let Ok(nonce) = access::random_hex() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' blob: data:; \
         connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, page::page(&nonce)).into_response()
}

/// Opens a browser's WebSocket.
async fn connect(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(refusal) = hub.access.admit(&headers, query.as_deref()) {
        return refusal.into_response();
    }
    let Some(seat) = hub.seat() else {
        let what = format!("{MOST_CLIENTS} browsers look on already; close one\n");
        return (StatusCode::SERVICE_UNAVAILABLE, what).into_response();
    };
    let upgrade = upgrade.max_message_size(MOST_BYTES).max_frame_size(MOST_BYTES);
    upgrade.on_upgrade(move |socket: WebSocket| async move { client::attend(socket, hub, seat).await })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_and_a_foreign_address_are_refused_in_a_sentence() {
        let first = Listening::on("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listening::on(first.address).err().unwrap().to_string();
        assert!(error.contains("is taken; choose another one, as in --viewer 127.0.0.1:"), "{error}");
        // An address for documentation (RFC 5737), which no machine has.
        let error = Listening::on("192.0.2.1:7007".parse().unwrap()).err().unwrap().to_string();
        assert!(error.contains("192.0.2.1:7007, which is no address of this machine"), "{error}");
    }

    #[test]
    fn the_address_to_open_has_the_token_and_a_host_that_is_there() {
        let everywhere = Listening::on("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = everywhere.address.port();
        assert_eq!(everywhere.url(), format!("http://127.0.0.1:{port}/?token={}", everywhere.token));
        assert!(!everywhere.is_local() && everywhere.token.len() == 32);
        assert!(Listening::on("[::1]:0".parse().unwrap()).is_ok_and(|ipv6| ipv6.url().starts_with("http://[::1]:")));
    }
}
