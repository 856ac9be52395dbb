// SPDX-License-Identifier: GPL-2.0
//! Which of the modules that are offered to a kernel it would load, all of them being there. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use camino::Utf8PathBuf;

use crate::rpm::weak_updates::order::{self, Order};
use crate::rpm::weak_updates::reason::WhyNot;
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Module;
use kmodfile::packing::Packing;

/// A module that was read.
#[derive(Debug)]
pub(super) struct ReadModule {
    /// Its file, as seen on the system itself.
    pub(super) seen: Utf8PathBuf,
    /// What is in it.
    pub(super) module: Module,
    /// How it is compressed, if it is.
    pub(super) packing: Option<Packing>,
}

/// A file that could be the module of its name in a kernel.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// The file.
    pub(super) file: Rc<ReadModule>,
    /// Those that belong together have the same number: all of them are taken or none.
    pub(super) package: usize,
}

/// What is offered for the modules of a kernel, by their names; what is preferred comes first.
pub(super) type Offers = BTreeMap<String, Vec<Offer>>;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// For each module of which an offer is taken, which one.
    pub(super) taken: BTreeMap<String, usize>,
    /// The offers that are not taken because the kernel would not load them, and why; by name and
    /// position.
    pub(super) refused: BTreeMap<(String, usize), Vec<WhyNot>>,
}

impl Judged {
    /// The first offer for each module that has not been refused.
    fn current<'a>(&self, offers: &'a Offers) -> Vec<(&'a str, usize, &'a Offer)> {
        let first = |(name, offers): (&'a String, &'a Vec<Offer>)| {
            let mut left = offers.iter().enumerate();
            let (at, offer) = left.find(|(at, _)| !self.refused.contains_key(&(name.clone(), *at)))?;
            Some((name.as_str(), at, offer))
        };
        offers.iter().filter_map(first).collect()
    }

    /// Refuses an offer, and with it the others of its package.
    fn refuse(&mut self, offers: &Offers, (name, at): (&str, usize), why: Vec<WhyNot>) {
        let offer = &offers[name][at];
        self.refused.insert((name.to_owned(), at), why);
        for (other, offers) in offers {
            for (at, together) in offers.iter().enumerate().filter(|(_, o)| o.package == offer.package) {
                let why = || vec![WhyNot::Package { of: offer.file.seen.clone() }];
                debug_assert_eq!(together.package, offer.package);
                self.refused.entry((other.clone(), at)).or_insert_with(why);
            }
        }
    }
}

/// Judges the offers for a kernel. `kernel` is it with the modules of its own.
///
/// In each pass the best offers that are left are judged in the order of their dependence, each
/// with those before it as loaded; what is refused makes room for the next offer. What depends on
/// something that was refused is judged in the next pass, when that has been replaced or is absent.
pub(super) fn judge(kernel: &LoadTarget, offers: &Offers) -> Judged {
    let mut judged = Judged::default();
    loop {
        let current = judged.current(offers);
        let refused = pass(kernel, &current);
        if refused.is_empty() {
            judged.taken = current.iter().map(|(name, at, _)| ((*name).to_owned(), *at)).collect();
            return judged;
        }
        for (position, why) in refused {
            let (name, at, offer) = current[position];
            let why = why.into_iter().map(|why| explained(why, &offer.file, offers)).collect();
            judged.refuse(offers, (name, at), why);
        }
    }
}

/// One pass: the positions of those that are refused, and why.
fn pass(kernel: &LoadTarget, current: &[(&str, usize, &Offer)]) -> BTreeMap<usize, Vec<WhyNot>> {
    let modules: Vec<&Module> = current.iter().map(|(_, _, offer)| &offer.file.module).collect();
    let Order { sequence, circles, exporters } = order::of(&modules);
    let file = |at: &usize| current[*at].2.file.seen.clone();
    let circle: Vec<Utf8PathBuf> = circles.iter().map(file).collect();
    let mut refused: BTreeMap<usize, Vec<WhyNot>> =
        circles.iter().map(|at| (*at, vec![WhyNot::Circle { of: circle.clone() }])).collect();
    let mut unknown: BTreeSet<usize> = circles;
    let mut kernel = kernel.clone();
    for at in sequence {
        if exporters[at].iter().any(|exporter| unknown.contains(exporter)) {
            unknown.insert(at);
            continue;
        }
        let answer = kernel.judge_packed(modules[at], current[at].2.file.packing.as_ref());
        if !answer.loads() {
            unknown.insert(at);
            refused.insert(at, answer.refusals.into_iter().map(WhyNot::Kernel).collect());
        } else if !modules[at].exports.is_empty() {
            kernel.also([modules[at]]);
        }
    }
    refused
}

