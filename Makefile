# SPDX-License-Identifier: GPL-2.0
# The guard without cargo: a thin wrapper around the kernel's build system. `make help` tells.
# What is built, and how, is in Kbuild.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
INSTALL_MOD_DIR ?= extra

# Where `cargo xtask kernel prepare` keeps what it made. Taken instead of a KDIR that lacks the Rust artefacts, when
# it is whole (it has its stamp) and of the same release: so DKMS finds it when it builds for a new kernel.
PREPARED ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cifs-fix/kernels
ifeq ($(wildcard $(KDIR)/rust/libcore.rmeta),)
ifneq ($(wildcard $(PREPARED)/$(KVER)/stamp.json),)
ifneq ($(wildcard $(PREPARED)/$(KVER)/build/rust/libcore.rmeta),)
override KDIR := $(PREPARED)/$(KVER)/build
endif
endif
endif

# What the kernel directory says of itself. Nothing here fails: the targets do, and say why.
config-file := $(firstword $(wildcard $(KDIR)/include/config/auto.conf $(KDIR)/.config))
config = $(if $(config-file),$(shell sed -n 's/^$(1)=//p' '$(config-file)'))
release := $(firstword $(if $(wildcard $(KDIR)/include/config/kernel.release),$(shell \
	cat '$(KDIR)/include/config/kernel.release')) $(KVER))

# The compiler that the kernel was built with, when it is here by that name.
ifeq ($(origin CC),default)
ifeq ($(call config,CONFIG_CC_IS_CLANG),y)
compiler := LLVM=1
else
kernel-cc := $(firstword $(subst ",,$(call config,CONFIG_CC_VERSION_TEXT)))
compiler := $(if $(kernel-cc),$(if $(shell command -v '$(kernel-cc)'),CC=$(kernel-cc)))
endif
else
compiler := CC='$(CC)'
endif

# A comma, where make would take one for its own.
, := ,
prepare := run "cargo xtask kernel prepare $(release)", then give its directory as KDIR=

# Empty, or what this kernel with Rust still lacks.
unprepared = $(if $(filter y,$(call config,CONFIG_RUST)),$(if $(wildcard $(KDIR)/rust/libcore.rmeta),, \
	$(KDIR): no Rust artefacts there (rust/libcore.rmeta): $(prepare)))

# Empty, or why the guard cannot be built against KDIR.
refusal := $(strip \
	$(if $(wildcard $(KDIR)/Makefile),, \
		$(KDIR): no kernel build directory: install the kernel's headers$(,) or $(prepare)) \
	$(if $(config-file),$(if $(filter y,$(call config,CONFIG_RUST)),, \
		$(KDIR): this kernel is built without Rust (CONFIG_RUST is not set): the guard cannot be built for it)) \
	$(unprepared))

kbuild = $(MAKE) -C '$(KDIR)' M='$(CURDIR)' $(compiler) $(if $(CIFS_KO),CIFS_KO='$(abspath $(CIFS_KO))') \
	$(if $(CIFS_BTF),CIFS_BTF='$(abspath $(CIFS_BTF))')

.PHONY: default prepared modules modules_install clean help
default: modules

# What DKMS asks before it builds: module/prepared.sh.
prepared:
	$(if $(unprepared),$(error cifs-fix: $(unprepared)))

modules:
	$(if $(refusal),$(error cifs-fix: $(refusal)))
	+$(kbuild) modules

modules_install:
	+$(kbuild) INSTALL_MOD_DIR='$(INSTALL_MOD_DIR)' modules_install

# Not the kernel's own `clean`: below M= it removes every *.o, *.a and *.ko*, and here that would
# be cargo's too.
clean:
	rm -rf module/generated
	rm -f cifs_fix.ko cifs_fix.o cifs_fix.mod cifs_fix.mod.c cifs_fix.mod.o .module-common.o \
		.cifs_fix.*.cmd ..module-common.o.cmd module/cifs_fix.o module/.cifs_fix.o.cmd \
		module/.cifs_fix.o.d modules.order .modules.order.cmd Module.symvers .Module.symvers.cmd

help:
	@echo 'cifs_fix.ko, the guard: verifies SMB2 replies before the stock cifs.ko parses them.'
	@echo ''
	@echo '  make                   build cifs_fix.ko for the running kernel'
	@echo '  make modules_install   install it below /lib/modules/RELEASE/extra and run depmod'
	@echo '  make clean             remove what was built, and nothing else'
	@echo ''
	@echo 'Variables:'
	@echo '  KVER=RELEASE           another kernel, as uname -r prints it'
	@echo '  KDIR=DIR               its build directory (default /lib/modules/KVER/build); it must'
	@echo '                         hold the Rust artefacts, which most distributions leave out:'
	@echo '                         "cargo xtask kernel prepare RELEASE" makes them'
	@echo '  PREPARED=DIR           where that command keeps them (default ~/.cache/cifs-fix/kernels)'
	@echo '  CIFS_KO=FILE           the stock cifs.ko of that kernel (also .xz, .zst, .gz), when it is'
	@echo '                         not below /lib/modules; its BTF tells how to hook it'
	@echo '  CIFS_BTF=FILE          the BTF of that kernel, when KDIR has no vmlinux: a vmlinux with'
	@echo '                         BTF, or /sys/kernel/btf/vmlinux of the same release'
	@echo '  CC=COMPILER            another compiler than the one the kernel was built with'
	@echo '  INSTALL_MOD_PATH=DIR   install below DIR instead of /'
	@echo '  INSTALL_MOD_DIR=NAME   below /lib/modules/RELEASE (default extra)'
	@echo ''
	@echo 'Loading:  modprobe cifs_fix [mode=0]    0 counts and logs, 1 rejects (default), 2 is strict'
	@echo 'Watching: /sys/kernel/debug/cifs_fix/{state,counters,mode}'

# --- The guard's own: its source, checked by the kernel's tools and settings ---

# The source that KDIR was made from; where it is not beside it, KDIR itself.
source := $(firstword $(wildcard $(KDIR)/source) $(KDIR))

.PHONY: clippy rustfmtcheck checkpatch

# With the kernel's own lints; a warning is an error. clippy-driver must come from the very rustc that
# the kernel was built with.
clippy:
	$(if $(refusal),$(error cifs-fix: $(refusal)))
	+$(kbuild) CLIPPY=1 KRUSTFLAGS=-Dwarnings modules

# With the kernel's own settings; module/rustfmt.toml is a copy, for a KDIR that has no source beside
# it. rustfmt finds all other files through those named here.
RUSTFMT ?= rustfmt
rustfmtcheck:
	$(RUSTFMT) --check \
		--config-path '$(firstword $(wildcard $(source)/.rustfmt.toml) module/rustfmt.toml)' \
		module/cifs_fix.rs module/prototype/lib.rs module/prototype/main.rs

checkpatch:
	$(if $(wildcard $(source)/scripts/checkpatch.pl),,$(error \
		cifs-fix: $(source)/scripts/checkpatch.pl: not there: give a KDIR with its source))
	perl '$(source)/scripts/checkpatch.pl' --no-tree --strict --terse --file module/bindings.h
