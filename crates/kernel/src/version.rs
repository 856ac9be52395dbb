// SPDX-License-Identifier: GPL-2.0
//! The order of versions, of packages and of kernels: that of dpkg (deb-version(7)), in which `~`
//! comes before everything and numbers count as numbers.

use std::cmp::Ordering;

/// Compares two versions the way dpkg does: epoch, upstream version, revision.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (split(a), split(b));
    a.0.cmp(&b.0).then_with(|| part(a.1, b.1)).then_with(|| part(a.2, b.2))
}

/// Epoch, upstream version, revision.
fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.parse().unwrap_or(0), upstream, revision)
}

/// Compares by turns a part without digits and a number, until one differs.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (text_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        let order = text(text_a, text_b);
        if order.is_ne() {
            return order;
        }
        let (number_a, next_a) =
            rest_a.split_at(rest_a.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (number_b, next_b) =
            rest_b.split_at(rest_b.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_b.len()));
        let order = number(number_a, number_b);
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// Letters sort before other characters, and `~` before everything, even the end.
fn text(a: &str, b: &str) -> Ordering {
    let weight = |c: Option<u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    };
    let longest = a.len().max(b.len());
    (0..longest)
        .map(|i| weight(a.as_bytes().get(i).copied()).cmp(&weight(b.as_bytes().get(i).copied())))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length; none counts as zero.
fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::process::Cmd;

    /// Ascending.
    const ORDER: &[&str] = &[
        "6.1.99-1",
        "6.12.94-1",
        "6.12.107-1",
        "7.2.6-1~bpo13+1",
        "7.2.6-1",
        "7.2.11-1~bpo13+1",
        "7.2.12~rc1-1~exp1",
        "7.2.12-1",
        "7.2.12-1+b1",
        "7.2.12-2",
        "7.2.12a-1",
        "7.2.12+dfsg-1",
        "7.3~rc7-1~exp1",
        "7.3-1",
        "1:1.0-1",
    ];

    #[test]
    fn table_is_ascending() {
        for (i, a) in ORDER.iter().enumerate() {
            for (j, b) in ORDER.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn agrees_with_dpkg() {
        if crate::machine::programs::find("dpkg").is_none() {
            return;
        }
        for pair in ORDER.windows(2) {
            Cmd::new("dpkg")
                .args(["--compare-versions", pair[0], "lt", pair[1]])
                .run(&Report::silent())
                .unwrap();
        }
    }

    #[test]
    fn leading_zeros_do_not_count() {
        assert_eq!(compare("1.02-1", "1.2-01"), Ordering::Equal);
    }
}
