# SPDX-License-Identifier: GPL-2.0
# The guard without cargo: a thin wrapper around the kernel's build system. `make help` tells.
# What is built, and how, is in Kbuild.

name := cifs-fix
objects := cifs_fix.ko
summary := verifies SMB2 replies before the stock cifs.ko parses them
tool := cargo xtask
cache := cargo-kmod
rust := y
arguments = $(if $(CIFS_KO),CIFS_KO='$(abspath $(CIFS_KO))') \
	$(if $(CIFS_BTF),CIFS_BTF='$(abspath $(CIFS_BTF))')
generated := module/generated

define more-help

  CIFS_KO=FILE           the stock cifs.ko of that kernel (also .xz, .zst, .gz), when it is
                         not below /lib/modules; its BTF tells how to hook it
  CIFS_BTF=FILE          the BTF of that kernel, when KDIR has no vmlinux: a vmlinux with
                         BTF, or /sys/kernel/btf/vmlinux of the same release

Loading:  modprobe cifs_fix [mode=0]    0 counts and logs, 1 rejects (default), 2 is strict
Watching: /sys/kernel/debug/cifs_fix/{state,counters,mode}
endef

# --- The same in every Makefile of this tool, to the next such line. Set above: ---
#
# name        the project, in messages
# objects     the modules that are built
# summary     what they are, in one line
# tool        the command that messages name: cargo kmod, cargo xtask
# cache       where that keeps prepared kernels, below ~/.cache
# rust        not empty: the module is in Rust, so it needs the kernel's Rust artefacts
# imported    a file that is there once the kernel's source is imported, where that is built
# import      the command that imports it
# arguments   what Kbuild is told besides
# generated   directories that hold only what is generated
# more-help   what `make help` says besides

# None of these is taken from the environment.
$(foreach v,name objects summary tool cache rust imported import arguments generated more-help, \
	$(if $(filter environment,$(origin $(v))),$(eval $(v) :=)))

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
INSTALL_MOD_DIR ?= extra

# Where prepared kernels are kept. One is taken instead of a KDIR that lacks the Rust artefacts,
# when it is whole (it has its stamp) and of the same release: so DKMS finds it when it builds for a
# new kernel.
PREPARED ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/$(cache)/kernels
ifneq ($(rust),)
ifeq ($(wildcard $(KDIR)/rust/libcore.rmeta),)
ifneq ($(wildcard $(PREPARED)/$(KVER)/stamp.json),)
ifneq ($(wildcard $(PREPARED)/$(KVER)/build/rust/libcore.rmeta),)
override KDIR := $(PREPARED)/$(KVER)/build
endif
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
prepare := run "$(tool) kernel prepare $(release)", then give its directory as KDIR=

# Empty, or what this kernel with Rust still lacks.
unprepared := $(strip $(if $(rust),$(if $(filter y,$(call config,CONFIG_RUST)), \
	$(if $(wildcard $(KDIR)/rust/libcore.rmeta),, \
		$(KDIR): no Rust artefacts there (rust/libcore.rmeta): $(prepare)))))

