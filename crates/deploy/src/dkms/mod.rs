// SPDX-License-Identifier: GPL-2.0
//! DKMS: registers, builds, installs and uninstalls a project with the real dkms(8), and checks the
//! results.

pub mod bring;
pub mod bundle;
pub mod check;
pub mod command;
pub mod fault;
pub mod package;
pub mod place;
mod removal;
pub mod session;
pub mod source;
pub mod status;
pub mod target;

pub use bring::Goal;
pub use bundle::Bundle;
pub use command::PROGRAMS;
pub use package::DkmsPackage;
pub use session::{Dkms, DkmsOutcome};
