// SPDX-License-Identifier: GPL-2.0
//! docs/rules.md is true to the code.

use verify::{Level, Rule};
use xtask::repository;

/// The cells of every row of a table, without their backticks.
fn rows(text: &str) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        Some(cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_rule_is_in_the_table_with_its_section_and_level() {
    let text = fs_err::read_to_string(repository().join("docs/rules.md")).unwrap();
    let (rules, _) = text.split_once("## Who asks").unwrap();
    let found: Vec<_> = rows(rules).into_iter().skip(1).map(|row| row[..3].to_vec()).collect();
    let level = |rule: Rule| match rule.level() {
        Level::Enforce => "enforce",
        Level::Strict => "strict",
    };
    let expected =
        Rule::ALL.map(|rule| [rule.name(), rule.section(), level(rule)].map(str::to_owned).to_vec());
    assert_eq!(found, expected);
}

#[test]
fn of_every_enforced_rule_it_is_said_who_asks() {
    let text = fs_err::read_to_string(repository().join("docs/rules.md")).unwrap();
    let (_, asking) = text.split_once("## Who asks").unwrap();
    let (asking, _) = asking.split_once("## Defects out of reach").unwrap();
    let rows: Vec<_> = rows(asking).into_iter().skip(1).collect();
    let names = rows.iter().flat_map(|row| row[0].split(", ").map(|name| name.trim_matches('`').to_owned()));
    let mut found: Vec<String> = names.collect();
    found.sort_unstable();
    let enforced = Rule::ALL.into_iter().filter(|rule| rule.level() == Level::Enforce);
    let mut expected: Vec<_> = enforced.map(|rule| rule.name().to_owned()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for row in &rows {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(["any", "asked", "Linux"].contains(&row[1].as_str()), "{row:?}");
    }
}

#[test]
fn every_rule_that_is_named_there_exists() {
    let text = fs_err::read_to_string(repository().join("docs/rules.md")).unwrap();
    let is_rule =
        |word: &str| word.contains('-') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let named = text.split('`').skip(1).step_by(2).filter(|word| is_rule(word));
    for word in named {
        assert!(Rule::ALL.iter().any(|rule| rule.name() == word), "there is no rule {word}");
    }
}