# Empty, or why nothing can be built against KDIR.
unimported := $(if $(imported),$(if $(wildcard $(imported)),, \
	$(CURDIR): the kernel's source is not imported: run "$(import) --kernel $(release)"$(,) \
	and make in the directory that it prints))
no-kdir := $(if $(wildcard $(KDIR)/Makefile),, \
	$(KDIR): no kernel build directory: install the kernel's headers$(,) or $(prepare))
no-rust := $(if $(rust),$(if $(config-file),$(if $(filter y,$(call config,CONFIG_RUST)),, \
	$(KDIR): this kernel is built without Rust (CONFIG_RUST is not set)$(,) which $(objects) needs)))

# Empty, or why what is in KDIR cannot be used here, though it is whole. It was made on another
# system: its programs may need another C library, and its Rust artefacts serve one rustc alone. With
# another gcc the kernel's own Makefile only warns.
in-root := run "$(tool) build --kernel $(release)"$(,) which builds where KDIR was made
missing-libs = $(firstword $(shell for program in scripts/basic/fixdep scripts/mod/modpost; do \
	LC_ALL=C LD_TRACE_LOADED_OBJECTS=1 '$(KDIR)'/$$program 2>&1; done | sed -n \
	-e "s/.*version .\(GLIBC_[0-9.]*\). not found.*/\1/p" -e 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p'))
no-libs = $(if $(missing-libs),$(KDIR): its own programs need $(missing-libs)$(,) which is not here: $(in-root))
# As the kernel's Makefile has it: one from the environment does not count.
rustc := $(if $(filter command,$(origin RUSTC)),$(RUSTC),rustc)
rustc-there = $(subst ",,$(call config,CONFIG_RUSTC_VERSION_TEXT))
rustc-here = $(or $(shell '$(rustc)' --version 2> /dev/null),no $(rustc))
differ = $(subst x$1,,x$2)$(subst x$2,,x$1)
no-rustc = $(if $(rust),$(if $(rustc-there),$(if $(call differ,$(rustc-there),$(rustc-here)), \
	$(KDIR): its Rust artefacts are for $(rustc-there) alone$(,) and here is $(rustc-here): $(in-root))))
foreign = $(strip $(or $(no-rustc),$(no-libs)))

# Only targets that build ask: it runs programs.
refusal = $(strip $(or $(unimported),$(no-kdir),$(no-rust),$(unprepared),$(foreign)))

kbuild = $(MAKE) -C '$(KDIR)' M='$(CURDIR)' $(compiler) $(arguments)

.PHONY: default prepared modules modules_install clean help
.DEFAULT_GOAL := default
default: modules

# What DKMS asks before it builds: prepared.sh.
prepared:
	$(if $(or $(unprepared),$(foreign)),$(error $(name): $(or $(unprepared),$(foreign))))

modules:
	$(if $(refusal),$(error $(name): $(refusal)))
	+$(kbuild) modules

modules_install:
	+$(kbuild) INSTALL_MOD_DIR='$(INSTALL_MOD_DIR)' modules_install

# What rust-analyzer asks for, written by the kernel's own script: rust-project.json. It needs the
# rustc and bindgen that the kernel was built with.
ifneq ($(rust),)
.PHONY: rust-analyzer
rust-analyzer:
	$(if $(refusal),$(error $(name): $(refusal)))
	+$(kbuild) rust-analyzer
endif

# Not the kernel's own `clean`: it removes every *.o, *.a and *.ko below M=, and in target/ those
# are cargo's.
clean:
	$(if $(generated),rm -rf $(generated))
	find . '(' -name .git -o -name target ')' -prune -o -type f \
		'(' -name '*.ko' -o -name '*.o' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name '.*.d' -o -name modules.order -o -name Module.symvers ')' -exec rm -f '{}' +

define help
$(objects): $(summary)

  make                   build for the running kernel
  make modules_install   install below /lib/modules/RELEASE/$(INSTALL_MOD_DIR) and run depmod
  make clean             remove what was built, and nothing else$(if $(rust),
  make rust-analyzer     write rust-project.json for editors; needs rustc and bindgen)

Variables:
  KVER=RELEASE           another kernel, as uname -r prints it
  KDIR=DIR               its build directory (default /lib/modules/KVER/build)$(if $(rust),; it must
                         hold the Rust artefacts$(,) which most distributions leave out:
                         "$(tool) kernel prepare RELEASE" makes them
  PREPARED=DIR           where that command keeps them (default ~/.cache/$(cache)/kernels))
  CC=COMPILER            another compiler than the one the kernel was built with
  INSTALL_MOD_PATH=DIR   install below DIR instead of /
  INSTALL_MOD_DIR=NAME   below /lib/modules/RELEASE (default $(INSTALL_MOD_DIR))$(more-help)
endef

help:
	$(info $(help))
	@:

# --- The end of what is the same in every Makefile. ---

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
