// SPDX-License-Identifier: GPL-2.0
//! The command line: every option and its help. Dispatching is in `main.rs`, doing in `commands/`.

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use crate::install::initramfs;
use crate::install::installation::ModDir;
use crate::kernel::release::Release;
use crate::key::pair::PrivateKey;
use crate::root::Choice;
use crate::root::enter::Entry;
use crate::source::edit::DEFAULT_NAME;

/// Builds, checks and boots out-of-tree kernel modules: the bundled guard `cifs_fix`, or any directory
/// with a dkms.conf.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = AFTER)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
}

const AFTER: &str = "\
Start here:
  cargo xtask demo          the whole story, from an empty cache to a mounted share
  cargo xtask doctor        what this machine has, and what supplies the rest

Exit status: 0 ok, 1 failed, 2 usage, 3 something is missing here, 4 refused, 10 the kernel refused the
module, 20-25 the kernel warned, oopsed, locked wrongly, hung, leaked, panicked, 30 the guest never came
up, 31 time limit, 32 QEMU ended, 77 skipped.";

const VERIFY: &str = "\
Example:
  tcpdump -i any -s 0 -w smb.pcap tcp port 445     while a share is mounted and used
  cargo xtask verify smb.pcap";

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Show each command that is run, and its output
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say what would be done and do not do it
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Compilers to run at once [default: as many as processors]
    #[arg(short, long, global = true, value_name = "N")]
    pub jobs: Option<usize>,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Where compilers run: on the host where its distribution is the kernel's, or in a made root
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHERE")]
    pub root_fs: Choice,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this machine has and lacks, and which command supplies it
    Doctor,
    /// Prepare a kernel, build the guard, boot it, and mount a real share with it enforcing
    Demo(DemoArgs),
    /// Kernels of the archive, and the trees modules are built against
    #[command(subcommand)]
    Kernel(KernelCommand),
    /// Build a project for one or more kernels, in a staged copy
    Build(BuildCommand),
    /// The patches of a project that is rebuilt from the kernel's own source
    #[command(subcommand)]
    Patch(PatchCommand),
    /// Put modules into a system's /lib/modules, so that modprobe loads them instead of the distribution's
    ///
    /// All or nothing for each kernel: what is new is made and checked beside what is there, then renamed in. A run that is
    /// killed is finished or undone by the next install, uninstall or status. A module that the kernel would not load is
    /// refused before that, with every reason why, as by inspect --kernel.
    #[command(after_help = "\
Examples:
  cargo xtask install --kernel 7.2.13+deb14-cloud-amd64             the guard, built for that kernel
  cargo xtask install --project cifs --all-kernels --root /mnt      into a system that is mounted there
  cargo xtask install cifs_fix.ko --load --options mode=1           a module that is built already")]
    Install(InstallArgs),
    /// Take modules away again: with the last one, every byte and mode is as before the first
    Uninstall(UninstallArgs),
    /// Say which file modprobe would load, why, and whether the distribution's own module has changed since
    Status(StatusArgs),
    /// Say what is in a module or a package of modules, and whether a kernel would load it
    ///
    /// Everything that the file holds: modinfo, vermagic, CRCs, imported and exported symbols, signers and their keys, BTF,
    /// compilers. With --kernel it says without booting whether that kernel would load it, and every reason why not: vermagic,
    /// missing symbols, CRCs, namespaces, symbols for the GPL only, signatures. One file is shown in full, several as a
    /// table. It ends with status 4 if one would not be loaded. Of a package it also says what it was made of.
    #[command(after_help = "\
