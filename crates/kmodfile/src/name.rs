// SPDX-License-Identifier: GPL-2.0
//! Names of modules and of their files: `virtio-rng.ko.xz` holds the module `virtio_rng`.

/// What the name of a module's file ends with.
const ENDINGS: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];

/// The file name without its ending, if it is a module's: `virtio-rng` of `virtio-rng.ko.xz`.
///
/// ```
/// assert_eq!(kmodfile::name::stem("virtio-rng.ko.xz"), Some("virtio-rng"));
/// assert_eq!(kmodfile::name::stem("virtio-rng.ko.debug"), None);
/// ```
pub fn stem(file_name: &str) -> Option<&str> {
    let stem = ENDINGS.iter().find_map(|ending| file_name.strip_suffix(ending))?;
    (!stem.is_empty()).then_some(stem)
}

/// The module that a file of this name stands for, as modprobe(8) takes it: `virtio_rng` of
/// `virtio-rng.ko.xz`.
///
/// ```
/// assert_eq!(kmodfile::name::of_file("virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
/// ```
pub fn of_file(file_name: &str) -> Option<String> {
    stem(file_name).map(loaded)
}

/// The name a module has once it is loaded (`/proc/modules`): dashes become underscores.
pub fn loaded(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_have_module_names() {
        for (file, name) in [
            ("vfat.ko", Some("vfat")),
            ("virtio-rng.ko.xz", Some("virtio_rng")),
            ("a.ko.zst", Some("a")),
            ("a.ko.gz", Some("a")),
            ("a.b.ko", Some("a.b")),
            ("modules.dep", None),
            (".ko", None),
            (".ko.xz", None),
            ("a.ko.debug", None),
            ("a.ko.xz.origin", None),
            ("a.o", None),
            ("", None),
        ] {
            assert_eq!(of_file(file).as_deref(), name, "{file}");
        }
    }
}
