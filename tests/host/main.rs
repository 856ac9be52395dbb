// SPDX-License-Identifier: GPL-2.0
//! What needs neither the archive nor a virtual machine: the repository's own rules, and the
//! command line as a user meets it.

mod again;
mod architectures;
mod archive;
mod bad_input;
mod command_line;
mod committed;
mod corpus;
mod dependencies;
mod dkms_conf;
#[path = "../dkms/corpus.rs"]
mod dkms_corpus;
mod dry_run;
mod elf;
mod floor_plan;
mod frames;
mod kernels;
mod key;
mod makefile;
mod modules;
mod namespaces;
mod nouns;
mod outputs;
mod patterns;
mod progress;
mod rules;
mod sanitizing;
mod series;
mod spec;
mod tidy;
mod tool;
mod verify;
mod version;
