//! Columns that line up on a terminal, whatever script their cells are written in.

use unicode_width::UnicodeWidthStr;

/// The rows, their columns as wide as their widest cell. `right` tells which columns hold numbers, which are compared by
/// their ends.
pub(crate) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]], right: [bool; COLUMNS]) -> Vec<String> {
    let widths: [usize; COLUMNS] = std::array::from_fn(|at| rows.iter().map(|row| row[at].width()).max().unwrap_or(0));
    let line = |row: &[String; COLUMNS]| {
        let cell = |at: usize| {
            let (text, room) = (&row[at], " ".repeat(widths[at] - row[at].width()));
            if right[at] { format!("{room}{text}") } else { format!("{text}{room}") }
        };
        let cells: [String; COLUMNS] = std::array::from_fn(cell);
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What stands where there is nothing.
pub(crate) fn absent() -> String {
    "-".to_owned()
}

/// Cut in the middle: a path is known by where it begins and by its file's name.
pub(crate) fn shortened(name: &str, widest: usize) -> String {
    let count = name.chars().count();
    if count <= widest {
        return name.to_owned();
    }
    let head = widest.saturating_sub(1) / 3;
    let tail = widest.saturating_sub(head + 1);
    let (begin, end): (String, String) = (name.chars().take(head).collect(), name.chars().skip(count - tail).collect());
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_what_is_seen_of_them() {
        let rows = [["a", "1", "x"], ["会議.wav", "20", ""], ["ä.wav", "3", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows, [false, true, false]), ["a          1  x", "会議.wav  20", "ä.wav      3  y"]);
    }

    #[test]
    fn long_names_are_cut_in_the_middle_by_characters() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("/ä/üöäüöäüöä.wav", 10), "/ä/…öä.wav");
        for widest in [0, 1, 2, 3, 64] {
            let cut = shortened(&"日".repeat(100), widest);
            assert_eq!(cut.chars().count(), widest.max(1), "{cut}");
        }
    }
}
