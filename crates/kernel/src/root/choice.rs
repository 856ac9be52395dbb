// SPDX-License-Identifier: GPL-2.0
//! Which build root the user wants.

/// Where compilers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RootChoice {
    /// The host where its distribution and packages are right, else a made root
    #[default]
    Auto,
    /// The host itself; refused where its distribution is another
    Host,
    /// A made root, even where the host would do
    Made,
}
