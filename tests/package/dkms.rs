// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask dkms-*` with the real dkms, on a system with the default kernel and no headers.

use deploy::dkms::source::DkmsSource;
use kernel::kdir::Kdir;
use libtest_mimic::Trial;
use project::Project;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::machine::Machine;
use crate::suite::Suite;

/// Replaces a module of the kernel's own.
const REPLACEMENT: &str = "--project tests/dkms/replacement --kernel $KERNEL";

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("dkms::the_guard_is_installed_found_and_uninstalled", the_guard),
        suite.trial("dkms::what_a_killed_dkms_left_is_named_and_repaired", killed),
        suite.trial("dkms::what_cannot_be_is_refused_by_name", refused),
        suite.trial("dkms::a_kernel_that_nobody_prepared_is_passed_over_and_not_by_name", unprepared),
        suite.trial("dkms::the_rebuilt_client_is_passed_over_where_it_cannot_be", the_client),
        suite.trial("dkms::an_rpm_and_a_tar_file_carry_it", bundles),
        suite.trial("dkms::another_systems_tree_is_served_and_the_machine_left_alone", another_system),
        suite.trial("dkms::kernels_are_built_beside_each_other", several_kernels),
    ]
}

fn machine(suite: &Suite) -> Machine<'_> {
    Machine::with_kernel(suite.context(), &suite.prepared().kdir)
}

/// Runs the tool there, however it ends.
fn tool(machine: &Machine<'_>, words: &str) -> (i32, String) {
    machine.sh(&format!("$XTASK {words}"))
}

/// A link below weak-updates whose module is gone, and how it is named.
fn dangling(machine: &Machine<'_>, root: &str) -> String {
    machine.ok(&format!(
        "mkdir {root}/lib/modules/$KERNEL/weak-updates
         ln -s ../../6.1/extra/old.ko {root}/lib/modules/$KERNEL/weak-updates/old.ko"
    ));
    "/weak-updates/old.ko: this link leads to ../../6.1/extra/old.ko, where depmod finds no module".to_owned()
}

fn the_guard(suite: &Suite) {
    let machine = machine(suite);
    let dangling = dangling(&machine, "");
    let before = machine.modules();
    let output = machine.tool_ok("dkms-install --kernel $KERNEL");
    assert!(output.contains(&dangling), "{output}");
    let file = machine.resolved("cifs_fix");
    assert!(file.contains("/updates/dkms/cifs_fix.ko"), "{file}\n{output}");
    assert!(output.contains(&file) && output.contains("installed  yes"), "{output}");
    assert!(machine.tool_ok(&format!("inspect {file}")).contains("rust:           yes"));
    let again = machine.tool_ok("dkms-install --kernel $KERNEL");
    assert!(again.contains("is already installed") && !again.contains("Building"), "{again}");
    let status = machine.tool_ok("dkms-status --json 2>/dev/null");
    let rows: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&rows[0]["name"], &rows[0]["state"]), (&"cifs-fix".into(), &"installed".into()), "{status}");
    assert_eq!(rows[0]["faults"], serde_json::json!([]));
    machine.tool_ok("dkms-uninstall --kernel $KERNEL");
    assert_eq!(machine.resolved("cifs_fix"), "");
    // What is so already ends well, at each step of the way back.
    assert!(machine.tool_ok("dkms-uninstall --kernel $KERNEL").contains("is not installed for"));
    machine.tool_ok("dkms-remove");
    assert!(machine.tool_ok("dkms-uninstall --kernel $KERNEL").contains("is not installed for"));
    assert!(machine.tool_ok("dkms-remove").contains("DKMS does not know cifs-fix"));
    assert_eq!(machine.ok("ls /usr/src /var/lib/dkms | grep cifs; true"), "");
    assert_eq!(machine.modules(), before);
}

/// Kills the real dkms right before it does one thing, as `kill -9` would.
fn kill(machine: &Machine<'_>, action: &str, before: &str) {
    let script = format!(
        "export BASH_ENV=$REPOSITORY/tests/dkms/kill.sh KILL_AT='{before}'
         # Not as the last command: as the first process of its namespace nothing in that could kill it.
         dkms {action} replacement/1.0 -k $KERNEL --kernelsourcedir $KDIR
         exit $?"
    );
    let (status, text) = machine.sh(&script);
    assert_eq!(status, 137, "dkms was not killed before {before}:\n{text}");
}

