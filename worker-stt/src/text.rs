//! What of the engine's text is speech.

/// The text without blanks around it; `None` if nothing in it was spoken: no letter or digit, or a remark of the
/// model's alone, such as `[BLANK_AUDIO]`.
pub(crate) fn spoken(text: &str) -> Option<&str> {
    let text = text.trim();
    let remark = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_remark = remark.is_some_and(|inside| !inside.contains(['[', ']']));
    (text.chars().any(char::is_alphanumeric) && !is_remark).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::spoken;

    #[test]
    fn remarks_and_blanks_are_not_speech() {
        assert_eq!(spoken(" Good morning. "), Some("Good morning."));
        assert_eq!(spoken(" 42"), Some("42"));
        assert_eq!(spoken("Grüß Gott"), Some("Grüß Gott"));
        assert_eq!(spoken("你好"), Some("你好"));
        assert_eq!(spoken("[a] and [b]"), Some("[a] and [b]"));
        for nothing in ["", "  ", " [BLANK_AUDIO]", "[ Silence ]", "♪♪", "..."] {
            assert_eq!(spoken(nothing), None, "{nothing}");
        }
    }
}