/// A reason with the module named that has what is missing, if there is one that was offered.
fn explained(why: WhyNot, file: &ReadModule, offers: &Offers) -> WhyNot {
    use kmodfile::load::answer::Refusal;
    let WhyNot::Kernel(Refusal::Unresolved { symbol }) = &why else { return why };
    let exports = |offer: &&Offer| offer.file.module.exports.iter().any(|export| export.symbol == *symbol);
    let exporter = offers.values().flatten().find(|offer| offer.file.seen != file.seen && exports(offer));
    match exporter {
        Some(exporter) => WhyNot::Needs { symbol: symbol.clone(), of: exporter.file.seen.clone() },
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpm::weak_updates::made::module;
    use kmodfile::config::Config;

    const SYMVERS: &str = "0x00000001\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n\
                           0x00000001\tkernel\tvmlinux\tEXPORT_SYMBOL\t\n\
                           0x00000001\told\tfs/stock\tEXPORT_SYMBOL\t\n";

    fn kernel() -> LoadTarget {
        let config = Config::parse("CONFIG_MODVERSIONS=y\n");
        LoadTarget::new(&config, SYMVERS, &module("", ""))
    }

    /// Offers by name: the name, what it imports, what it exports, the number of its package.
    fn offers(table: &[(&str, &str, &str, usize)]) -> Offers {
        let mut offers = Offers::new();
        for (at, (name, imports, exports, package)) in table.iter().enumerate() {
            let (seen, mut module) = (format!("/{at}/{name}.ko").into(), module(imports, exports));
            let text =
                format!("license=GPL\0name={name}\0vermagic=6.12.{at} SMP preempt mod_unload modversions \0");
            module.modinfo = kmodfile::modinfo::Modinfo::parse(text.as_bytes());
            let file = Rc::new(ReadModule { seen, module, packing: None });
            offers.entry((*name).to_owned()).or_default().push(Offer { file, package: *package });
        }
        offers
    }

    /// The offers that are taken, and why each other is not.
    fn told(table: &[(&str, &str, &str, usize)]) -> (Vec<String>, Vec<String>) {
        let offers = offers(table);
        let judged = judge(&kernel(), &offers);
        let seen = |name: &String, at: usize| offers[name][at].file.seen.to_string();
        let taken = judged.taken.iter().map(|(name, at)| seen(name, *at)).collect();
        let line = |((name, at), why): (&(String, usize), &Vec<WhyNot>)| {
            let why: Vec<String> = why.iter().map(ToString::to_string).collect();
            format!("{}: {}", seen(name, *at), why.join("; "))
        };
        (taken, judged.refused.iter().map(line).collect())
    }

    #[test]
    fn each_is_judged_with_the_exports_of_those_before_it() {
        let (taken, refused) = told(&[
            ("a", "from_b kernel", "", 0),
            ("b", "from_c", "from_b", 1),
            ("c", "kernel", "from_c", 2),
        ]);
        assert_eq!((taken.len(), refused), (3, vec![]));
    }

    #[test]
    fn what_needs_a_module_that_is_refused_is_refused_and_says_which() {
        let (taken, refused) = told(&[
            ("a", "from_b", "", 0),
            ("b", "from_c", "from_b", 1),
            ("c", "kernel:9", "from_c", 2),
            ("d", "kernel", "", 3),
            ("e", "nobody", "", 4),
        ]);
        assert_eq!(taken, ["/3/d.ko"]);
        assert_eq!(
            refused,
            [
                "/0/a.ko: it needs from_b of /1/b.ko, which is not linked either",
                "/1/b.ko: it needs from_c of /2/c.ko, which is not linked either",
                "/2/c.ko: it was built for kernel with CRC 0x00000009, vmlinux exports it with 0x00000001",
                "/4/e.ko: it needs nobody, which nothing exports",
            ]
        );
    }

    #[test]
    fn a_crc_is_that_of_the_module_that_takes_the_stock_ones_place() {
        // Whatever their order by name.
        for (taker, giver) in [("a", "stock"), ("z", "stock")] {
            let (taken, refused) = told(&[(taker, "old:2", "", 0), (giver, "kernel", "old:2", 1)]);
            assert_eq!((taken.len(), refused), (2, vec![]));
            let (taken, refused) = told(&[(taker, "old", "", 0), (giver, "kernel", "old:2", 1)]);
            assert_eq!(taken, ["/1/stock.ko"]);
            assert!(refused[0].ends_with("stock exports it with 0x00000002"), "{refused:?}");
        }
        // With that one refused, the stock one stays.
        let (taken, _) = told(&[("a", "old", "", 0), ("stock", "kernel:7", "old:2", 1)]);
        assert_eq!(taken, ["/0/a.ko"]);
    }

    #[test]
    fn the_next_offer_is_taken_where_the_first_would_not_load() {
        let (taken, refused) = told(&[("a", "kernel:9", "x", 0), ("a", "kernel", "x", 1), ("b", "x", "", 2)]);
        assert_eq!(taken, ["/1/a.ko", "/2/b.ko"]);
        assert_eq!(refused.len(), 1);
    }

    #[test]
    fn a_package_is_taken_whole_or_not_at_all() {
        let (taken, refused) =
            told(&[("a", "kernel", "", 0), ("b", "kernel:9", "", 0), ("a", "kernel", "", 1)]);
        assert_eq!(taken, ["/2/a.ko"]);
        assert_eq!(refused[0], "/0/a.ko: /1/b.ko of the same package would not load");
    }

    #[test]
    fn a_circle_is_said() {
        let (taken, refused) =
            told(&[("a", "from_b", "from_a", 0), ("b", "from_a", "from_b", 1), ("c", "kernel", "", 2)]);
        assert_eq!(taken, ["/2/c.ko"]);
        let said = "import from one another in a circle";
        assert!(
            refused.iter().all(|line| line.contains("/0/a.ko, /1/b.ko") && line.contains(said)),
            "{refused:?}"
        );
        let (taken, refused) =
            told(&[("a", "from_b", "from_a", 0), ("b", "from_a", "from_b", 1), ("c", "from_a", "", 2)]);
        assert!(taken.is_empty());
        assert_eq!(refused[2], "/2/c.ko: it needs from_a of /0/a.ko, which is not linked either");
    }
}