fn killed(suite: &Suite) {
    let machine = machine(suite);
    let before = machine.modules();
    let stock = machine.resolved("nls_utf8");
    machine.tool_ok(&format!("dkms-build {REPLACEMENT}"));
    // What is done, and the text of the command before which dkms is stopped.
    for (action, point, fault) in [
        ("install", "mkdir -p \"$dest_dir\"", "moved away"),
        ("install", "ln -s \"$module_version", "not known to DKMS"),
        ("install", "invoke_command \"do_depmod", "was not updated"),
        ("uninstall", "mkdir -p \"${original_location%/*}\"", "but what was built is not installed"),
        ("uninstall", "rm -f \"${dkms_tree:?}/$module/kernel", "but what was built is not installed"),
        ("uninstall", "invoke_command \"do_depmod", "was not updated"),
    ] {
        if action == "uninstall" {
            machine.tool_ok(&format!("dkms-install {REPLACEMENT}"));
        }
        kill(&machine, action, point);
        let (status, text) = tool(&machine, "dkms-status");
        assert!(status == 4 && text.contains(fault), "{point}: {text}");
        let (status, text) = tool(&machine, &format!("dkms-install {REPLACEMENT}"));
        assert!(status == 4 && text.contains("--repair"), "{point}: {text}");
        machine.tool_ok(&format!("dkms-install --repair {REPLACEMENT}"));
        assert!(machine.resolved("nls_utf8").contains("/updates/dkms/"), "{point}");
        machine.tool_ok(&format!("dkms-uninstall {REPLACEMENT}"));
        assert_eq!(machine.resolved("nls_utf8"), stock, "{point}");
        assert_eq!(machine.modules(), before, "{point}");
    }
}

fn refused(suite: &Suite) {
    let machine = machine(suite);
    // What is missing, and what supplies it.
    let (status, text) = tool(&machine, "dkms-build --kernel 9.9.9-none");
    assert!(status == 3 && text.contains("linux-headers-9.9.9-none"), "{text}");
    let (status, text) = tool(&machine, "dkms-build");
    assert!(status == 3 && text.contains(machine.release.as_str()) && text.contains("--kernel"), "{text}");
    machine.ok("mv /usr/sbin/dkms /usr/bin/apt-get /root");
    let (status, text) = tool(&machine, "dkms-build --kernel $KERNEL");
    assert!(
        status == 3 && text.contains("remedy: install the packages that your distribution has for dkms"),
        "{text}"
    );
    machine.ok("mv /root/dkms /usr/sbin; mv /root/apt-get /usr/bin");

    // A directory of somebody else's, and a project that was changed after it was added.
    machine.ok("mkdir /usr/src/cifs-fix-0.1.0 && touch /usr/src/cifs-fix-0.1.0/precious");
    let (status, text) = tool(&machine, "dkms-add --kernel $KERNEL");
    assert!(status == 4 && text.contains("cifs-fix-0.1.0: exists with other content"), "{text}");
    machine.ok("rm /usr/src/cifs-fix-0.1.0/precious && rmdir /usr/src/cifs-fix-0.1.0");
    machine.tool_ok("dkms-add --kernel $KERNEL");
    machine.ok("echo '// changed' >> /usr/src/cifs-fix-0.1.0/module/cifs_fix.rs");
    let (status, text) = tool(&machine, "dkms-build --kernel $KERNEL");
    assert!(status == 4 && text.contains("module/cifs_fix.rs") && text.contains("PACKAGE_VERSION"), "{text}");
    machine.tool_ok("dkms-remove");

    // A source that does not compile: the compiler's words. A module that the build does not make.
    let dir = machine.shared().join("broken");
    machine.ok(&format!("cp -r $REPOSITORY/tests/dkms/replacement {dir}"));
    let broken = format!("dkms-build --project {dir} --kernel $KERNEL");
    machine.ok(&format!("echo 'int broken(' >> {dir}/nls_utf8.c"));
    let (status, text) = tool(&machine, &broken);
    assert!(status == 1 && text.contains("nls_utf8.c:") && text.contains("make.log"), "{text}");
    machine.tool_ok(&format!("dkms-remove --project {dir}"));
    machine.ok(&format!(
        "cp $REPOSITORY/tests/dkms/replacement/nls_utf8.c {dir}; sed -i s/=.nls_utf8./=other/ {dir}/dkms.conf"
    ));
    let (status, text) = tool(&machine, &broken);
    assert!(status == 1 && text.contains("other.ko"), "{text}");
    machine.tool_ok(&format!("dkms-remove --project {dir}"));

    // A kernel that cannot have it is skipped, and said to be.
    machine.ok(&format!("echo 'BUILD_EXCLUSIVE_CONFIG=CONFIG_NO_SUCH' >> {dir}/dkms.conf"));
    let (status, text) = tool(&machine, &broken);
    assert!(status == 77 && text.contains("CONFIG_NO_SUCH"), "{text}");
}

