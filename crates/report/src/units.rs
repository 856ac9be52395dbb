// SPDX-License-Identifier: GPL-2.0
//! Times, sizes and counts as people read them.

use std::time::Duration;

/// A duration as people read it: `0.84 s`, `12.3 s`, `2 min 14 s`.
pub fn seconds(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    match secs {
        s if s < 1.0 => format!("{s:.2} s"),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
    }
}

/// A size as people read it: `812 B`, `35.1 kB`, `3.5 MB` (powers of ten).
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A count and what is counted, in the number that goes with it: `1 reply`, `2 replies`. What
/// follows the noun may follow here as well: `1 reply is signed`, `0 replies are signed`.
pub fn counted(count: impl TryInto<u64>, one: &str, many: &str) -> String {
    // What does not fit is many.
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(seconds(Duration::from_millis(840)), "0.84 s");
        assert_eq!(seconds(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(seconds(Duration::from_secs(134)), "2 min 14 s");
        assert_eq!(size(812), "812 B");
        assert_eq!(size(3_500_000), "3.5 MB");
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        let files = |count: usize| counted(count, "file is gone", "files are gone");
        assert_eq!(
            [0, 1, 2, 11].map(files),
            ["0 files are gone", "1 file is gone", "2 files are gone", "11 files are gone"]
        );
    }
}
