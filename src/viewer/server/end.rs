//! Why a browser's connection ends, and how the browser is told.

use axum::extract::ws::{CloseFrame, close_code};

/// Why a browser's connection ends.
pub enum End {
    /// It left, or no longer takes messages.
    Left,
    /// The server ends.
    Closing,
    /// It broke the rules.
    Refused(String),
}

impl End {
    /// Returns the frame that closes the connection; None if the browser is gone.
    pub fn frame(self) -> Option<CloseFrame> {
        match self {
            End::Left => None,
            End::Closing => Some(CloseFrame { code: close_code::AWAY, reason: "the run has ended".into() }),
            End::Refused(why) => Some(CloseFrame { code: close_code::POLICY, reason: short(&why).into() }),
        }
    }
}

/// Returns as much of a reason as a close frame has room for (125 bytes with its code, RFC 6455, section 5.5).
fn short(why: &str) -> String {
    why.chars()
        .scan(0, |length, c| {
            *length += c.len_utf8();
            (*length <= 120).then_some(c)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_a_close_frame() {
        assert_eq!(short("too many"), "too many");
        let long = short(&"é".repeat(100));
        assert_eq!(long, "é".repeat(60));
    }
}