/// Headers that lack the artefacts of Rust, as Debian's do.
const HEADERS: &str = "mkdir /lib/modules/$KERNEL/build && cd /lib/modules/$KERNEL/build \
                       && ln -s $KDIR/* $KDIR/.config . && rm rust && mkdir rust";

/// What the distribution runs when a kernel is installed.
const HOOK: &str = "/etc/kernel/postinst.d/dkms";

/// A kernel with Rust that is not prepared: the distribution's hook passes over it, and who names
/// it is told why it cannot be.
fn unprepared(suite: &Suite) {
    let machine = machine(suite);
    machine.ok(HEADERS);
    machine.tool_ok("dkms-add --kernel $KERNEL");
    let said = machine.ok(&format!("PREPARED=/nowhere {HOOK} $KERNEL"));
    assert!(said.contains("skipped for module(s) cifs-fix"), "{said}");
    let (status, said) = machine.sh("PREPARED=/nowhere dkms build cifs-fix/0.1.0 -k $KERNEL");
    assert!(status == 77 && said.contains("cifs-fix/0.1.0/build/make.log"), "{said}");
    let log = machine.ok("cat /var/lib/dkms/cifs-fix/0.1.0/build/make.log");
    assert!(log.contains(&format!("cargo xtask kernel prepare {}", machine.release)), "{log}");
    assert_eq!(machine.resolved("cifs_fix"), "");

    // Once it is prepared, the same hook makes up for it.
    let said = machine.ok(&format!("{HOOK} $KERNEL"));
    assert!(machine.resolved("cifs_fix").contains("/updates/dkms/"), "{said}");
}

