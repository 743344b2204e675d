//! Sizes of files as shops and hubs tell them, in powers of ten; memory is told in powers of two.

use meetcap_supervisor::memory::Bytes;

/// `885 kB`, `488 MB`, `2.5 GB`.
pub(crate) fn of_file(bytes: Bytes) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes.0 as f64 / 1000.0;
    let mut unit = 0;
    // What would be shown as 1000 is one of the next.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit >= 2 && value < 99.95 || unit == 1 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_know_them() {
        let told = |bytes| of_file(Bytes(bytes));
        assert_eq!(told(885_098), "885 kB");
        assert_eq!(told(5_242_880), "5.2 MB");
        assert_eq!(told(487_601_967), "488 MB");
        assert_eq!(told(999_499_999), "999 MB");
        assert_eq!(told(999_600_000), "1.0 GB");
        assert_eq!(told(2_497_280_256), "2.5 GB");
        assert_eq!(told(123_000_000_000), "123 GB");
        assert_eq!(told(0), "0 kB");
    }
}
