// SPDX-License-Identifier: GPL-2.0
//! Systems that are deployed as images: buildah makes one after `examples/bootc/Containerfile`, and
//! what is in it afterwards is of the image's kernel, and of no other.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian;
use kernel::machine::user::is_root;
use kernel::root::tree::TreeRoot;
use kmodfile::file::ModuleFile;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::process::Cmd;
use xtask::repository;

use crate::rpm::guard;
use crate::rpm_install::kernel_package;
use crate::suite::{PROGRAM, Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![suite.trial("image::a_module_is_built_into_an_image_for_the_kernel_of_the_image", built)]
}

/// A stock module that the tool installs a second time, before the first.
const MODULE: &str = "dns_resolver";

/// A store of images, and what they are made of.
struct Store {
    dir: Utf8PathBuf,
    release: Release,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new(suite: &Suite) -> Self {
        let dir = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().to_owned();
        let store = Self { dir: path, release: suite.prepared().kdir.release().clone(), _dir: dir };
        store.make_base(suite);
        store.make_context(suite);
        store
    }

    /// Runs a script in which `buildah` is one with this store; gives its status and all it said.
    fn finish(&self, script: &str) -> (i32, String) {
        let buildah = format!(
            "buildah() {{ command buildah --root {0}/store --runroot {0}/run --storage-driver vfs \"$@\"; }}",
            self.dir
        );
        let cmd = Cmd::new("bash")
            .args(["-e", "-c", &format!("{buildah}\n{script}")])
            .cwd(&self.dir)
            .env("BUILDAH_ISOLATION", "chroot")
            .env("KERNEL", self.release.as_str());
        run(&cmd)
    }

    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let (status, text) = self.finish(script);
        assert_eq!(status, 0, "{script}:\n{text}");
        text
    }

    /// The image that stands for the distribution's: a system with a kernel, whose initramfs has
    /// the stock module in it.
    fn make_base(&self, suite: &Suite) {
        let packages = ["dracut", "kmod", "rpm", "zstd"].map(str::to_owned).to_vec();
        let root = TreeRoot::provide(suite.context(), &debian::recipe("stable", packages)).unwrap();
        let kdir = &suite.prepared().kdir;
        kernel_package(kdir, |_, crc| crc).write_file(self.dir.join("kernel.rpm")).unwrap();
        let (tree, image) = (root.tree(), kdir.image());
        self.sh(&format!(
            "base=$(buildah from scratch); to=$(buildah mount $base)
             cp -a {tree}/. $to; cp -a {image}/. $to; cp kernel.rpm $to/tmp
             echo 'add_drivers+=\" {MODULE} \"' > $to/etc/dracut.conf.d/module.conf
             buildah run $base -- sh -ec '
                 depmod '$KERNEL'; rpm --initdb; rpm --install /tmp/kernel.rpm; rm /tmp/kernel.rpm
                 mkdir -p /usr/share/licenses
                 dracut --no-hostonly --kver '$KERNEL' /usr/lib/modules/'$KERNEL'/initramfs.img'
             buildah commit --quiet $base base; buildah rm $base"
        ));
    }

    /// What the example's files are built from.
    fn make_context(&self, suite: &Suite) {
        let modules = self.dir.join("context/modules");
        fs_err::create_dir_all(&modules).unwrap();
        let package = guard(suite).package("kmod-cifs-fix");
        fs_err::copy(&package, modules.join(package.file_name().unwrap())).unwrap();
        let stock = suite.prepared().kdir.stock_module(MODULE).unwrap();
        let file = modules.join(format!("{MODULE}.ko"));
        fs_err::write(file, ModuleFile::read(&stock).unwrap().image).unwrap();
        fs_err::copy(PROGRAM, modules.join("cargo-kmod")).unwrap();
    }

    /// Makes the example's image `target`, and gives the directory that is its `/`.
    fn image(&self, target: &str, options: &str) -> Utf8PathBuf {
        let file = repository().join("examples/bootc/Containerfile");
        self.sh(&format!(
            "buildah bud --file {file} --pull-never --build-arg BASE=localhost/base {options} \
             --target {target} --tag {target} context"
        ));
        self.mounted(&format!("of-{target}"), target)
    }

    /// The directory that is `/` of a container of this name, made of an image.
    fn mounted(&self, name: &str, image: &str) -> Utf8PathBuf {
        let text = self.sh(&format!("buildah mount $(buildah from --pull-never --name {name} {image})"));
        Utf8PathBuf::from(text.lines().next_back().unwrap().trim())
    }

    fn initramfs(&self, target: &str) -> String {
        self.sh(&format!("buildah run of-{target} -- lsinitrd /usr/lib/modules/$KERNEL/initramfs.img"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nothing is mounted: layers of this driver are plain directories.
        self.finish("buildah rm --all; buildah rmi --all --force");
    }
}

fn built(suite: &Suite) {
    if !is_root() {
        eprintln!("image: is for root alone, whose build roots can be copied into an image");
        return;
    }
    let store = Store::new(suite);
    let release = store.release.as_str();

    let image = store.image("tool", "");
    let (file, dep) = (format!("extra/{MODULE}.ko"), "modules.dep");
    of_the_images_kernel(&store, &image, &file);
    let modules = image.join("usr/lib/modules").join(release);
    let text = fs_err::read_to_string(modules.join(dep)).unwrap();
    assert!(!text.is_empty() && modules.join("kernel").is_dir());
    let conf = fs_err::read_to_string(image.join(format!("etc/depmod.d/{MODULE}.conf"))).unwrap();
    assert!(conf.contains(&format!("override {MODULE} * extra")), "{conf}");
    let listed = store.initramfs("tool");
    assert!(listed.contains(&format!("/{release}/{file}")), "{listed}");
    assert!(
        !image.join("tmp/cache").exists()
            && !image.join("boot").join(format!("initramfs-{release}.img")).exists()
    );

    let image = store.mounted("outside", "base");
    let module = store.dir.join("context/modules").join(format!("{MODULE}.ko"));
    let said = store.sh(&format!("{PROGRAM} install --root {image} {module}"));
    of_the_images_kernel(&store, &image, &format!("extra/{MODULE}.ko"));
    let left = format!("{image}/usr/lib/modules/{release}/initramfs.img as it is");
    assert!(said.contains(&left) && said.contains("--initramfs always"), "{said}");

    let image = store.image("package", "--build-arg DRACUT='--add-drivers cifs_fix'");
    let file = "extra/cifs-fix/cifs_fix.ko";
    of_the_images_kernel(&store, &image, file);
    let listed = store.initramfs("package");
    assert!(listed.contains(&format!("/{release}/{file}")), "{listed}");

    // What is in it, the package's own script makes anew.
    fs_err::write(image.join("etc/dracut.conf.d/own.conf"), "add_drivers+=\" cifs_fix \"\n").unwrap();
    let initramfs = image.join("usr/lib/modules").join(release).join("initramfs.img");
    fs_err::copy(guard(suite).package("kmod-cifs-fix"), image.join("tmp/again.rpm")).unwrap();
    let before = initramfs.metadata().unwrap().modified().unwrap();
    store.sh(
        "buildah run of-package -- rpm --install --replacepkgs --define '__transaction_unshare %{nil}' /tmp/again.rpm",
    );
    assert!(initramfs.metadata().unwrap().modified().unwrap() > before, "it was not made anew");
    let listed = store.initramfs("package");
    assert!(listed.contains(&format!("/{release}/{file}")), "{listed}");
    assert!(listed.contains("--no-hostonly") && listed.contains("--reproducible"), "{listed}");
}

/// The module is indexed for the kernel of the image, and nothing there is of the builder's.
fn of_the_images_kernel(store: &Store, image: &Utf8Path, file: &str) {
    let release = store.release.as_str();
    let modules = image.join("usr/lib/modules");
    let kernels: Vec<String> =
        modules.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
    assert_eq!(kernels, [release]);
    let dir = modules.join(release);
    let dep = fs_err::read_to_string(dir.join("modules.dep")).unwrap();
    assert!(dep.lines().any(|line| line.starts_with(&format!("{file}:"))), "{file} is not indexed");

    let vermagic = store.sh(&format!("modinfo --field vermagic {}", dir.join(file)));
    assert!(vermagic.starts_with(&format!("{release} ")), "{vermagic}");
    let builder = store.sh("uname -r");
    let builder = builder.trim();
    assert_ne!(builder, release, "this machine runs the kernel of the trial");
    let named = store.sh(&format!("cd {image}; find . -xdev -name '*{builder}*' -print"));
    assert_eq!(named.trim(), "");
    let (_, text) = store.finish(&format!(
        "cd {image}; grep -rlF -e '{builder}' etc var/lib/dracut usr/lib/modules/*/modules.* usr/lib/depmod.d"
    ));
    assert!(!text.lines().any(|line| !line.starts_with("grep: ")), "{text}");
}
