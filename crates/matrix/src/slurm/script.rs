// SPDX-License-Identifier: GPL-2.0
//! The batch script: one fixed text. What differs from one submission to another are its arguments,
//! which no shell reads again.

/// The script: `TOOL RESULTS NONCE`. It becomes the tool, so that a signal to the batch process
/// (`--signal=B:TERM@60`) is one to the tool.
pub(super) const TEXT: &str = r#"#!/bin/sh
# Made by `cargo kmod matrix submit`: a task for each kernel of a matrix.
if ! [ -x "$1" ]; then
    echo "error: $1: is not on $(hostname): the directory of results is not shared with this node" >&2
    exit 3
fi
exec "$1" matrix task --results "$2" --nonce "$3"
"#;