Examples:
  cargo xtask inspect cifs_fix.ko
  cargo xtask inspect cifs.ko.xz --kernel 7.2.13+deb14-cloud-amd64 --secure-boot
  cargo xtask inspect target/rpm/kmod-cifs-cloud-amd64-0.1.0-1.k6.12.107+deb13.x86_64.rpm
  cargo xtask inspect --json /lib/modules/*/extra/*.ko.xz")]
    Inspect(InspectArgs),
    /// Keys that modules are signed with
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sign built modules in place with the kernel's own sign-file, and verify each signature
    ///
    /// The hash is the one of the kernel's configuration. Everything is checked first: a key that does not fit the
    /// certificate, an expired certificate, a module that is compressed or signed already is refused, and a file is only
    /// replaced by one whose signature was verified. A passphrase or PIN is taken from KBUILD_SIGN_PIN.
    Sign(SignArgs),
    /// Boot the kernel in QEMU, load the built module, unload it, and give a verdict
    Insmod(InsmodArgs),
    /// Make kmod RPMs of a project, for several kernels at once
    Rpm(RpmArgs),
    /// Link modules of one kernel into others that would load them, where the system has no weak-modules
    ///
    /// A module in /lib/modules/RELEASE/extra is linked into /lib/modules/OTHER/weak-updates if each symbol that it imports
    /// has the CRC there that it was built against (CONFIG_MODVERSIONS). What a kernel exports, its symvers file says.
    WeakModules(WeakModulesArgs),
    /// Register a project's source with DKMS
    DkmsAdd(DkmsArgs),
    /// Build a project with DKMS, and see that its modules are for the kernel
    DkmsBuild(DkmsArgs),
    /// Register, build and install a project with DKMS, and see that modprobe takes its modules
    ///
    /// Does what is not done yet, and looks at what came of it: dkms ends well where signing failed or where
    /// another module is found first. Where the headers lack the Rust artefacts a prepared kernel is built against.
    DkmsInstall(DkmsArgs),
    /// Take a project's modules away; the kernel's own come back
    DkmsUninstall(DkmsArgs),
    /// Remove all that DKMS knows of a project, with the source that dkms-add wrote
    DkmsRemove(DkmsArgs),
    /// Make an RPM of a project's source, which DKMS builds where it is installed
    ///
    /// It is in /var/lib/dkms/NAME/VERSION/rpm. Installing it registers the source, builds it for every kernel whose headers are
    /// there and installs the modules; erasing it takes all of that away again.
    DkmsMkrpm(DkmsArgs),
    /// Make a tar file that `dkms ldtarball` reads, with what is built for the kernels named
    DkmsMktarball(DkmsArgs),
    /// Say what DKMS knows, what is really there, and what a stopped dkms left half-done
    DkmsStatus(DkmsPlace),
    /// Judge the replies in network captures: what would the guard reject, were it enforcing?
    ///
    /// Reads pcap and pcapng, puts TCP streams together, and prints a verdict on the replies of every SMB server in them.
    /// Encrypted and compressed replies are counted, not guessed at. Ends with 0 when enforcing would reject none, 1 when it
    /// would reject one, 4 when there is no reply to judge.
    #[command(after_help = VERIFY)]
    Verify(VerifyArgs),
    /// Run the test suites
    Test(TestArgs),
    /// Measure against what one would use otherwise, and print ratios
    Bench(BenchArgs),
    /// Print the manual page of a command, or write those of all
    Man(ManArgs),
    /// Print what a shell completes the tool's words with
    ///
    /// For the program `xtask`, which `cargo xtask` runs: `alias xtask='cargo xtask'` gives it that name in a shell.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Runs a command in a build root; started by the tool itself in namespaces of its own
    #[command(hide = true)]
    EnterRoot(Entry),
    /// Removes a build root; started by the tool itself in namespaces of its own
    #[command(hide = true)]
    RemoveRoot {
        /// The root.
        dir: Utf8PathBuf,
    },
}

/// `cargo xtask kernel`.
#[derive(Debug, Subcommand)]
pub enum KernelCommand {
    /// List the archive's kernels, which have Rust, and which are prepared
    List,
    /// Make the tree that Rust modules are built against, and prove it
    ///
    /// Headers and source of the same version are fetched, the Rust artefacts that Debian's headers
    /// lack are made again with the kernel's own toolchain, and every Rust symbol that the kernel exports is
    /// checked against them. A tree that misses one is refused.
    Prepare {
        /// The kernel, as `uname -r` prints it [default: the newest cloud-amd64 kernel with Rust]
        release: Option<Release>,
    },
    /// Remove a prepared kernel from the cache
    Remove {
        /// The kernel, as `uname -r` prints it
        release: Release,
    },
    /// Remove build roots and packages that no prepared kernel uses
    Gc,
}

/// `cargo xtask key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a module-signing key and its certificate
    ///
    /// Three files: MOK.priv, the private key; MOK.pem, its certificate; MOK.der, the same for `mokutil --import`. The
    /// certificate is for signing kernel modules only: shim boots nothing that is signed with it. With KBUILD_SIGN_PIN
    /// set, the private key is encrypted with it.
    New(KeyNewArgs),
}

/// `cargo xtask key new`.
#[derive(Clone, Debug, Args)]
pub struct KeyNewArgs {
    /// Directory for the files; it must not hold any [default: ~/.local/share/cifs-fix/module-signing-key]
    #[arg(long, value_name = "DIR")]
    pub output: Option<Utf8PathBuf>,
    /// Name in the certificate; MokManager shows it when the key is enrolled
    #[arg(long, value_name = "CN", default_value = "cifs-fix module signing")]
    pub name: String,
    /// Days that the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub days: u32,
}

/// `cargo xtask sign`.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// Built modules, neither compressed nor signed
    #[arg(required = true, value_name = "FILE.ko")]
    pub files: Vec<Utf8PathBuf>,
    /// The private key: a PEM file, or a pkcs11: URI
    #[arg(long, value_name = "FILE|URI")]
    pub key: PrivateKey,
    /// Its certificate, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub cert: Utf8PathBuf,
    /// The kernel, as `uname -r` prints it [default: the one the modules were built for]
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Option<Release>,
}

/// `cargo xtask build`.
#[derive(Clone, Debug, Args)]
pub struct BuildCommand {
    /// What to build.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Lay out the project's source for the kernel, imported and patched, to be edited, and build nothing
    #[arg(long, conflicts_with = "all_kernels")]
    pub import_only: bool,
    /// Also compress the modules as the kernel's own are (CONFIG_MODULE_COMPRESS_*), beside NAME.ko
    #[arg(long, conflicts_with = "import_only")]
    pub compress: bool,
}

/// `cargo xtask patch`.
#[derive(Debug, Subcommand)]
pub enum PatchCommand {
    /// Write an edit of the source that `build --import-only` laid out back into the patch series
    ///
    /// The edit becomes one patch at the end of the kernel line's series. If the last patch has that name already, it is
    /// written anew.
    Refresh(RefreshArgs),
}

/// `cargo xtask patch refresh`.
#[derive(Clone, Debug, Args)]
pub struct RefreshArgs {
    /// Directory with a dkms.conf and an import.toml
    #[arg(long, value_name = "DIR")]
    pub project: Utf8PathBuf,
    /// The kernel whose source was edited, as `uname -r` prints it [default: the newest cloud-amd64 kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernel: Option<Release>,
    /// File name of the patch
    #[arg(long, value_name = "NAME.patch", default_value = DEFAULT_NAME)]
    pub name: String,
}

/// Which project and which kernels.
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// Directory with a dkms.conf [default: the guard]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
    /// Kernel to build for, as `uname -r` prints it; may be repeated [default: the newest cloud-amd64 kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<Release>,
    /// Evaluate a dkms.conf that is a program, in a sandbox: no network, nothing to write to, no privilege
    ///
    /// A dkms.conf of plain assignments is read and needs no shell. The values that the shell got are shown.
    #[arg(long)]
    pub allow_shell: bool,
    /// Build for every prepared kernel
    #[arg(long, conflicts_with = "kernels")]
    pub all_kernels: bool,
    /// Package of the kernel's distribution that the project's build needs besides, such as libxtables-dev; may be repeated
    ///
    /// It is installed in a build root made for that, never on the host.
    #[arg(long = "package", value_name = "NAME")]
    pub packages: Vec<String>,
    /// Which key the modules are signed with.
    #[command(flatten)]
    pub sign: SignWith,
}

/// A key that built modules leave signed with.
#[derive(Clone, Debug, Default, Args)]
pub struct SignWith {
    /// Sign the modules with this private key, a PEM file or a pkcs11: URI; no unsigned one is left
    #[arg(long, value_name = "FILE|URI", requires = "sign_cert")]
    pub sign_key: Option<PrivateKey>,
    /// The key's certificate, PEM or DER
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub sign_cert: Option<Utf8PathBuf>,
}

/// `cargo xtask inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// Modules: .ko, or that compressed with xz, zstd or gzip. Of a package of modules (.rpm), or an SPDX document of one
    /// (.spdx.json), also what it was made of; so of an installed module whose package has brought such a document
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<Utf8PathBuf>,
    /// Say whether this kernel would load them, all of them together; it is prepared if need be
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Option<Release>,
    /// Ask about a machine that enforces signatures: Secure Boot, or module.sig_enforce=1
    #[arg(long, requires = "kernel")]
    pub secure_boot: bool,
    /// Show every symbol, with its CRC and who exports it; for one file
    #[arg(long)]
    pub symbols: bool,
}

/// The system whose modules are changed or looked at.
#[derive(Clone, Debug, Args)]
pub struct SystemArgs {
    /// The directory that is `/` of the system
    #[arg(long, value_name = "DIR", env = "INSTALL_MOD_PATH", default_value = "/")]
    pub root: Utf8PathBuf,
}

/// `cargo xtask install`.
#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    /// Modules that are built already, for the kernel that they name; without any, a project is built
    #[arg(value_name = "FILE.ko", conflicts_with = "project", conflicts_with = "all_kernels")]
    pub files: Vec<Utf8PathBuf>,
    /// What to build.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Where to.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Directory below /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", env = "INSTALL_MOD_DIR", default_value = "extra")]
    pub dir: ModDir,
    /// Load the modules at boot, by /etc/modules-load.d
    #[arg(long)]
    pub load: bool,
    /// Parameter that modprobe gives the modules, such as mode=0, by /etc/modprobe.d; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = option)]
    pub options: Vec<String>,
    /// Stand before a module of the distribution's even if that has become newer; install a module even if it needs symbols that
    /// nothing exports yet, or is not signed where signatures are enforced
    #[arg(long)]
    pub force: bool,
    /// Whether the initramfs is rebuilt where the module is in it
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub initramfs: initramfs::Choice,
    /// Replace the modules in memory, too: unload the old, load the new, and put all back if that fails
    #[arg(long)]
    pub reload: bool,
}

/// A module parameter: one word of modprobe.d, which ends with the line.
fn option(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"#\\\"'".contains(c));
    if plain && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("not one plain word NAME=VALUE".to_owned())
    }
}

/// `cargo xtask uninstall`.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// Names of the modules
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Kernel to take them from; may be repeated [default: each that they are installed for]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<Release>,
    /// Where from.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Whether the initramfs is rebuilt where the module is in it
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub initramfs: initramfs::Choice,
}

/// `cargo xtask status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Names of modules [default: all that were installed by this tool]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Kernel to look at; may be repeated [default: each that is installed]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<Release>,
    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
}

/// `cargo xtask insmod`.
#[derive(Clone, Debug, Args)]
pub struct InsmodArgs {
    /// What to build and boot.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Parameters given to the module, such as mode=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Seconds after which the machine is stopped
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u64>,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub memory: u32,
    /// Words added to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// Boot the real Secure Boot chain three times: is the module refused unsigned, refused while its certificate is not
    /// enrolled, and loaded once it is? With a key made for the run, or that of --sign-key
    #[arg(long)]
    pub secure_boot: bool,
}

/// Where DKMS keeps its trees.
#[derive(Clone, Debug, Args)]
pub struct DkmsPlace {
    /// Root directory of another system, whose trees are used instead of this machine's
    #[arg(long, value_name = "DIR")]
    pub root: Option<Utf8PathBuf>,
}

/// `cargo xtask dkms-add` and the like.
#[derive(Clone, Debug, Args)]
pub struct DkmsArgs {
    /// Directory with a dkms.conf [default: the guard]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
    /// Kernel, as `uname -r` prints it; may be repeated [default: the one that runs]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<Release>,
    /// Every kernel that is installed
    #[arg(long, conflicts_with = "kernels")]
    pub all_kernels: bool,
    /// Where DKMS keeps its trees.
    #[command(flatten)]
    pub place: DkmsPlace,
    /// Set right first what a stopped dkms left half-done
    #[arg(long)]
    pub repair: bool,
    /// Install although the kernel's own module says that it is newer
    #[arg(long)]
    pub force: bool,
}

/// `cargo xtask rpm`.
#[derive(Clone, Debug, Args)]
#[command(after_help = RPM_AFTER)]
pub struct RpmArgs {
    /// Directory with a dkms.conf and a kmod.spec [default: the guard]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
    /// Kernel to package for, as `uname -r` prints it, or with --kvariants without its variant; may be repeated
    /// [default: the newest cloud-amd64 kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<Release>,
    /// What follows the kernel's version in the release of each variant, separator included; \"\" is the plain one
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true, requires = "kernels")]
    pub kvariants: Option<String>,
    /// Also make the source package; it builds with rpmbuild alone, without this tool and without a network
    #[arg(long)]
    pub srpm: bool,
    /// Directory for what is made
    #[arg(long, value_name = "DIR", default_value = "target/rpm")]
    pub output: Utf8PathBuf,
    /// Print the spec with all its macros expanded, and make nothing
    #[arg(long, conflicts_with = "srpm")]
    pub print_spec: bool,
    /// Make nothing, but say of these kernels whether each would load what is built for --kernel, through weak-updates;
    /// status 4 when one would not
    #[arg(long, value_name = "RELEASE", num_args = 1.., conflicts_with_all = ["srpm", "print_spec", "kvariants"])]
    pub audit: Vec<Release>,
    /// GPG key to sign the packages with, by any name that gpg knows it by; each signature is checked
    #[arg(long, value_name = "KEY")]
    pub sign: Option<String>,
    /// Private key to sign the modules with, in PEM; if it is encrypted, its passphrase is taken from KBUILD_SIGN_PIN
    #[arg(long, value_name = "FILE", requires = "modsign_cert")]
    pub modsign_key: Option<PrivateKey>,
    /// Its certificate, PEM or DER
    #[arg(long, value_name = "FILE", requires = "modsign_key")]
    pub modsign_cert: Option<Utf8PathBuf>,
}

const RPM_AFTER: &str = "\
Examples:
  cargo xtask rpm --kernel 6.12.107+deb13-cloud-amd64 --project cifs --srpm
  cargo xtask rpm --kernel 7.3.4+deb13 --kvariants '-amd64 -cloud-amd64 -rt-amd64'
  cargo xtask rpm --kernel 6.12.107+deb13-amd64 --project cifs --audit 6.12.94+deb13-amd64 6.1.0-40-amd64

The same by hand, where kernel-devel is installed:
  rpmbuild -bb --target=x86_64 --define 'kversion 7.3.4+deb13' --define 'kvariants -amd64 -rt-amd64' kmod.spec

The same source gives the same bytes: set SOURCE_DATE_EPOCH, or the time of the last commit is taken.";

/// `cargo xtask weak-modules`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "As a package does:  printf '%s\\n' /lib/modules/RELEASE/extra/NAME/X.ko | cargo xtask weak-modules --add-modules"
)]
pub struct WeakModulesArgs {
    /// What has come, or goes.
    #[command(flatten)]
    pub what: WeakModulesWhat,
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: Utf8PathBuf,
}

/// One of four.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WeakModulesWhat {
    /// A kernel has come: link into it what it would load
    #[arg(long, value_name = "RELEASE")]
    pub add_kernel: Option<Release>,
    /// A kernel goes: remove its links, and those of others to its modules
    #[arg(long, value_name = "RELEASE")]
    pub remove_kernel: Option<Release>,
    /// Modules have come, named on standard input: link them into each kernel that would load them
    #[arg(long)]
    pub add_modules: bool,
    /// Modules go, named on standard input: remove the links to them
    #[arg(long)]
    pub remove_modules: bool,
}

/// `cargo xtask demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The kernel [default: the newest cloud-amd64 kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernel: Option<Release>,
}

/// `cargo xtask verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Captures, pcap or pcapng; parts of one capture in their order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<Utf8PathBuf>,
    /// TCP port of the servers
    #[arg(long, default_value_t = capture::PORT)]
    pub port: u16,
    /// List every reply, not only those that break a rule
    #[arg(long)]
    pub each: bool,
}

/// `cargo xtask test`.
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// The suites
    #[arg(value_enum, default_value = "all")]
    pub suite: Suite,
    /// Also run what takes longer than CI has time for
    #[arg(long)]
    pub long: bool,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
}

/// A group of tests by what they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Unit tests and what needs neither archive nor VM
    Host,
    /// Build roots, kernels and builds: needs the archive
    Package,
    /// Feeds the verifier, and the reader of captures, with what nobody thought of
    Fuzz,
    /// Boots kernels
    Vm,
    /// All of them
    All,
}

/// `cargo xtask bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Which measures [default: all]
    #[arg(value_enum)]
    pub names: Vec<Measure>,
    /// Runs per figure; the median counts
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
}

/// `cargo xtask man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// The command, such as `kernel prepare` [default: the tool itself]
    pub command: Vec<String>,
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub output: Option<Utf8PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// `kernel prepare` beside the bare make steps
    Prepare,
    /// `build` with nothing changed beside a no-op make
    Build,
    /// `inspect` of every module of a kernel beside modinfo called for each
    Inspect,
    /// `insmod` beside virtme-ng doing the same
    Insmod,
    /// `install` beside cp and depmod
    Install,
    /// `dkms-install` beside dkms alone, for one kernel and for three
    Dkms,
    /// `rpm` beside rpmbuild of the same spec, and several kernels at once
    Rpm,
    /// Guest instructions to open files on a share, with the guard and without
    Guard,
    /// `build --project cifs` from nothing beside the same make by hand
    Rebuild,
    /// The verifier beside the client's own checks, on the same replies
    Verify,
}
