// SPDX-License-Identifier: GPL-2.0
//! The names of the directives of DKMS (dkms(8), "DKMS.CONF").

/// The directives that DKMS follows.
const FOLLOWED: &[&str] = &[
    "AUTOINSTALL",
    "BUILD_DEPENDS",
    "BUILD_DEPENDS_REBUILD",
    "BUILD_EXCLUSIVE_ARCH",
    "BUILD_EXCLUSIVE_CONFIG",
    "BUILD_EXCLUSIVE_KERNEL",
    "BUILD_EXCLUSIVE_KERNEL_MAX",
    "BUILD_EXCLUSIVE_KERNEL_MIN",
    "BUILT_MODULE_LOCATION",
    "BUILT_MODULE_NAME",
    "CLEAN",
    "DEST_MODULE_LOCATION",
    "DEST_MODULE_NAME",
    "MAKE",
    "MAKE_MATCH",
    "NO_WEAK_MODULES",
    "OBSOLETE_BY",
    "PACKAGE_NAME",
    "PACKAGE_VERSION",
    "PATCH",
    "PATCH_MATCH",
    "POST_ADD",
    "POST_BUILD",
    "POST_INSTALL",
    "POST_REMOVE",
    "PRE_BUILD",
    "PRE_INSTALL",
    "STRIP",
];

/// Directives without effect since DKMS 3.0.
pub const REMOVED: &[&str] = &[
    "MODULES_CONF",
    "MODULES_CONF_ALIAS_TYPE",
    "MODULES_CONF_OBSOLETES",
    "MODULES_CONF_OBSOLETE_ONLY",
    "REMAKE_INITRD",
];

/// Directives that name programs which DKMS runs when it adds, installs or removes a package, and
/// not when it builds one.
pub const HOOKS: &[&str] = &["POST_ADD", "POST_INSTALL", "POST_REMOVE", "PRE_INSTALL"];

/// The names of all directives of DKMS. What else a file assigns are variables of its own.
pub fn all() -> impl Iterator<Item = &'static str> {
    [FOLLOWED, REMOVED].into_iter().flatten().copied()
}
