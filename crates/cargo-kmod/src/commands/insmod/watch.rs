// SPDX-License-Identifier: GPL-2.0
//! Does something again whenever a file of a project is saved.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use kernel::context::Context;
use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecursiveMode, Watcher as _};
use project::find;
use report::failure::remedy_of;

use crate::commands::insmod::args::InsmodArgs;

/// Editors save by several steps, and several files at once; they are done when nothing has come
/// for this long.
const QUIET: Duration = Duration::from_millis(100);

/// Runs, and again after each save; what goes wrong is shown, and ends nothing.
pub(super) fn again_and_again(
    context: &Context,
    args: &InsmodArgs,
    run: impl Fn() -> Result<()>,
) -> Result<()> {
    let dir = find::directory(context, args.build.project.as_deref())?;
    let (sender, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).context("watching for changes")?;
    watcher
        .watch(dir.as_std_path(), RecursiveMode::Recursive)
        .with_context(|| format!("watching {dir} for changes"))?;
    loop {
        if let Err(error) = run() {
            let remedy = remedy_of(&error).map(|remedy| format!("\nremedy: {remedy}")).unwrap_or_default();
            context.report.warn(&format!("{error:#}{remedy}"));
        }
        context.report.note("Watching", &format!("{dir} (Ctrl-C ends it)"));
        saved(&events, &dir)?;
    }
}

/// Waits until something was saved.
fn saved(events: &Receiver<notify::Result<Event>>, dir: &Utf8Path) -> Result<()> {
    while !is_save(&events.recv().context("the watch ended")??, dir) {}
    while events.recv_timeout(QUIET).is_ok() {}
    Ok(())
}

/// Whether an event is about what a user wrote: not what the tool makes itself, nor what editors
/// and version control keep beside.
fn is_save(event: &Event, dir: &Utf8Path) -> bool {
    let changes = match event.kind {
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
        _ => false,
    };
    let is_source = |path: &Utf8Path| {
        let below = path.strip_prefix(dir).unwrap_or(path);
        let made = below.components().any(|part| part.as_str() == "target" || part.as_str().starts_with('.'));
        let name = below.file_name().unwrap_or_default();
        // vim writes a file of that name to see whether it can.
        !made && !name.is_empty() && !name.ends_with('~') && name != "4913"
    };
    changes && event.paths.iter().filter_map(|path| Utf8Path::from_path(path)).any(is_source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, CreateKind, DataChange, MetadataKind, RenameMode};

    #[test]
    fn what_a_user_saves_is_told_from_what_is_made() {
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for (kind, path, expected) in [
            (written, "/p/hello.c", true),
            (written, "/p/src/hello.rs", true),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/p/hello.c", true),
            (EventKind::Create(CreateKind::File), "/p/new.c", true),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "/p/hello.c", false),
            (EventKind::Access(AccessKind::Any), "/p/hello.c", false),
            (written, "/p/target/kmod/hello/hello.c", false),
            (written, "/p/.git/index", false),
            (written, "/p/.hello.c.swp", false),
            (written, "/p/hello.c~", false),
            (EventKind::Create(CreateKind::File), "/p/4913", false),
            (written, "/p", false),
        ] {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(is_save(&event, "/p".into()), expected, "{kind:?} {path}");
        }
    }
}
