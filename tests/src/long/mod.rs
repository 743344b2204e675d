//! Long recordings made of short ones, and what a run on one has to keep.
//!
//! ```text
//!  pool: different meetings, spoken once ──► each alone through the program ──► its words
//!    │                                                                            │
//!    └─► plan: meetings in shuffled order, silences between ──► a FLAC file       │
//!                     │                                            │              │
//!                     │                                     the program, watched  │
//!                     ▼                                            ▼              ▼
//!                  judge: times in order, no words in silences, each meeting's words as when it was alone
//! ```
//!
//! Where each meeting begins and ends is known to the sample, because what espeak-ng puts around its sentences is cut
//! off. Everything lies in noise too quiet to be speech: a room is never digitally silent. Nothing is ever in memory
//! but the pool.
//!
//! *The same words* is asked of each place of each meeting, as an edit distance: the windows of a long recording begin
//! elsewhere than those of the meeting alone, so the model hears each sentence in other company, and may hear a word
//! differently. What differs is counted and published; a word lost or invented at a window's edge would show in it.

pub mod judge;
pub mod plan;
pub mod pool;
pub mod soak;
pub mod sound;
pub mod watch;
