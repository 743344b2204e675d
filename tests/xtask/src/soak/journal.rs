//! How many windows a journal holds, counted by its frames: length, checksum, number, and a payload whose first word
//! says what it is.

use std::path::Path;

const PREAMBLE: usize = 12;
const HEAD: usize = 16;
const WINDOWS: [&[u8]; 2] = [b"{\"window\":", b"{\"gap\":"];

/// Windows, and gaps in their place; 0 when there is no journal.
pub(super) fn windows(file: &Path) -> u64 {
    count(&std::fs::read(file).unwrap_or_default())
}

/// Up to the first record that is not whole.
fn count(bytes: &[u8]) -> u64 {
    let mut rest = bytes.get(PREAMBLE..).unwrap_or_default();
    let mut windows = 0;
    while let Some(payload) = payload(rest) {
        windows += u64::from(WINDOWS.iter().any(|kind| payload.starts_with(kind)));
        rest = &rest[HEAD + payload.len()..];
    }
    windows
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    bytes.get(HEAD..HEAD + usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &str) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
        [&length[..], &[0; 12], payload.as_bytes()].concat()
    }

    #[test]
    fn windows_are_counted_up_to_a_torn_record() {
        let records = ["{\"header\":1}", "{\"window\":1}", "{\"gap\":1}", "{\"chunk\":1}", "{\"window\":2}"];
        let whole: Vec<u8> = std::iter::once(vec![0; PREAMBLE]).chain(records.map(record)).flatten().collect();
        assert_eq!(count(&whole), 3);
        assert_eq!(count(&whole[..whole.len() - 1]), 2);
        assert_eq!(count(&whole[..5]), 0);
    }
}
