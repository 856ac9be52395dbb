// SPDX-License-Identifier: GPL-2.0
//! The order in which modules are judged: each after those whose symbols it imports.

use std::collections::{BTreeSet, HashMap};

use kmodfile::module::Module;

/// Modules by their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Each after those that it imports from, else as they were given.
    pub(super) sequence: Vec<usize>,
    /// Modules that import from one another in a circle, which no kernel loads: the first of two
    /// needs the second to be there.
    pub(super) circles: BTreeSet<usize>,
    /// For each module those that it imports from.
    pub(super) exporters: Vec<BTreeSet<usize>>,
}

/// The order of `modules`. What the kernel exports as well counts as theirs: they take its place.
pub(super) fn of(modules: &[&Module]) -> Order {
    let exporters = exporters(modules);
    let mut order = Order { exporters, ..Order::default() };
    let mut waiting: Vec<usize> = (0..modules.len()).collect();
    while !waiting.is_empty() {
        let waits = |at: usize| order.exporters[at].iter().any(|other| waiting.contains(other));
        match waiting.iter().position(|at| !waits(*at)) {
            Some(next) => order.sequence.push(waiting.remove(next)),
            None => {
                let circle = circle(&waiting, &order.exporters);
                waiting.retain(|at| !circle.contains(at));
                order.circles.extend(circle);
            }
        }
    }
    order
}

fn exporters(modules: &[&Module]) -> Vec<BTreeSet<usize>> {
    let mut by_symbol: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, module) in modules.iter().enumerate() {
        for export in &module.exports {
            by_symbol.entry(&export.symbol).or_default().push(at);
        }
    }
    let of = |(at, module): (usize, &&Module)| {
        let imports = module.imports.iter().filter_map(|import| by_symbol.get(import.symbol.as_str()));
        imports.flatten().copied().filter(|other| *other != at).collect()
    };
    modules.iter().enumerate().map(of).collect()
}

/// Of modules that all wait for one another, those in a circle: from any of them, following what it
/// waits for leads around.
fn circle(waiting: &[usize], exporters: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut way = vec![waiting[0]];
    loop {
        let last = way[way.len() - 1];
        let next = exporters[last].iter().copied().find(|other| waiting.contains(other));
        let next = next.expect("each waits for another");
        if let Some(start) = way.iter().position(|at| *at == next) {
            return way.split_off(start).into_iter().collect();
        }
        way.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpm::weak_updates::made::module;

    #[test]
    fn exporters_come_before_importers_and_circles_are_found() {
        for (table, sequence, circles) in [
            (&[("", ""), ("", "")][..], &[0, 1][..], &[][..]),
            // The last gives to the second, that to the first.
            (&[("b", "a"), ("c", "b"), ("", "c")], &[2, 1, 0], &[]),
            (&[("b", "a"), ("a", "b"), ("", "c")], &[2], &[0, 1]),
            // One that only imports from a circle is not in it.
            (&[("a", ""), ("b", "a"), ("a", "b")], &[0], &[1, 2]),
            // What a module imports from itself, or from nobody here, does not count.
            (&[("a kernel", "a")], &[0], &[]),
            // Two circles.
            (&[("b", "a"), ("a", "b"), ("d a", "c"), ("c", "d")], &[], &[0, 1, 2, 3]),
        ] {
            let modules: Vec<Module> =
                table.iter().map(|(imports, exports)| module(imports, exports)).collect();
            let order = of(&modules.iter().collect::<Vec<_>>());
            assert_eq!(order.sequence, sequence, "{table:?}");
            assert_eq!(order.circles.into_iter().collect::<Vec<_>>(), circles, "{table:?}");
        }
    }
}
