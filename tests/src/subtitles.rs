//! Strict readers of SRT and VTT: whatever a lenient player would overlook is an error here.

/// One cue; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    pub start: u64,
    pub end: u64,
    /// Without escapes.
    pub lines: Vec<String>,
}

/// Reads SubRip: numbers from 1 without a hole, a timing line, one line of text at least, an empty line.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_srt(text: &str) -> Result<Vec<Cue>, String> {
    let mut cues = Vec::new();
    for block in blocks(text)? {
        let [number, timing, lines @ ..] = &block[..] else { return Err(format!("half a cue: {block:?}")) };
        if *number != (cues.len() + 1).to_string() {
            return Err(format!("cue {} has the number {number:?}", cues.len() + 1));
        }
        if lines.iter().any(|line| line.contains("-->")) {
            return Err(format!("an arrow in the text of cue {number}"));
        }
        cues.push(cue(timing, ',', lines.iter().map(|line| (*line).to_owned()).collect())?);
    }
    in_order(cues)
}

/// Reads WebVTT, without identifiers, settings, notes and tags, which nobody here writes.
///
/// # Errors
/// See [`parse_srt`].
pub fn parse_vtt(text: &str) -> Result<Vec<Cue>, String> {
    let body = text.strip_prefix("WEBVTT\n\n").ok_or("it does not begin with WEBVTT and an empty line")?;
    let mut cues = Vec::new();
    for block in blocks(body)? {
        let [timing, lines @ ..] = &block[..] else { return Err(format!("half a cue: {block:?}")) };
        let lines = lines.iter().map(|line| unescaped(line)).collect::<Result<_, _>>()?;
        cues.push(cue(timing, '.', lines)?);
    }
    in_order(cues)
}

/// Blocks of lines, each with exactly one empty line behind it.
fn blocks(text: &str) -> Result<Vec<Vec<&str>>, String> {
    if text.contains(|c: char| c.is_control() && c != '\n') || text.contains(['\u{2028}', '\u{2029}']) {
        return Err("a control character".to_owned());
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let body = text.strip_suffix("\n\n").ok_or("the last cue is not closed by an empty line")?;
    let blocks: Vec<Vec<&str>> = body.split("\n\n").map(|block| block.split('\n').collect()).collect();
    match blocks.iter().flatten().find(|line| line.trim().is_empty()) {
        Some(_) => Err("a blank line within a cue".to_owned()),
        None => Ok(blocks),
    }
}

fn cue(timing: &str, decimal: char, lines: Vec<String>) -> Result<Cue, String> {
    let (start, end) = timing.split_once(" --> ").ok_or_else(|| format!("no timing line: {timing:?}"))?;
    let cue = Cue { start: time(start, decimal)?, end: time(end, decimal)?, lines };
    if cue.start >= cue.end {
        return Err(format!("it ends before it begins: {timing}"));
    }
    if cue.lines.is_empty() {
        return Err(format!("no text at {timing}"));
    }
    Ok(cue)
}

/// `HH:MM:SS,mmm`; hours may have more digits.
fn time(text: &str, decimal: char) -> Result<u64, String> {
    let wrong = || format!("no time: {text:?}");
    let number = |digits: &str, count: usize| {
        let is_number = digits.len() >= count && digits.bytes().all(|digit| digit.is_ascii_digit());
        if is_number { digits.parse::<u64>().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let (clock, millis) = text.split_once(decimal).ok_or_else(wrong)?;
    let [hours, minutes, seconds] = clock.split(':').collect::<Vec<_>>()[..] else { return Err(wrong()) };
    if (minutes.len(), seconds.len(), millis.len()) != (2, 2, 3) {
        return Err(wrong());
    }
    let (minutes, seconds) = (number(minutes, 2)?, number(seconds, 2)?);
    if minutes > 59 || seconds > 59 {
        return Err(wrong());
    }
    Ok(((number(hours, 2)? * 60 + minutes) * 60 + seconds) * 1000 + number(millis, 3)?)
}

fn unescaped(line: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['&', '<', '>']) {
        text.push_str(&rest[..at]);
        let known = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')];
        let (escape, c) = known
            .into_iter()
            .find(|(escape, _)| rest[at..].starts_with(escape))
            .ok_or("a character that needs an escape")?;
        text.push(c);
        rest = &rest[at + escape.len()..];
    }
    text.push_str(rest);
    Ok(text)
}

/// None begins before the one before it has ended.
fn in_order(cues: Vec<Cue>) -> Result<Vec<Cue>, String> {
    match cues.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(format!("cues overlap: {} ms to {} ms", pair[1].start, pair[0].end)),
        None => Ok(cues),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRT: &str =
        "1\n00:00:00,000 --> 00:00:01,500\nHi.\nYou.\n\n2\n100:00:01,500 --> 100:00:03,000\nBye & <b>\n\n";

    #[test]
    fn what_is_right_is_read() {
        let cues = parse_srt(SRT).expect("well-formed");
        assert_eq!((cues[0].start, cues[0].end, cues[0].lines.len()), (0, 1500, 2));
        assert_eq!(cues[1].start, 360_001_500);
        let vtt = format!("WEBVTT\n\n{}", SRT.replace(',', ".").replace("1\n00", "00").replace("2\n100", "100"));
        let vtt = vtt.replace("& <b>", "&amp; &lt;b&gt;");
        assert_eq!(parse_vtt(&vtt).expect("well-formed"), cues);
        assert_eq!((parse_srt(""), parse_vtt("WEBVTT\n\n")), (Ok(Vec::new()), Ok(Vec::new())));
    }

    #[test]
    fn what_is_wrong_is_found() {
        for (right, wrong) in [
            ("1\n00", "0\n00"),
            ("00:00:01,500\n", "00:00:01.500\n"),
            ("00:00:01,500\n", "00:61:01,500\n"),
            ("00:00:01,500\n", "00:00:00,000\n"),
            ("00:00:01,500\n", "101:00:01,500\n"),
            ("Hi.\n", "Hi --> you\n"),
            ("Hi.\n", " \n"),
            ("Hi.\n", "Hi.\r\n"),
            ("Hi.\nYou.\n", ""),
            ("<b>\n\n", "<b>\n"),
        ] {
            assert!(SRT.contains(right) && parse_srt(&SRT.replacen(right, wrong, 1)).is_err(), "{right:?} {wrong:?}");
        }
        for wrong in [
            "",
            "WEBVTT\n",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na & b\n\n",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<b>\n\n",
        ] {
            assert!(parse_vtt(wrong).is_err(), "{wrong:?}");
        }
    }
}
