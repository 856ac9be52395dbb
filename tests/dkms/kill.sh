#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# As BASH_ENV of dkms: kills it and the subshell it works in, as `kill -9` would, right before the command whose text begins with KILL_AT.
if [[ $0 == */dkms ]]; then
    set -o functrace
    # shellcheck disable=SC2154
    trap '[[ $BASH_COMMAND != "$KILL_AT"* ]] || kill -9 $$ $BASHPID' DEBUG
fi
