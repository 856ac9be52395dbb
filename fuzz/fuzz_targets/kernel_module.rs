// SPDX-License-Identifier: GPL-2.0
//! A module's file, packed or plain: unpacking, parsing and judging it neither panics nor hangs,
//! and gives the same when done twice.
#![no_main]

use kmodfile::config::Config;
use kmodfile::file::ModuleFile;
use kmodfile::load::answer::Refusal;
use kmodfile::load::target::LoadTarget;
use kmodfile::load::unpacking::KernelUnpacker;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = ModuleFile::of("x.ko".into(), bytes.to_vec()) else { return };
    let config = "CONFIG_MODVERSIONS=y\nCONFIG_MODULE_SIG=y\nCONFIG_MODULE_DECOMPRESS=y\n";
    if let Some(packing) = &file.packing {
        for format in ["GZIP", "XZ", "ZSTD"] {
            let config = Config::parse(&format!("{config}CONFIG_MODULE_COMPRESS_{format}=y\n"));
            for refusal in Refusal::of_packing(packing, KernelUnpacker::of(&config).as_ref(), None) {
                assert!(refusal.repacking().is_some() && !refusal.to_string().is_empty());
            }
        }
    }
    if let Ok(module) = file.module() {
        let config = Config::parse(&format!("{config}CONFIG_MODULE_COMPRESS_XZ=y\n"));
        let symvers = "0x00000002\tneeded\tvmlinux\tEXPORT_SYMBOL_GPL\tNS\n";
        let answer = LoadTarget::new(&config, symvers, &module).judge_packed(&module, file.packing.as_ref());
        assert!(answer.imports.len() <= module.imports.len());
        assert_eq!(file.module().unwrap(), module);
    }
});
