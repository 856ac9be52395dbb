// SPDX-License-Identifier: GPL-2.0
//! What packages are called at Fedora's and at SUSE's.

/// Names of packages where Fedora's and SUSE's differ.
#[derive(Debug)]
pub(super) struct PackageNames {
    /// To build any kernel's host programs and modules.
    pub(super) kernel: &'static [&'static str],
    /// For a kernel with Rust besides.
    pub(super) rust: &'static [&'static str],
    /// What rpmbuild(8) needs besides.
    pub(super) rpmbuild: &'static [&'static str],
    /// What shows directories of this machine to virtual ones.
    pub(super) virtiofsd: &'static str,
}

/// Fedora's names, which RHEL and its rebuilds share; `bindgen-cli` is in EPEL there.
pub(super) const OF_FEDORA: PackageNames = PackageNames {
    kernel: &[
        "bc",
        "bison",
        "cpio",
        "diffutils",
        "dwarves",
        "elfutils-devel",
        "elfutils-libelf-devel",
        "findutils",
        "flex",
        "gcc",
        "glibc-devel",
        "gzip",
        "kmod",
        "make",
        "openssl",
        "openssl-devel",
        "patch",
        "perl-interpreter",
        "python3",
        "rsync",
        "tar",
        "xz",
        "zstd",
    ],
    rust: &["bindgen-cli", "clang", "lld", "llvm", "rust", "rust-src"],
    rpmbuild: &["rpm-build"],
    virtiofsd: "virtiofsd",
};

/// openSUSE's names.
pub(super) const OF_SUSE: PackageNames = PackageNames {
    kernel: &[
        "bc",
        "bison",
        "cpio",
        "diffutils",
        "dwarves",
        "findutils",
        "flex",
        "gcc",
        "glibc-devel",
        "gzip",
        "kmod",
        "libdw-devel",
        "libelf-devel",
        "libopenssl-devel",
        "make",
        "openssl",
        "patch",
        "perl",
        "python3",
        "rsync",
        "tar",
        "xz",
        "zstd",
    ],
    rust: &["clang", "lld", "llvm", "rust", "rust-bindgen", "rust-src"],
    rpmbuild: &["rpm-build"],
    virtiofsd: "virtiofsd",
};
