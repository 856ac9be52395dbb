// SPDX-License-Identifier: GPL-2.0
//! Any text as a `dkms.conf`: it is read, or refused with a place that is in it; and what was
//! read, when rendered, is read as the same again.
#![no_main]

use dkms_conf::{DkmsConf, Given, plain_words};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let given = Given::from([("kernelver", "7.2".to_owned()), ("module", "a b".to_owned())]);
    match DkmsConf::parse(text).and_then(|conf| conf.evaluate(&given)) {
        Ok(read) => {
            let rendered = read.values.to_string();
            // Carriage returns at the end of a value are dropped at each reading, as by DKMS,
            // and of several blanks one is left: an empty variable may stand between two.
            if !rendered.contains('\r') {
                let again = DkmsConf::parse(&rendered).and_then(|conf| conf.evaluate(&given));
                let again = again.map(|again| squeezed(&again.values.to_string()));
                assert_eq!(again, Ok(squeezed(&rendered)));
            }
        }
        Err(error) => assert!(error.line <= text.lines().count().max(1) + 1, "{error:?}"),
    }
    plain_words(text, &given);
});

/// With one blank where there are several.
fn squeezed(text: &str) -> String {
    let blank = |c: char| " \t\n".contains(c);
    text.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
