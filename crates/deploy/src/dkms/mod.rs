// SPDX-License-Identifier: GPL-2.0
//! DKMS: a project registered, built, installed and uninstalled by the real dkms(8), and what came of it looked at.

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
