// SPDX-License-Identifier: GPL-2.0
//! Whether the page's colours can be read: the contrast that the Web Content Accessibility
//! Guidelines ask for (level AA), computed for each pair in both schemes.

use std::collections::BTreeMap;

use super::STYLE;

/// Colours by name, as a block of custom properties has them.
type Scheme = BTreeMap<String, [u8; 3]>;

fn scheme(block: &str) -> Scheme {
    let colour = |declaration: &str| {
        let (name, value) = declaration.trim().strip_prefix("--")?.split_once(": ")?;
        let digits = value.strip_prefix('#')?;
        let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        Some((name.to_owned(), [channel(0)?, channel(2)?, channel(4)?]))
    };
    block.split(';').filter_map(colour).collect()
}

/// The light scheme, the dark one, and the one of paper, each whole.
fn schemes() -> [(&'static str, Scheme); 3] {
    let block = |after: &str| {
        let (_, rest) = STYLE.split_once(after).unwrap();
        let (_, rest) = rest.split_once(":root {").unwrap();
        scheme(rest.split_once('}').unwrap().0)
    };
    let light = block("in both schemes");
    let over = |other: Scheme| light.clone().into_iter().chain(other).collect::<Scheme>();
    let (dark, print) = (over(block("prefers-color-scheme: dark")), over(block("@media print")));
    [("light", light), ("dark", dark), ("print", print)]
}

/// WCAG 2.2, relative luminance.
fn luminance(colour: [u8; 3]) -> f64 {
    let linear = |channel: u8| match f64::from(channel) / 255.0 {
        low if low <= 0.040_45 => low / 12.92,
        high => ((high + 0.055) / 1.055).powf(2.4),
    };
    0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
}

fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// What is written on what, besides the pairs that share a name.
const WRITTEN: [(&str, &str); 5] = [
    ("quiet-ink", "page-paper"),
    ("quiet-ink", "panel-paper"),
    ("link-ink", "page-paper"),
    ("page-ink", "page-paper"),
    ("page-ink", "panel-paper"),
];

/// What is no text, and has to be seen beside what.
const SEEN: [(&str, &str); 3] =
    [("focus", "page-paper"), ("focus", "panel-paper"), ("quiet-ink", "page-paper")];

#[test]
fn the_measure_is_that_of_the_guidelines() {
    assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
    assert!((contrast([0x77; 3], [255; 3]) - 4.48).abs() < 0.01);
}

#[test]
fn all_that_is_written_can_be_read() {
    let mut bad = Vec::new();
    for (name, scheme) in schemes() {
        let inks = scheme.keys().filter_map(|key| key.strip_suffix("-ink"));
        let pairs = inks.map(|ink| (format!("{ink}-ink"), format!("{ink}-paper")));
        let pairs: Vec<_> = pairs.filter(|(_, paper)| scheme.contains_key(paper)).collect();
        assert!(pairs.len() >= 9, "{name}: {pairs:?}");
        let written = WRITTEN.map(|(ink, paper)| (ink.to_owned(), paper.to_owned()));
        let text = pairs.into_iter().chain(written).map(|pair| (pair, 4.5));
        let seen = SEEN.map(|(it, beside)| ((it.to_owned(), beside.to_owned()), 3.0));
        for ((ink, paper), wanted) in text.chain(seen) {
            let found = contrast(scheme[&ink], scheme[&paper]);
            if found < wanted {
                bad.push(format!("{name}: {ink} on {paper}: {found:.2}, wanted {wanted}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_state_has_colours_and_none_is_elsewhere() {
    for state in crate::summary::CellState::ALL {
        let keyword = crate::shown::keyword(state);
        for scheme in schemes() {
            assert!(scheme.1.contains_key(&format!("{keyword}-paper")), "{keyword}");
        }
        assert!(STYLE.contains(&format!("\n.{keyword} {{ --paper: ")), "{keyword}");
    }
    // Whatever has a colour has it by name.
    let rules = STYLE.lines().filter(|line| !line.trim_start().starts_with("--") && !line.contains(":root"));
    let literal: Vec<&str> = rules.filter(|line| line.split('#').skip(1).any(is_colour)).collect();
    assert!(literal.is_empty(), "{literal:?}");
}

fn is_colour(text: &str) -> bool {
    let digits = text.chars().take_while(char::is_ascii_hexdigit).count();
    matches!(digits, 3 | 6 | 8) && !text[digits..].starts_with(|c: char| c.is_alphanumeric() || c == '-')
}
