// SPDX-License-Identifier: GPL-2.0
//! The shapes of the hooked function that the guard knows.

use super::btf::{Parameter, Prototype};
use super::Failure;

/// A known shape of `smb2_check_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `(char *buf, unsigned int len, struct TCP_Server_Info *server)`: Linux up to 6.12.
    BufLenServer,
    /// `(char *buf, unsigned int pdu_len, unsigned int len, struct TCP_Server_Info *server)`:
    /// Linux 7.2 and later.
    BufPduLenLenServer,
}

impl Shape {
    /// Every known shape.
    pub const ALL: [Self; 2] = [Self::BufLenServer, Self::BufPduLenLenServer];

    /// The name, as the kernel module and the tool spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BufLenServer => "BufLenServer",
            Self::BufPduLenLenServer => "BufPduLenLenServer",
        }
    }

    /// Types of the parameters, and the names of those whose type alone does not tell what they
    /// are.
    const fn parameters(self) -> &'static [(&'static str, Option<&'static str>)] {
        match self {
            Self::BufLenServer => &[
                ("char *", None),
                ("unsigned int", Some("len")),
                ("struct TCP_Server_Info *", None),
            ],
            Self::BufPduLenLenServer => &[
                ("char *", None),
                ("unsigned int", Some("pdu_len")),
                ("unsigned int", Some("len")),
                ("struct TCP_Server_Info *", None),
            ],
        }
    }

    /// Whether `prototype` has this shape.
    fn fits(self, prototype: &Prototype) -> bool {
        let fits_one = |(found, (ty, name)): (&Parameter, &(&str, Option<&str>))| {
            found.ty == *ty && name.is_none_or(|name| found.name == name)
        };
        let wanted = self.parameters();
        prototype.returns == "int"
            && prototype.parameters.len() == wanted.len()
            && prototype.parameters.iter().zip(wanted).all(fits_one)
    }

    /// Which shape `prototype` has.
    ///
    /// # Errors
    ///
    /// It has none of the known ones. Guessing would mean to read a wrong register as a length,
    /// so it is refused; the message shows the prototype.
    pub fn of(prototype: &Prototype) -> Result<Self, Failure> {
        Self::ALL
            .into_iter()
            .find(|shape| shape.fits(prototype))
            .ok_or_else(|| {
                Failure::new(
                    &prototype.function,
                    format!(
                        "this kernel's cifs.ko declares it in a way that is not known: {prototype}"
                    ),
                    "a newer cifs-fix may know it; this one must not hook it",
                )
            })
    }
}

/// The Rust source that tells the kernel module which shape to expect.
#[must_use]
pub fn rust_source(shape: Shape, prototype: &Prototype) -> String {
    format!(
        "// SPDX-License-Identifier: GPL-2.0\n\
         /// The shape of the hooked function in the cifs.ko that this module was built for.\n\
         pub(crate) const SHAPE: super::Shape = super::Shape::{};\n\
         /// Its prototype, as the BTF of that cifs.ko has it.\n\
         pub(crate) const PROTOTYPE: &str = {:?};\n",
        shape.name(),
        prototype.to_string(),
    )
}
