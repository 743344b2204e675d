//! Lines of bounded length from a stream of bytes.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Longer than allowed; it was passed over up to its end.
    TooLong,
}

/// The next line that is not blank, without its end; `None` after the last.
pub(super) async fn next(reader: &mut (impl AsyncBufRead + Unpin), longest: usize) -> io::Result<Option<Line>> {
    loop {
        let mut line = Vec::new();
        let mut too_long = false;
        let mut ended = false;
        while !ended {
            let bytes = match reader.fill_buf().await {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if bytes.is_empty() {
                if line.is_empty() && !too_long {
                    return Ok(None);
                }
                break;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if too_long || line.len() + part.len() > longest {
                too_long = true;
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            ended = end.is_some();
            reader.consume(used);
        }
        if too_long {
            return Ok(Some(Line::TooLong));
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Some(Line::Whole(line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_what_is_too_long_is_passed_over() {
        let text = b"one\n\n  \r\ntwo\r\n0123456789\nthree\nend";
        // A buffer of three bytes, so that lines come in pieces.
        let mut reader = tokio::io::BufReader::with_capacity(3, &text[..]);
        let mut lines = Vec::new();
        while let Some(line) = next(&mut reader, 6).await.expect("memory can be read") {
            lines.push(match line {
                Line::Whole(line) => String::from_utf8(line).expect("text").trim_end().to_owned(),
                Line::TooLong => "(too long)".to_owned(),
            });
        }
        assert_eq!(lines, ["one", "two", "(too long)", "three", "end"]);
    }
}
