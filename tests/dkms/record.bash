# SPDX-License-Identifier: GPL-2.0
# Has the real dkms read every NAME.conf in a directory, and writes down what it says (NAME.said),
# how it ends (NAME.status) and what it has made of the file (NAME.taken, see probe.bash).
#   record.bash DKMS CONFS OUT PROBE RELEASE JOBS
set -u
dkms=$1 confs=$2 out=$3 probe=$4 release=$5 jobs=$6
# The latter is what nproc(1) goes by.
export LC_ALL=C HOME=/root OMP_NUM_THREADS=$jobs
mkdir -p "$out" "/lib/modules/$release/build"
printf 'CONFIG_A=y\nCONFIG_M=m\n' >"/lib/modules/$release/build/.config"
project=$(mktemp -d)
for conf in "$confs"/*.conf; do
    name=$(basename "$conf" .conf)
    rm -rf /usr/src/gadget* /var/lib/dkms/gadget* "$project"/*
    cp "$conf" "$project/dkms.conf"
    echo 1.0 >"$project/VERSION"
    : >"$out/$name.taken"
    TAKEN="$out/$name.taken" BASH_ENV=$probe "$dkms" add "$project" -k "$release" -a x86_64 -j "$jobs" \
        >"$out/$name.said" 2>&1 </dev/null
    echo $? >"$out/$name.status"
done
rm -rf "$project"
