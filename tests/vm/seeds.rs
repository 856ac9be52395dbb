// SPDX-License-Identifier: GPL-2.0
//! The table of faults: what is wrong, in which language, and what each kernel says of it.
//!
//! What a distribution's kernel sees is judged there; what it does not see passes there, and is
//! judged by the kernel that finds faults.

use vm::Verdict;

/// A wrong thing.
pub(crate) struct Seed {
    /// The module that does it.
    pub(crate) module: &'static str,
    /// The value of its parameter `what`.
    pub(crate) what: &'static str,
    /// What of the built module is replaced by something as long, before it is loaded.
    pub(crate) replaced: Option<(&'static str, &'static str)>,
    /// In words.
    pub(crate) meaning: &'static str,
    /// How a distribution's kernel is judged with it.
    pub(crate) stock: Told,
    /// How a sanitizing kernel is, where that makes a difference.
    pub(crate) sanitizing: Option<Told>,
    /// Whether the sanitizing kernel is booted for it as well: that takes a minute.
    pub(crate) booted: bool,
}

/// How a fault is told.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    /// What the reason for the verdict holds.
    pub(crate) said: &'static str,
    /// The function that the first trace leads to, if there is a trace.
    pub(crate) function: Option<&'static str>,
}

impl Seed {
    /// What the module is written in.
    pub(crate) fn language(&self) -> &'static str {
        if self.module == RUST { "Rust" } else { "C" }
    }

    /// The same, with a module of which this is replaced.
    const fn with(mut self, from: &'static str, to: &'static str) -> Self {
        self.replaced = Some((from, to));
        self
    }

    /// The same, also from a boot of the sanitizing kernel.
    const fn booted(mut self) -> Self {
        self.booted = true;
        self
    }
}

const fn told(verdict: Verdict, said: &'static str, function: Option<&'static str>) -> Told {
    Told { verdict, said, function }
}

/// What any kernel sees.
const fn seen(
    (module, what): (&'static str, &'static str),
    meaning: &'static str,
    verdict: Verdict,
    said: &'static str,
    function: Option<&'static str>,
) -> Seed {
    let stock = told(verdict, said, function);
    Seed { module, what, replaced: None, meaning, stock, sanitizing: None, booted: false }
}

/// What only a sanitizing kernel sees.
const fn quiet(
    (module, what): (&'static str, &'static str),
    meaning: &'static str,
    verdict: Verdict,
    said: &'static str,
    function: Option<&'static str>,
) -> Seed {
    let (stock, sanitizing) = (told(Verdict::Pass, PASSED, None), Some(told(verdict, said, function)));
    Seed { module, what, replaced: None, meaning, stock, sanitizing, booted: false }
}

/// The end of any version magic, and another as long.
pub(crate) const MAGIC: &str = " mod_unload ";
pub(crate) const OTHER_MAGIC: &str = " mod_insert ";

const PASSED: &str = "2 steps ended as expected";
const C: &str = "seeded_c";
const RUST: &str = "seeded_rust";

use Verdict::{Hung, Leak, Lockdep, ModuleRefused, Oops, Panic, Pass, StepFailed, TimeLimit, Warning};

