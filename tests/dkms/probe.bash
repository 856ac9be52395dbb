# SPDX-License-Identifier: GPL-2.0
# Sourced by bash before it runs dkms (BASH_ENV). Each time dkms has read a dkms.conf (read_conf),
# it writes what dkms has then: kind, index and value, each ended by NUL. First the directives as
# they are after the second reading, then what dkms has made of them.
unset BASH_ENV
exec {taken_fd}>>"$TAKEN"
taken_put() {
    local name index
    for name in "$@"; do
        declare -n value=$name
        for index in "${!value[@]}"; do
            printf '%s\0%s\0%s\0' "$name" "$index" "${value[$index]}" >&"$taken_fd"
        done
        unset -n value
    done
}
taken_probe() {
    [[ ${FUNCNAME[1]} == read_conf ]] || return 0
    case $1 in
    'package_name="$PACKAGE_NAME"')
        printf 'begin\0000\0\0' >&"$taken_fd"
        # The uppercase ones; the others are dkms's own.
        # shellcheck disable=SC2046,SC2154
        taken_put $(tr ' ' '\n' <<<"$dkms_conf_variables" | grep '^[A-Z]')
        ;;
    'return $return_value')
        taken_put built_module_name built_module_location dest_module_name strip patch_array \
            make_command build_exclude
        ;;
    esac
}
set -T
trap 'taken_probe "$BASH_COMMAND"' DEBUG
