//! Names as they may be shown: whatever would command a terminal, or turn the direction of what follows, is made
//! visible instead of obeyed. Quotation for HTML is the template's work.

/// The same text, harmless.
pub(super) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' {
            safe.push(c);
        } else if c == '\t' {
            safe.push(' ');
        } else if c.is_control() || turns_direction(c) || is_no_character(c) {
            safe.push_str(&format!("\u{27e8}U+{:04X}\u{27e9}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    shown(&text.replace(['\n', '\r'], " "))
}

/// The name at the end of a path, of whatever system it is.
pub(crate) fn file_name(path: &str) -> String {
    let name = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    one_line(if name.is_empty() { path } else { name })
}

/// What no document may hold.
fn is_no_character(c: char) -> bool {
    u32::from(c) & 0xfffe == 0xfffe
}

pub(crate) fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_turns_are_seen_instead_of_obeyed() {
        assert_eq!(one_line("a\u{1b}[2J\u{202e}gpj.exe\nb"), "a⟨U+001B⟩[2J⟨U+202E⟩gpj.exe b");
        assert_eq!(shown("two\nlines"), "two\nlines");
        assert_eq!(shown("会議 & ärger"), "会議 & ärger");
    }

    #[test]
    fn a_path_is_known_by_its_last_name() {
        assert_eq!(file_name("/a/b/meeting.flac"), "meeting.flac");
        assert_eq!(file_name(r"C:\talks\meeting.flac"), "meeting.flac");
        assert_eq!(file_name("/"), "/");
        assert_eq!(file_name(""), "");
    }
}
