#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What DKMS runs before it builds (PRE_BUILD), with the kernel's release and directory. From 3.1.7 on it passes over a module for
# which this ends with 77, and installing a kernel that nobody has prepared does not fail. The reason is in make.log.
make --silent KVER="$1" KDIR="$2" prepared || exit 77
