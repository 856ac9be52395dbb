// SPDX-License-Identifier: GPL-2.0
//! The batch script: one fixed text. What differs from one submission to another are its arguments,
//! which no shell reads again.

/// The last argument, where tool and plan are brought to the node's own disk.
pub(super) const BROADCAST: &str = "broadcast";

/// The script: `TOOL RESULTS NONCE [broadcast]`. It becomes the tool, so that a signal to the batch
/// process (`--signal=B:TERM@60`) is one to the tool.
pub(super) const TEXT: &str = r#"#!/bin/sh
# Made by `cargo kmod matrix submit`: a task for each kernel of a matrix.
if ! [ -x "$1" ]; then
    echo "error: $1: is not on $(hostname): the directory of results is not shared with this node" >&2
    exit 3
fi
if [ "${4-}" = broadcast ]; then
    own=$(mktemp -d) || exit 3
    for file in "$1" "$2/plan.json"; do
        sbcast --preserve "$file" "$own/${file##*/}" && continue
        rm -rf "$own"
        echo "error: $file: sbcast does not bring it to $own of $(hostname), see above" >&2
        exit 3
    done
    exec "$own/${1##*/}" matrix task --results "$2" --nonce "$3" --own "$own"
fi
exec "$1" matrix task --results "$2" --nonce "$3"
"#;
