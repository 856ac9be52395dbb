// SPDX-License-Identifier: GPL-2.0
//! Two projects of which one uses the other's module.

use camino::{Utf8Path, Utf8PathBuf};

/// A module that exports a function, in a project called `base`.
pub(crate) const BASE: &str = "#include \"base.h\"\nint base_value(struct base *base)\n{\n\treturn base->value;\n}\nEXPORT_SYMBOL_GPL(base_value);\n";
pub(crate) const BASE_HEADER: &str = "struct base { int value; };\nint base_value(struct base *base);\n";

/// One that calls it, with the header where the other one has it.
pub(crate) const TOP: &str = "#include \"base.h\"\nstatic int __init top_init(void)\n{\n\tstruct base base = { .value = 7 };\n\n\
                   \tpr_info(\"top: has %d of base\\n\", base_value(&base));\n\treturn 0;\n}\nmodule_init(top_init);\n\
                   static void __exit top_exit(void)\n{\n}\nmodule_exit(top_exit);\n";

/// Writes a project.
pub(crate) fn project(dir: &Utf8Path, name: &str, source: &str, conf: &str) -> Utf8PathBuf {
    let place = dir.join(name);
    fs_err::create_dir_all(&place).unwrap();
    let head = "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\n";
    let tail = format!("MODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"{name}\");\n");
    fs_err::write(place.join(format!("{name}.c")), format!("{head}{source}{tail}")).unwrap();
    let kbuild = format!("ccflags-y += $(addprefix -I,$(NEEDED_SOURCES))\nobj-m := {name}.o\n");
    fs_err::write(place.join("Kbuild"), kbuild).unwrap();
    let text = format!("PACKAGE_NAME={name}\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME={name}\n{conf}\n");
    fs_err::write(place.join("dkms.conf"), text).unwrap();
    place
}

/// Two of which the second uses the first.
pub(crate) fn pair(dir: &Utf8Path, conf: &str) -> (Utf8PathBuf, Utf8PathBuf) {
    let base = project(&dir.join("there"), "base", BASE, "");
    fs_err::write(base.join("base.h"), BASE_HEADER).unwrap();
    (base, project(&dir.join("here"), "top", TOP, conf))
}
