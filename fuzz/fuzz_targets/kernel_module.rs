// SPDX-License-Identifier: GPL-2.0
//! A module: parsing and judging it neither panics nor hangs, and gives the same when done twice.
#![no_main]

use kmodfile::config::Config;
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Module;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|image: &[u8]| {
    if let Ok(module) = Module::parse(image) {
        let config = Config::parse("CONFIG_MODVERSIONS=y\nCONFIG_MODULE_SIG=y\n");
        let symvers = "0x00000002\tneeded\tvmlinux\tEXPORT_SYMBOL_GPL\tNS\n";
        let answer = LoadTarget::new(&config, symvers, &module).judge(&module);
        assert!(answer.imports.len() <= module.imports.len());
        assert_eq!(Module::parse(image), Ok(module));
    }
});
