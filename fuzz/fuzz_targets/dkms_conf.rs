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
            // Carriage returns at the end of a line, or of a value, are dropped at each reading, as by
            // DKMS.
            if !rendered.contains('\r') {
                let again = DkmsConf::parse(&rendered).and_then(|conf| conf.evaluate(&given));
                assert_eq!(again.map(|again| again.values), Ok(read.values));
            }
        }
        Err(error) => assert!(error.line <= text.lines().count().max(1) + 1, "{error:?}"),
    }
    plain_words(text, &given);
});
