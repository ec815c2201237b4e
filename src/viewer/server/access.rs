//! Access control: a request must present the token, be addressed to the server by a name of its own, and come from the
//! server's own page.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::{Error, Result};

/// Bytes of a token: 128 bits cannot be guessed.
const TOKEN_BYTES: usize = 16;

/// Decides which requests are admitted.
pub struct Access {
    token: String,
    /// Whether the server listens for this machine alone.
    is_local: bool,
}

/// Why a request is refused; the answer is 403 with this sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(&'static str);

const NO_TOKEN: Refusal = Refusal("This address needs the token that gridfield printed with it.\n");
const FOREIGN_HOST: Refusal =
    Refusal("The viewer is reached by the name localhost or by an IP address; open it by one of these.\n");
const FOREIGN_ORIGIN: Refusal = Refusal("Only the viewer's own page may connect.\n");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::FORBIDDEN, self.0).into_response()
    }
}

impl Access {
    /// Creates the access control of a server with this token.
    pub fn new(token: String, is_local: bool) -> Access {
        Access { token, is_local }
    }

    /// Admits a request with these headers and this query, or says why not.
    ///
    /// The `Host` must be what names this server and cannot be bound to it by a foreign name server (DNS rebinding):
    /// `localhost` or an IP address, of the loopback network if the server listens there. Its port is left open, since
    /// a tunnel (`ssh -L`) has its own. An `Origin`, which browsers send and other programs need not, must be the page
    /// of the same host.
    pub fn admit(&self, headers: &HeaderMap, query: Option<&str>) -> std::result::Result<(), Refusal> {
        let host = single(headers, header::HOST).ok_or(FOREIGN_HOST)?;
        if !self.is_own(host) {
            return Err(FOREIGN_HOST);
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = single(headers, header::ORIGIN).unwrap_or_default();
            let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if page.is_none_or(|page| !page.eq_ignore_ascii_case(host)) {
                return Err(FOREIGN_ORIGIN);
            }
        }
        let pairs = query.unwrap_or_default().split('&');
        let token = pairs.filter_map(|pair| pair.strip_prefix("token=")).next().unwrap_or_default();
        if is_equal(token.as_bytes(), self.token.as_bytes()) { Ok(()) } else { Err(NO_TOKEN) }
    }

    fn is_own(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => host,
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || !self.is_local,
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Returns the value of a header that occurs once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Compares in a time that does not depend on where the two differ, so that a token cannot be found byte by byte.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    a.len() == b.len() && difference == 0
}

/// Returns random bytes of the system as hexadecimal digits.
///
/// # Errors
/// Returns an error if the system has none.
pub fn random_hex() -> Result<String> {
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::device(format!("the system gives no random numbers for a token ({error})")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(is_local: bool, host: &'static str, origin: Option<&'static str>, query: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        match Access::new("0123abcd".to_owned(), is_local).admit(&headers, Some(query)) {
            Ok(()) => "yes",
            Err(refusal) if refusal == NO_TOKEN => "token",
            Err(refusal) if refusal == FOREIGN_HOST => "host",
            Err(_) => "origin",
        }
    }

    const TOKEN: &str = "token=0123abcd";

    #[test]
    fn only_the_whole_token_is_admitted() {
        let with = |query| admit(true, "127.0.0.1:7007", None, query);
        assert_eq!(with(TOKEN), "yes");
        assert_eq!(with("a=b&token=0123abcd"), "yes");
        for query in ["", "token=", "token=0123abc", "token=0123abcde", "token=0123abcX", "TOKEN=0123abcd", "0123abcd"]
        {
            assert_eq!(with(query), "token", "{query}");
        }
    }

    #[test]
    fn names_that_could_be_bound_elsewhere_are_refused() {
        for host in ["localhost", "LocalHost:1", "127.0.0.1:9000", "127.1.2.3", "[::1]:7007", "[::1]"] {
            assert_eq!(admit(true, host, None, TOKEN), "yes", "{host}");
        }
        for host in
            ["evil.example", "evil.example:7007", "localhost.evil.example", "127.0.0.1.evil.example", "", ":7007"]
        {
            assert_eq!(admit(true, host, None, TOKEN), "host", "{host}");
            assert_eq!(admit(false, host, None, TOKEN), "host", "{host}");
        }
        assert_eq!(admit(true, "192.0.2.1:7007", None, TOKEN), "host");
        assert_eq!(admit(false, "192.0.2.1:7007", None, TOKEN), "yes");
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "localhost".parse().unwrap());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        let access = Access::new("0".to_owned(), true);
        assert_eq!(access.admit(&headers, Some("token=0")), Err(FOREIGN_HOST));
        assert_eq!(access.admit(&HeaderMap::new(), Some("token=0")), Err(FOREIGN_HOST));
    }

    #[test]
    fn foreign_pages_are_refused() {
        let from = |origin| admit(true, "localhost:7007", Some(origin), TOKEN);
        assert_eq!(from("http://localhost:7007"), "yes");
        for origin in [
            "http://evil.example",
            "http://localhost:7008",
            "http://127.0.0.1:7007",
            "null",
            "",
            "http://localhost:7007.evil",
        ] {
            assert_eq!(from(origin), "origin", "{origin}");
        }
    }

    #[test]
    fn tokens_differ() {
        let (a, b) = (random_hex().unwrap(), random_hex().unwrap());
        assert!(a != b && a.len() == 2 * TOKEN_BYTES && a.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
