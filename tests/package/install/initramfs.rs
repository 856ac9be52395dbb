// SPDX-License-Identifier: GPL-2.0
//! The initramfs, with the distribution's own programs: a module that is in it is ours there, too,
//! once it is installed, and the stock one again once it is not.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use kmodfile::file::ModuleFile;
use libtest_mimic::Trial;
use report::process::{Cmd, Output};
use xtask::commands::test::LONG;

use super::MODULE;
use crate::suite::{PROGRAM, Suite};

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![suite.trial("install::update_initramfs_takes_ours_and_gives_it_back", |suite| {
        let machine = Machine::new(suite, &INITRAMFS_TOOLS);
        machine.there_and_back();
        machine.what_is_not_in_it_changes_nothing_of_it();
        machine.a_rebuild_that_fails_undoes_the_install();
        machine.a_rebuild_that_does_nothing_undoes_the_install();
        machine.a_module_that_is_left_out_is_named();
    })];
    if std::env::var_os(LONG).is_some() {
        trials.push(suite.trial("install::dracut_takes_ours_and_gives_it_back", |suite| {
            Machine::new(suite, &DRACUT).there_and_back();
        }));
    }
    trials
}

/// A distribution's way to make an initramfs.
struct Tools {
    packages: &'static [&'static str],
    /// Makes the first initramfs, of `$RELEASE` with `$MODULE`.
    first: &'static str,
    /// Lists its files.
    list: &'static str,
    program: &'static str,
}

const INITRAMFS_TOOLS: Tools = Tools {
    packages: &["initramfs-tools", "kmod", "zstd"],
    first: "echo MODULES=list >/etc/initramfs-tools/conf.d/list
        echo $MODULE >>/etc/initramfs-tools/modules
        update-initramfs -c -k $RELEASE",
    list: "lsinitramfs /boot/initrd.img-$RELEASE",
    program: "update-initramfs",
};

const DRACUT: Tools = Tools {
    packages: &["dracut", "kmod", "zstd"],
    first: "echo \"add_drivers+=\\\" $MODULE \\\"\" >/etc/dracut.conf.d/module.conf
        dracut --no-hostonly --kver $RELEASE /boot/initrd.img-$RELEASE",
    list: "lsinitrd /boot/initrd.img-$RELEASE",
    program: "dracut",
};

