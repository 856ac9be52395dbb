// SPDX-License-Identifier: GPL-2.0
//! What needs the archive: build roots, prepared kernels, builds. Everything here is real: the
//! distribution's packages, its compilers, its kernel.

mod builds;
mod chain;
#[path = "../chained.rs"]
mod chained;
mod ci;
mod corpus;
mod dkms;
#[path = "../dkms/corpus.rs"]
mod dkms_corpus;
mod dkms_versions;
mod from_source;
mod given;
mod image;
mod inspection;
mod install;
#[path = "../kernel_source.rs"]
mod kernel_source;
mod kernels;
mod librust;
#[path = "../dkms/machine.rs"]
mod machine;
mod matrix;
#[path = "../matrix_sample.rs"]
mod matrix_sample;
#[path = "../packings.rs"]
mod packings;
mod page;
mod preflight;
mod progress;
mod rebuild;
mod roots;
mod rpm;
mod rpm_akmod;
mod rpm_family;
mod rpm_foreign;
mod rpm_install;
mod rpm_machine;
mod rpm_making;
mod rpm_matrix;
mod rpm_sign;
mod sign;
mod slurm;
mod store;
mod suite;
mod third_party;
mod unprivileged;
mod weak_modules;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = unprivileged::child() {
        return code;
    }
    let suite = suite::Suite::prepare();
    let trials = [
        roots::trials(&suite),
        page::trials(&suite),
        preflight::trials(&suite),
        progress::trials(&suite),
        rpm::trials(&suite),
        rpm_akmod::trials(&suite),
        rpm_family::trials(&suite),
        rpm_foreign::trials(&suite),
        rpm_install::trials(&suite),
        rpm_machine::trials(&suite),
        rpm_making::trials(&suite),
        rpm_matrix::trials(&suite),
        rpm_sign::trials(&suite),
        kernels::trials(&suite),
        librust::trials(&suite),
        builds::trials(&suite),
        chain::trials(&suite),
        ci::trials(&suite),
        from_source::trials(&suite),
        given::trials(&suite),
        image::trials(&suite),
        inspection::trials(&suite),
        matrix::trials(&suite),
        rebuild::trials(&suite),
        dkms::trials(&suite),
        dkms_versions::trials(&suite),
        corpus::trials(&suite),
        install::trials(&suite),
        sign::trials(&suite),
        slurm::trials(&suite),
        store::trials(&suite),
        third_party::trials(&suite),
        unprivileged::trials(&suite),
        weak_modules::trials(&suite),
    ];
    suite.run(trials.into_iter().flatten().collect())
}
