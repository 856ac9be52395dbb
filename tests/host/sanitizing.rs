// SPDX-License-Identifier: GPL-2.0
//! docs/sanitizing.md has the lists that configurations are made of.

use kernel::sanitizing::document;
use xtask::repository;

/// After this line everything is made.
const MARK: &str = "<!-- lists -->\n";

#[test]
fn the_document_has_the_lists() {
    let file = repository().join("docs/sanitizing.md");
    let text = fs_err::read_to_string(&file).unwrap();
    let (written, made) = text.split_once(MARK).expect("the document has the mark");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs_err::write(&file, format!("{written}{MARK}{}", document::lists())).unwrap();
        return;
    }
    assert_eq!(
        made,
        document::lists(),
        "the lists have changed: UPDATE_DOCUMENTS=1 cargo test --test host lists"
    );
}
