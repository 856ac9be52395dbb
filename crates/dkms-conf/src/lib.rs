// SPDX-License-Identifier: GPL-2.0
//! Reads a `dkms.conf` as bash would, and runs nothing.
//!
//! # What it is for
//!
//! - [`DkmsConf`] is the file as it was read, and [`Evaluated`] what its assignments give with the
//!   variables that DKMS sets ([`Given`]). What only a shell could carry out is a [`ReadError`]
//!   with its place.
//! - [`directives`] gives what DKMS takes from these values: the modules, and the make command and
//!   the patches for a kernel.
//! - [`objections`] says what which DKMS refuses or passes over in what is read here.
//! - [`exclusive::Exclusive`] says which kernels and architectures a package or a module is for.
//! - A [`KnownCommand`], such as `$(nproc)`, has the value of a variable that is given; it is not
//!   run.
//! - [`plain_words`] splits a command that takes no shell into its words.
//!
//! # What it does not know
//!
//! It reads no file, runs no program, and assumes nothing of the machine it runs on: the kernel's
//! release, its architecture and its configuration are given as text and a function. What a program
//! does about a directive, and what it says of an error, is for that program.
//!
//! # Example
//!
//! ```
//! use dkms_conf::exclusive::{Exclusive, TargetKernel};
//! use dkms_conf::{DkmsConf, Given, directives};
//!
//! let conf = DkmsConf::parse(
//!     r#"
//!     PACKAGE_NAME="hello"
//!     PACKAGE_VERSION="1.0"
//!     BUILT_MODULE_NAME=(hello hello_debug)
//!     DEST_MODULE_LOCATION="/extra"
//!     MAKE="make -C $kernel_source_dir M=$dkms_tree/$module/$module_version/build"
//!     BUILD_EXCLUSIVE_KERNEL_MIN="6.1"
//!     BUILD_EXCLUSIVE_CONFIG="CONFIG_NET"
//!     "#,
//! )?;
//!
//! // What the file assigns. DKMS has set these variables before it reads it.
//! let given = Given::from([
//!     ("kernel_source_dir", "/lib/modules/6.12.1/build".to_owned()),
//!     ("dkms_tree", "/var/lib/dkms".to_owned()),
//!     ("module", "hello".to_owned()),
//!     ("module_version", "1.0".to_owned()),
//! ]);
//! let values = conf.evaluate(&given)?.values;
//! assert_eq!(values.scalar("PACKAGE_VERSION"), Some("1.0"));
//!
//! // Its modules, and what builds them for a kernel.
//! let modules = directives::modules(&values, "hello")?;
//! assert_eq!(modules[1].name, "hello_debug");
//! assert_eq!(
//!     directives::make(&values, Some("6.12.1"))?,
//!     "make -C /lib/modules/6.12.1/build M=/var/lib/dkms/hello/1.0/build"
//! );
//!
//! // Whether it is for that kernel.
//! let kernel = |release| TargetKernel {
//!     release,
//!     architecture: "x86_64",
//!     enabled: &|option| option == "CONFIG_NET",
//! };
//! let exclusive = Exclusive::read(&values, 0)?;
//! assert_eq!(exclusive.excludes(&kernel("6.12.1")), None);
//! assert_eq!(
//!     exclusive.excludes(&kernel("5.10.9")).as_deref(),
//!     Some("it is older than 6.1 (BUILD_EXCLUSIVE_KERNEL_MIN)")
//! );
//!
//! // What takes a shell is refused, and never run.
//! let error = DkmsConf::parse("A=1\nB=$(rm -rf /)\n").unwrap_err();
//! assert!(error.needs_shell);
//! let reason = "line 2, column 3: a command substitution, which is not executed";
//! assert_eq!(error.to_string(), reason);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod directives;
mod ere;
mod error;
pub mod exclusive;
mod names;
pub mod objections;
mod pattern;
mod reader;

pub use error::{DirectiveError, DirectivePlace, ReadError};
pub use reader::known::KnownCommand;
pub use reader::values::Values;
pub use reader::{DkmsConf, Evaluated, Given, HIGHEST, Taken, plain_words, reread};
