// SPDX-License-Identifier: GPL-2.0
//! Reads Linux kernel modules (`.ko` files), and predicts whether a given kernel would load them.
//!
//! # What it is for
//!
//! - [`module::Module`] is what is in a module: its modinfo, the symbols it imports and exports
//!   with their CRCs, its signature, compilers and build-id.
//! - [`file::ModuleFile`] is a module's file, whose compression ([`compression`]) is undone.
//! - [`load`] compares a module with a kernel, known by its configuration ([`config`]), by what it
//!   exports ([`symvers`]) and by one of its own modules, and gives every reason why the kernel
//!   would refuse the module.
//! - [`release`] and [`name`] are the names of kernels and of modules.
//!
//! # What it does not know
//!
//! Where kernels come from, how modules are built, signed or installed, and what a program that
//! uses it prints or exits with. It runs no program and loads nothing. Only [`disk`] touches
//! files; all else takes text or bytes and returns values. Whether a signature is valid is for
//! OpenSSL to say.
//!
//! Input is not trusted: bytes that are damaged, or made to do harm, are an error and never a
//! panic, and a small file cannot decompress to more than [`compression::LIMIT`].
//!
//! # Example
//!
//! ```
//! use kmodfile::config::Config;
//! use kmodfile::file::ModuleFile;
//! use kmodfile::load::target::LoadTarget;
//! # use object::write::{Object, Symbol, SymbolSection};
//! # use object::{Architecture, BinaryFormat, Endianness, SectionKind};
//! # use object::{SymbolFlags, SymbolKind, SymbolScope};
//! # fn built(modinfo: &[u8], import: &str) -> Vec<u8> {
//! #     let mut elf = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
//! #     for (name, data) in [(".modinfo", modinfo), (".gnu.linkonce.this_module", &[0; 64])] {
//! #         let section = elf.add_section(vec![], name.into(), SectionKind::ReadOnlyData);
//! #         elf.append_section_data(section, data, 8);
//! #     }
//! #     let (kind, scope) = (SymbolKind::Unknown, SymbolScope::Unknown);
//! #     let (section, flags) = (SymbolSection::Undefined, SymbolFlags::None);
//! #     let name = import.into();
//! #     let (value, size, weak) = (0, 0, false);
//! #     elf.add_symbol(Symbol { name, value, size, kind, scope, weak, section, flags });
//! #     elf.write().unwrap()
//! # }
//! # let vermagic = b"name=hello\0license=GPL\0vermagic=7.2.1 SMP mod_unload \0";
//! # let (bytes, kernels_own) = (built(vermagic, "printk"), built(vermagic, "printk"));
//!
//! // What is in a module. `ModuleFile::read` takes the path of one on disk instead.
//! let hello = ModuleFile::of("hello.ko".into(), bytes)?.module()?;
//! assert_eq!(hello.name().as_deref(), Some("hello"));
//! assert_eq!(hello.modinfo.get("license"), Some("GPL"));
//! assert_eq!(hello.imports[0].symbol, "printk");
//!
//! // A kernel: its .config, its Module.symvers, and any one of its own modules.
//! let config = Config::parse("CONFIG_SMP=y\nCONFIG_MODULE_SIG=y\n");
//! let symvers = "0x00000000\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n";
//! let own = ModuleFile::of("own.ko".into(), kernels_own)?.module()?;
//! let kernel = LoadTarget::new(&config, symvers, &own);
//!
//! // It would load the module, which taints it; where signatures are enforced, it would not. A
//! // compressed one is judged with `ModuleFile::packing`, by `judge_packed`.
//! let answer = kernel.judge(&hello);
//! assert!(answer.loads());
//! assert_eq!(answer.notes[0].to_string(), "not signed: it taints the kernel");
//! let answer = kernel.secured().judge(&hello);
//! let reason = "it is not signed, and the kernel enforces signatures";
//! assert_eq!(answer.refusals[0].to_string(), reason);
//! # Ok::<(), kmodfile::file::FileError>(())
//! ```

pub mod architecture;
pub mod compression;
pub mod config;
pub mod crc;
pub mod disk;
pub mod error;
pub mod exports;
pub mod file;
pub mod foreign;
pub mod inspection;
pub mod load;
pub mod modinfo;
pub mod module;
pub mod name;
pub mod packing;
pub mod release;
pub mod signature;
pub mod symvers;
pub mod versions;