/// The client's source is one kernel's: for another, for one without a client and for one that
/// nobody prepared it is passed over by the hook, refused where it is named, and the kernel's own
/// stays.
fn the_client(suite: &Suite) {
    let machine = machine(suite);
    // The machine has no network: what is imported is in the cache then.
    let project = Project::open(&repository().join("cifs")).unwrap();
    let source = DkmsSource::of(suite.context(), &project, &machine.release).unwrap();
    let (before, stock) = (machine.modules(), machine.resolved("cifs"));
    machine.ok(HEADERS);
    machine.tool_ok("dkms-add --project cifs --kernel $KERNEL");
    let package = source.package.to_string();
    let passed_over = |kernel: &str, words: [&str; 2]| {
        let said = machine.ok(&format!("PREPARED=/nowhere {HOOK} {kernel}"));
        assert!(said.contains("skipped for module(s) cifs"), "{said}");
        let (status, said) = machine.sh(&format!(
            "rm -rf /var/lib/dkms/{package}/build
             PREPARED=/nowhere dkms build {package} -k {kernel}; status=$?
             cat /var/lib/dkms/{package}/build/make.log; exit $status"
        ));
        assert!(status == 77 && words.iter().all(|word| said.contains(word)), "{status}: {said}");
    };
    let remedy = format!("cargo xtask kernel prepare {}", machine.release);
    passed_over("$KERNEL", ["no Rust artefacts there", &remedy]);
    // DKMS does not say which of them.
    let excluded = ["BUILD_EXCLUSIVE directive", "match this kernel"];
    machine.ok("mkdir /lib/modules/9.9.9-other && ln -s $KDIR /lib/modules/9.9.9-other/build");
    passed_over("9.9.9-other", excluded);
    // Both are files in which DKMS looks for a kernel's options.
    machine.ok("cd /lib/modules/$KERNEL/build && rm .config include && mkdir -p include/config
         ln -s $(ls -d $KDIR/include/* | grep -v config) include
         for file in .config include/config/auto.conf; do sed /^CONFIG_CIFS=/d $KDIR/$file > $file; done");
    passed_over("$KERNEL", excluded);
    machine.ok("rm -r /lib/modules/9.9.9-other /lib/modules/$KERNEL/build");
    assert_eq!((machine.modules(), machine.resolved("cifs")), (before, stock));

    // Prepared, the kernel that it is for is not passed over; building for it takes a minute.
    machine.ok(HEADERS);
    machine.ok(&format!(
        "cd /usr/src/{} && ./prepared.sh $KERNEL /lib/modules/$KERNEL/build",
        package.replace('/', "-")
    ));
    if std::env::var_os(LONG).is_some() {
        let said = machine.ok(&format!("{HOOK} $KERNEL"));
        assert!(machine.resolved("cifs").contains("/updates/dkms/"), "{said}");
    }
}

fn bundles(suite: &Suite) {
    let machine = machine(suite);
    // The prepared kernel stands for installed headers, which scriptlets look for.
    machine.ok("ln -s $KDIR /lib/modules/$KERNEL/build");
    let (before, stock) = (machine.modules(), machine.resolved("nls_utf8"));
    let rpm = "/var/lib/dkms/replacement/1.0/rpm/replacement-dkms-1.0-1.noarch.rpm";
    assert!(machine.tool_ok(&format!("dkms-mkrpm {REPLACEMENT}")).contains(rpm));
    machine.ok(&format!("cp {rpm} /root/first.rpm"));
    machine.tool_ok(&format!("dkms-mkrpm {REPLACEMENT}"));
    machine.ok(&format!("cmp {rpm} /root/first.rpm"));
    let tar = "/var/lib/dkms/replacement/1.0/tarball/replacement-1.0.dkms.tar.gz";
    assert!(machine.tool_ok(&format!("dkms-mktarball {REPLACEMENT}")).contains(tar));
    machine.ok(&format!("cp {tar} /root"));
    machine.tool_ok(&format!("dkms-remove {REPLACEMENT}"));

    // The tree is Debian's: rpm knows no package in it.
    // Scriptlets are shown neither /tmp nor /home by its plugin, where the kernel may be prepared.
    let rpm = "rpm --nodeps --noplugins";
    let said = machine.ok(&format!("{rpm} --install /root/first.rpm"));
    assert!(machine.resolved("nls_utf8").contains("/updates/dkms/"), "{said}");
    machine.ok(&format!("{rpm} --install --replacepkgs /root/first.rpm"));
    assert!(machine.resolved("nls_utf8").contains("/updates/dkms/"));
    machine.ok(&format!("{rpm} --erase replacement-dkms"));
    assert_eq!(machine.resolved("nls_utf8"), stock);
    assert_eq!(machine.modules(), before);
    assert_eq!(machine.ok("dkms status; ls /usr/src | grep replacement; true"), "");

    machine.ok("dkms ldtarball /root/replacement-1.0.dkms.tar.gz");
    assert!(machine.ok("dkms status").contains("replacement/1.0: added"));
}

/// As many kernels as are prepared for the same build root: beside the default one, what a user
/// happens to have.
fn several_kernels(suite: &Suite) {
    let mut all = Kdir::all(&suite.context().cache, &suite.context().report);
    // Not what somebody made here of a source.
    all.retain(|kdir| kdir.stamp().origin.is_archive());
    let alike = |kdir: &Kdir| -> Vec<Kdir> {
        all.iter().filter(|other| other.stamp().recipe == kdir.stamp().recipe).cloned().collect()
    };
    let kdirs = all.iter().map(alike).max_by_key(Vec::len).expect("the default kernel is prepared");
    let machine = Machine::with_kernels(suite.context(), &kdirs).expect("there is a kernel");
    let words = "dkms-install --json --project tests/dkms/replacement --all-kernels --jobs 2";
    let text = machine.tool_ok(&format!("{words} 2>/dev/null"));
    let outcomes: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut installed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome["state"] == "installed" && outcome["modules"][0]["signed"] == true)
        .filter_map(|outcome| outcome["kernel"].as_str())
        .collect();
    installed.sort_unstable();
    let mut wanted: Vec<&str> = kdirs.iter().map(|kdir| kdir.release().as_str()).collect();
    wanted.sort_unstable();
    assert_eq!(installed, wanted, "{text}");
    assert_eq!(machine.ok("find /var/lib/dkms -name '.*' ! -path /var/lib/dkms"), "");
}

fn another_system(suite: &Suite) {
    let machine = machine(suite);
    let before = machine.modules();
    machine.ok(
        "mkdir -p /srv/usr/src /srv/var/lib /srv/lib/modules && cp -r /lib/modules/$KERNEL /srv/lib/modules",
    );
    let dangling = dangling(&machine, "/srv");
    let output = machine.tool_ok("dkms-install --root /srv --project tests/dkms/replacement");
    assert!(output.contains(&dangling), "{output}");
    assert!(output.contains("/srv/lib/modules/") && output.contains("/updates/dkms/nls_utf8.ko"), "{output}");
    let dep = machine.ok("grep -c updates/dkms/nls_utf8.ko /srv/lib/modules/$KERNEL/modules.dep");
    assert_eq!(dep.trim(), "1");
    machine.tool_ok("dkms-remove --root /srv --project tests/dkms/replacement");
    assert_eq!(machine.ok("ls /srv/usr/src /srv/var/lib/dkms | grep replacement; ls /srv/lib/modules/$KERNEL | grep -x updates; true"), "");
    assert_eq!(machine.ok("ls /usr/src /var/lib/dkms | grep replacement; true"), "");
    assert_eq!(machine.modules(), before);
}