/// A system with one kernel, whose initramfs has the module in it.
struct Machine<'a> {
    suite: &'a Suite,
    tools: &'a Tools,
    tree: Option<Scratch>,
    files: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl<'a> Machine<'a> {
    fn new(suite: &'a Suite, tools: &'a Tools) -> Self {
        let (context, kdir) = (suite.context(), &suite.prepared().kdir);
        let packages = tools.packages.iter().map(|name| (*name).to_owned()).collect();
        let root = TreeRoot::provide(context, &debian::recipe("stable", packages)).unwrap();
        let dir = tempfile::tempdir_in(context.cache.path("")).unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let files = path.join("files");
        fs_err::create_dir(&files).unwrap();
        let stock = kdir.stock_module(MODULE).unwrap();
        fs_err::write(files.join(format!("{MODULE}.ko")), ModuleFile::read(&stock).unwrap().image).unwrap();
        let tree = Scratch::over(&root, &path.join("changes")).unwrap().with_layer(kdir.image());
        let machine = Self { suite, tools, tree: Some(tree), files, _dir: dir };
        machine.sh(&format!("depmod $RELEASE\n{}", tools.first));
        machine
    }

    fn finish(&self, script: &str) -> Output {
        let cmd = Cmd::new("sh").args(["-e", "-c", script]).cwd(&self.files).env("XTASK", PROGRAM);
        let cmd = cmd.env("RELEASE", self.suite.prepared().kdir.release().as_str()).env("MODULE", MODULE);
        let cmd = cmd.env("XDG_CACHE_HOME", "/tmp");
        let access = Access::default().read(Utf8Path::new(PROGRAM).parent().unwrap()).write(&self.files);
        let context = self.suite.context();
        self.tree.as_ref().unwrap().inside(context, cmd, &access).finish(&context.report).unwrap()
    }

    #[track_caller]
    fn sh(&self, script: &str) -> Output {
        let output = self.finish(script);
        assert!(output.status.success(), "{script}: {}", output.tail);
        output
    }

    /// The files of the module in the initramfs, relative to the release's directory.
    fn modules(&self) -> Vec<String> {
        let text = self.sh(self.tools.list).text();
        let inside = format!("lib/modules/{}/", self.suite.prepared().kdir.release());
        let files = text.lines().filter_map(|line| line.split_once(&inside)).map(|(_, file)| file.to_owned());
        files.filter(|file| file.contains(&format!("/{MODULE}.ko"))).collect()
    }

    fn there_and_back(&self) {
        let is_stock = |files: &[String]| matches!(files, [one] if one.starts_with("kernel/"));
        assert!(is_stock(&self.modules()), "{:?}", self.modules());
        let said = self.sh("$XTASK install $MODULE.ko").tail;
        assert!(said.contains(&format!("with {}", self.tools.program)), "{said}");
        assert_eq!(self.modules(), [format!("extra/{MODULE}.ko")]);
        self.sh("$XTASK uninstall $MODULE");
        assert!(is_stock(&self.modules()), "{:?}", self.modules());
    }

    /// It is not made again for a module that it does not hold.
    fn what_is_not_in_it_changes_nothing_of_it(&self) {
        let said = self.sh("before=$(sha256sum /boot/initrd.img-$RELEASE)
            modinfo -k $RELEASE -n nls_utf8 | xargs cp -t .
            $XTASK install nls_utf8.ko*
            test \"$before\" = \"$(sha256sum /boot/initrd.img-$RELEASE)\"
            $XTASK uninstall nls_utf8");
        assert!(said.tail.contains("it does not contain nls_utf8"), "{}", said.tail);
    }

    /// A hook of somebody's that fails once our module is there.
    fn a_rebuild_that_fails_undoes_the_install(&self) {
        self.sh("hook=/etc/initramfs-tools/hooks/strict
            echo '#!/bin/sh' >$hook
            echo \"test ! -e /lib/modules/$RELEASE/extra/$MODULE.ko\" >>$hook
            chmod +x $hook");
        self.assert_not_installed("strict");
        self.sh("rm /etc/initramfs-tools/hooks/strict");
    }

    /// update-initramfs reports success where it is configured to do nothing.
    fn a_rebuild_that_does_nothing_undoes_the_install(&self) {
        let update = |value: &str| {
            let file = "/etc/initramfs-tools/update-initramfs.conf";
            self.sh(&format!("sed -i s/^update_initramfs=.*/update_initramfs={value}/ {file}"));
        };
        update("no");
        self.assert_not_installed("reported success but did not write it");
        update("yes");
    }

    /// Whoever takes a module out of the list is told that it is not in the next initramfs.
    fn a_module_that_is_left_out_is_named(&self) {
        self.sh("sed -i /^$MODULE$/d /etc/initramfs-tools/modules");
        let said = self.sh("$XTASK install $MODULE.ko").tail;
        assert!(said.contains(&format!("left out {MODULE}")) && self.modules().is_empty(), "{said}");
    }

    #[track_caller]
    fn assert_not_installed(&self, said: &str) {
        let output = self.finish("$XTASK install $MODULE.ko");
        assert!(!output.status.success() && output.tail.contains(said), "{}", output.tail);
        self.sh("test ! -e /lib/modules/$RELEASE/extra && test ! -e /etc/depmod.d/$MODULE.conf");
        self.sh("modinfo -k $RELEASE -n $MODULE | grep /kernel/");
        assert!(self.modules()[0].starts_with("kernel/"));
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if let Some(tree) = self.tree.take() {
            tree.remove(self.suite.context()).ok();
        }
    }
}
