// SPDX-License-Identifier: GPL-2.0
//! What the user gives besides the `dkms.conf`.

use std::collections::BTreeMap;

/// Directives that the user gives a value besides the `dkms.conf`, or instead of it (`--set
/// NAME=VALUE`).
pub type Settings = BTreeMap<String, String>;
