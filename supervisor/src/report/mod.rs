//! What a run did with memory, told to people: its ledger read back, and made a text or a page.
//!
//! ```text
//!  <stem>.run.json ─ read ─► Ledger ─┬─► text   for a terminal
//!                                    └─► html   one page with pictures, for a browser and for paper
//! ```
//!
//! [`read`] is the only function here that opens a file; the rest is pure. A ledger may come from anywhere: it is read
//! with a bound, and every name in it is hostile until it is shown. On the page the template escapes it
//! ([`maud`] does so for every value), and marks that command a terminal or turn the direction of writing are made
//! visible first. The page loads nothing and runs nothing.
//!
//! Failures: [`ReadError`].

#![forbid(unsafe_code)]

mod figures;
mod page;
mod read;
mod sentences;
mod shown;
mod spark;
mod text;

pub use figures::lines as memory_lines;
pub use page::html;
pub use read::{MAX_BYTES, ReadError, read};
pub(crate) use shown::{file_name, one_line, turns_direction};
pub use spark::{sparkline, strip};
pub use text::text;

#[cfg(test)]
mod tests;
