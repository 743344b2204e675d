//! Decoding to a fixed length, for measurements with weights that mean nothing: what such a model says is babble,
//! and babble may end at any token, or be done again at five temperatures.
//!
//! One pass, greedy, without timestamps (they could end it early), without the end of the text, cut at the length.
//! whisper.cpp then runs its decoder for the prompt and for all tokens but the last, on every run alike.

#![expect(unsafe_code, reason = "whisper.cpp calls back")]

use std::ffi::{c_int, c_void};

use whisper_rs::FullParams;
use whisper_rs_sys as sys;

/// whisper.cpp looks at the limit after the second token for the first time.
const LEAST: u32 = 2;
/// No probability is above it.
const NEVER: f32 = 2.0;

/// Sets `parameters` so that each window gives `tokens` tokens, between [`LEAST`] and what half a text context of
/// `text_context` holds.
pub(crate) fn fix_length(parameters: &mut FullParams<'_, '_>, tokens: u32, text_context: c_int) {
    parameters.set_max_tokens(last_place(tokens, text_context));
    parameters.set_no_timestamps(true);
    parameters.set_single_segment(true);
    // A single temperature: there is nothing to fall back to.
    parameters.set_temperature_inc(0.0);
    parameters.set_no_speech_thold(NEVER);
    // SAFETY: the callback needs no user data and only touches what whisper.cpp hands it.
    unsafe { parameters.set_filter_logits_callback(Some(never_end)) };
}

/// The place of the last token, counted from 0. whisper.cpp stops there.
fn last_place(tokens: u32, text_context: c_int) -> c_int {
    // whisper.cpp's own bound on a pass.
    let most = u32::try_from(text_context / 2 - 4).unwrap_or(0).max(LEAST);
    c_int::try_from(tokens.clamp(LEAST, most) - 1).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn never_end(
    context: *mut sys::whisper_context,
    _state: *mut sys::whisper_state,
    _tokens: *const sys::whisper_token_data,
    _count: c_int,
    logits: *mut f32,
    _user_data: *mut c_void,
) {
    // SAFETY: whisper.cpp hands its context and one number for each token of the vocabulary; the end of the text is
    // one of them.
    unsafe {
        let end = sys::whisper_token_eot(context);
        if let Ok(end) = usize::try_from(end) {
            *logits.add(end) = f32::NEG_INFINITY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_stays_within_what_a_pass_can_hold() {
        let length = |tokens| last_place(tokens, 448) + 1;
        assert_eq!([length(0), length(1), length(2)], [2; 3]);
        assert_eq!(length(64), 64);
        assert_eq!([length(220), length(221), length(u32::MAX)], [220; 3]);
        assert_eq!(last_place(50, 1) + 1, 2, "a context too small for anything");
    }
}
