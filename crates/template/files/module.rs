// SPDX-License-Identifier: GPL-2.0
//! {{module}}: says hello when it is loaded.

use kernel::prelude::*;

module! {
    type: {{type_name}},
    name: "{{module}}",
    authors: ["{{ascii_author}}"],
    description: "Says hello when it is loaded",
    license: "GPL",
    params: {
        times: u32 {
            default: 1,
            description: "how many times it says hello (default 1)",
        },
    },
}

/// The loaded module.
struct {{type_name}};

impl kernel::Module for {{type_name}} {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // Up to Linux 7.2 this is a reference to the value, since then the value.
        #[allow(clippy::clone_on_copy)]
        let times = module_parameters::times.value().clone();
        for i in 1..=times {
            pr_info!("hello {i} of {times}\n");
        }
        Ok(Self)
    }
}

impl Drop for {{type_name}} {
    fn drop(&mut self) {
        pr_info!("bye\n");
    }
}
