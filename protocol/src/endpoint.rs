//! Where a worker connects and the secret that lets it in.
//!
//! The supervisor writes one line to the worker's standard input, a pipe that nobody else can read: neither
//! the argument list nor the environment ever holds the token.

use std::fmt;

use thiserror::Error;

/// A single-use secret of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; Self::LEN]);

impl Token {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Wraps bytes that came from the system's random source.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The secret itself; only for the preamble.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Compares without leaving early, so that time tells nothing.
    pub fn matches(&self, other: &[u8]) -> bool {
        other.len() == Self::LEN && self.0.iter().zip(other).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Address and token of one worker's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A socket's path, or a named pipe's name on Windows.
    pub address: String,
    pub token: Token,
}

/// The line on standard input is not an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("standard input does not hold an endpoint")]
pub struct NotAnEndpoint;

const LINE_TAG: &str = "meetcap-endpoint";

impl Endpoint {
    /// The longest line a worker reads: a token in hexadecimal and a path of at most 4096 bytes.
    pub const MAX_LINE: u64 = 4096 + 128;

    /// The line for the worker's standard input, with its newline.
    pub fn to_line(&self) -> String {
        let token: String = self.token.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{LINE_TAG} {token} {}\n", self.address)
    }

    /// Reads what [`Self::to_line`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_line(line: &str) -> Result<Self, NotAnEndpoint> {
        let rest = line.strip_prefix(LINE_TAG).and_then(|rest| rest.strip_prefix(' ')).ok_or(NotAnEndpoint)?;
        let (token, address) = rest.split_once(' ').ok_or(NotAnEndpoint)?;
        let address = address.strip_suffix('\n').unwrap_or(address);
        if token.len() != 2 * Token::LEN || !token.is_ascii() || address.is_empty() {
            return Err(NotAnEndpoint);
        }
        let mut bytes = [0; Token::LEN];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&token[2 * i..2 * i + 2], 16).map_err(|_| NotAnEndpoint)?;
        }
        Ok(Self { address: address.to_owned(), token: Token(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint { address: "/tmp/a folder/s".to_owned(), token: Token::new([0xA5; Token::LEN]) }
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        assert_eq!(Endpoint::from_line(&endpoint().to_line()), Ok(endpoint()));
    }

    #[test]
    fn a_line_that_is_cut_or_foreign_is_refused() {
        let line = endpoint().to_line();
        for end in 0..LINE_TAG.len() + 1 + 2 * Token::LEN + 1 {
            assert_eq!(Endpoint::from_line(&line[..end]), Err(NotAnEndpoint), "{end} bytes");
        }
        assert_eq!(Endpoint::from_line("hello"), Err(NotAnEndpoint));
    }

    #[test]
    fn the_token_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", endpoint()).contains("a5"));
        assert!(!format!("{:?}", endpoint()).contains("165"));
    }

    #[test]
    fn a_token_matches_only_itself() {
        let token = endpoint().token;
        assert!(token.matches(&[0xA5; Token::LEN]));
        assert!(!token.matches(&[0xA4; Token::LEN]));
        assert!(!token.matches(&[0xA5; Token::LEN - 1]));
    }
}