#[rustfmt::skip]
pub(crate) const SEEDS: &[Seed] = &[
    seen((C, "nothing"), "nothing wrong", Pass, PASSED, None),
    seen((C, "error"), "init returns an error", StepFailed, "ENODEV", None),
    seen((C, "nothing"), "has another version magic", ModuleRefused, "version magic '", None).with(MAGIC, OTHER_MAGIC),
    seen((C, "nothing"), "uses a symbol that is not there", ModuleRefused, "Unknown symbol strcmq", None).with("\0strcmp\0", "\0strcmq\0"),
    seen((C, "stay"), "cannot be unloaded", Leak, "refcnt 1", None),
    seen((C, "warn"), "`WARN`", Warning, "seeded_c.c:", Some("seeded_warn")),
    seen((C, "taint"), "taints the kernel, silently", Warning, "tainted W", None),
    seen((C, "null"), "writes to NULL", Oops, "NULL pointer dereference", Some("seeded_null")),
    seen((C, "wild"), "writes to no address at all", Oops, "general protection fault", Some("seeded_wild")),
    seen((C, "readonly"), "writes to a constant", Oops, "unable to handle page fault", Some("seeded_readonly")),
    seen((C, "execute"), "runs data", Oops, "unable to handle page fault", None),
    seen((C, "bug"), "`BUG`", Oops, "kernel BUG at seeded_c.c:", Some("seeded_bug")),
    seen((C, "list"), "deletes a list entry twice", Oops, "list_del corruption", Some("seeded_list")),
    seen((C, "count"), "drops a reference too many", Oops, "refcount_t: ", Some("seeded_count")),
    seen((C, "stack"), "calls itself without end", Oops, "stack", Some("seeded_deeper")),
    seen((C, "panic"), "`panic`", Panic, "Kernel panic - not syncing: on purpose", Some("seeded_panic")),
    seen((C, "deadlock"), "takes a spinlock twice", Hung, "soft lockup", Some("seeded_deadlock")),
    seen((C, "busy"), "keeps the processor to itself", Hung, "soft lockup", Some("seeded_busy")),
    seen((C, "stall"), "never leaves an RCU reader", Hung, "rcu", Some("seeded_stall")),
    seen((C, "stuck"), "sleeps, and nobody can wake it", Hung, "blocked for more than", Some("seeded_stuck")),
    seen((C, "crossed"), "has a mutex that another thread waits for, and waits for that one's", Hung, "blocked for more than", Some("seeded_crossed")),
    seen((C, "loop"), "never returns, and lets others run", TimeLimit, "no output", None),
    seen((C, "sleep"), "sleeps with a spinlock held", Lockdep, "scheduling while atomic", Some("seeded_sleep")),
    quiet((C, "allocate"), "might sleep with a spinlock held", Lockdep, "sleeping function called from invalid context", Some("seeded_allocate")),
    quiet((C, "orders"), "takes two mutexes in one order, then in the other", Lockdep, "possible circular locking", Some("seeded_orders")).booted(),
    quiet((C, "rcu"), "reads RCU data outside of a reader", Lockdep, "suspicious RCU usage", Some("seeded_rcu")),
    quiet((C, "overflow"), "writes past the end of what it allocated", Oops, "KASAN: slab-out-of-bounds", Some("seeded_overflow")).booted(),
    quiet((C, "freed"), "reads what it has freed", Oops, "KASAN: slab-use-after-free", Some("seeded_freed")),
    quiet((C, "twice"), "frees twice", Oops, "KASAN: double-free", Some("seeded_twice")),
    quiet((C, "truth"), "loads a truth value that is neither", Oops, "UBSAN: invalid-load", Some("seeded_truth")),
    quiet((C, "lose"), "loses what it allocated", Leak, "suspected memory leaks", None).booted(),
    quiet((C, "keep"), "does not free what it has when it is unloaded", Leak, "suspected memory leaks", None),
    quiet((C, "user"), "does not let go of a reference", Leak, "suspected memory leaks", None),
    seen((RUST, "0"), "nothing wrong", Pass, PASSED, None),
    seen((RUST, "5"), "init returns an error", StepFailed, "ENODEV", None),
    seen((RUST, "0"), "has another version magic", ModuleRefused, "version magic '", None).with(MAGIC, OTHER_MAGIC),
    seen((RUST, "1"), "`panic!`", Oops, "rust_kernel: panicked at seeded_rust.rs", Some("panics")),
    seen((RUST, "2"), "indexes past the end of an array", Oops, "rust_kernel: panicked at seeded_rust.rs", Some("indexes")),
    seen((RUST, "3"), "writes to null (`unsafe`)", Oops, "NULL pointer dereference", Some("writes_nowhere")),
    seen((RUST, "4"), "calls itself without end", Oops, "stack", Some("goes_deep")),
    seen((RUST, "14"), "takes a spinlock twice", Hung, "soft lockup", Some("locks_twice")),
    seen((RUST, "15"), "waits for what never comes", Hung, "blocked for more than", Some("waits_for_ever")),
    seen((RUST, "11"), "sleeps with a spinlock held", Lockdep, "scheduling while atomic", Some("sleeps_locked")),
    quiet((RUST, "12"), "might sleep with a spinlock held", Lockdep, "sleeping function called from invalid context", Some("allocates_locked")),
    quiet((RUST, "13"), "takes two mutexes in one order, then in the other", Lockdep, "possible circular locking", Some("locks_in_both_orders")),
    quiet((RUST, "6"), "writes past the end of what it allocated (`unsafe`)", Oops, "KASAN: slab-out-of-bounds", Some("writes_past_the_end")),
    quiet((RUST, "7"), "reads what it has freed (`unsafe`)", Oops, "KASAN: slab-use-after-free", Some("reads_what_is_freed")),
    quiet((RUST, "8"), "frees twice (`unsafe`)", Oops, "KASAN: double-free", Some("frees_twice")),
    quiet((RUST, "9"), "loses what it allocated", Leak, "suspected memory leaks", None),
    quiet((RUST, "10"), "does not let go of a reference", Leak, "suspected memory leaks", None),
];

/// The table as the page has it.
pub(crate) fn table() -> String {
    let cell = |told: &Told| format!("{} ({})", told.verdict, told.verdict.exit() as u8);
    let row = |seed: &Seed| {
        let sanitizing = seed.sanitizing.as_ref().map(cell).unwrap_or_default();
        format!("| {} | {} | {} | {sanitizing} |\n", seed.meaning, seed.language(), cell(&seed.stock))
    };
    let rows: String = SEEDS.iter().map(row).collect();
    format!("| a module that | in | stock kernel | sanitizing kernel |\n|---|---|---|---|\n{rows}")
}
