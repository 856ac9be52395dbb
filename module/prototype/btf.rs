// SPDX-License-Identifier: GPL-2.0
//! BTF, the kernel's type information (Documentation/bpf/btf.rst): as much as prototypes need.

use std::fmt;

/// First two bytes of BTF, little-endian.
const MAGIC: u16 = 0xeb9f;
/// The shortest header; a longer one has fields that are not needed here.
const HEADER_LEN: usize = 24;
/// The only version there is.
const VERSION: u8 = 1;
/// How many links of a chain (pointer to const pointer to ...) are followed.
const MAX_CHAIN: usize = 16;
/// How many parameters a function may have before it is no function of the kernel.
const MAX_PARAMETERS: usize = 32;

/// The kinds of types, by their number in BTF.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Whether `bytes` begin as BTF does.
#[must_use]
pub fn is_btf(bytes: &[u8]) -> bool {
    le16(bytes, 0) == Some(MAGIC)
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_le_bytes)
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_le_bytes)
}

/// Parsed BTF: where each type begins, and the strings. Types are numbered from 1, or from where
/// the base ends.
pub struct Btf<'a> {
    base: Option<&'a Btf<'a>>,
    /// The type section.
    types: &'a [u8],
    /// Where each type begins in `types`.
    starts: Vec<usize>,
    strings: &'a [u8],
}

/// The fixed part of one type, and what follows it.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    kind: u32,
    /// `vlen`: how many members, parameters, values.
    count: usize,
    /// Size in bytes, or the number of another type, as the kind has it.
    size_or_type: u32,
    rest: &'a [u8],
}

/// How many bytes follow the fixed part of a type, or `None` for a kind nobody has heard of.
fn tail_len(kind: u32, count: usize) -> Option<usize> {
    let (once, each) = match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => (4, 0),
        kind::ARRAY => (12, 0),
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => (0, 12),
        kind::ENUM | kind::FUNC_PROTO => (0, 8),
        kind::PTR..=kind::RESTRICT | kind::FUNC | kind::FLOAT | kind::TYPE_TAG => (0, 0),
        _ => return None,
    };
    count.checked_mul(each)?.checked_add(once)
}

/// Reads the type that begins at `at`.
fn read_type(types: &[u8], at: usize) -> Option<Type<'_>> {
    let info = le32(types, at.checked_add(4)?)?;
    Some(Type {
        name: le32(types, at)?,
        kind: info >> 24 & 0x1f,
        count: (info & 0xffff) as usize,
        size_or_type: le32(types, at.checked_add(8)?)?,
        rest: types.get(at.checked_add(12)?..)?,
    })
}

impl<'a> Btf<'a> {
    /// Parses BTF; `base` is what it builds on, for a module.
    ///
    /// # Errors
    ///
    /// The reason, when it is damaged or holds a kind of type that is not known.
    pub fn parse(bytes: &'a [u8], base: Option<&'a Btf<'a>>) -> Result<Self, String> {
        if !is_btf(bytes) {
            return Err("its BTF does not begin as BTF does".into());
        }
        if bytes.get(2) != Some(&VERSION) {
            return Err("its BTF has a version that is not known".into());
        }
        let damaged = || String::from("its BTF header is damaged");
        let header_len = le32(bytes, 4).ok_or_else(damaged)? as usize;
        if header_len < HEADER_LEN {
            return Err(damaged());
        }
        let part = |offset_at: usize| {
            let start = header_len.checked_add(le32(bytes, offset_at)? as usize)?;
            bytes.get(start..start.checked_add(le32(bytes, offset_at.checked_add(4)?)? as usize)?)
        };
        let types = part(8).ok_or_else(damaged)?;
        let strings = part(16).ok_or_else(damaged)?;
        let mut starts = Vec::new();
        let mut at = 0;
        // Each turn consumes at least the 12 bytes of a type.
        while at < types.len() {
            let nth = starts.len();
            let cut = || format!("type {nth} of its BTF is cut short");
            let read = read_type(types, at).ok_or_else(cut)?;
            let tail = tail_len(read.kind, read.count).ok_or_else(|| {
                format!(
                    "its BTF has a kind of type that is not known ({})",
                    read.kind
                )
            })?;
            if read.rest.len() < tail {
                return Err(cut());
            }
            starts.push(at);
            at += 12 + tail;
        }
        Ok(Self {
            base,
            types,
            starts,
            strings,
        })
    }

    /// How many types there are, base included, and the one without number, `void`.
    fn end(&self) -> usize {
        self.base
            .map_or(1, Btf::end)
            .saturating_add(self.starts.len())
    }

    /// Length of the strings, base included.
    fn strings_end(&self) -> usize {
        self.base
            .map_or(0, Btf::strings_end)
            .saturating_add(self.strings.len())
    }

    /// The type with this number; `None` for 0, which is `void`, and for one there is not.
    fn at(&self, id: u32) -> Option<Type<'a>> {
        let first = self.base.map_or(1, Btf::end);
        match (id as usize).checked_sub(first) {
            Some(own) => read_type(self.types, *self.starts.get(own)?),
            None => self.base?.at(id),
        }
    }

    /// The string at this offset.
    fn string(&self, offset: u32) -> Option<&'a str> {
        let first = self.base.map_or(0, Btf::strings_end);
        match (offset as usize).checked_sub(first) {
            Some(own) => {
                let start = self.strings.get(own..)?;
                let len = start.iter().position(|byte| *byte == 0)?;
                std::str::from_utf8(start.get(..len)?).ok()
            }
            None => self.base?.string(offset),
        }
    }

    /// The prototype of `function`, which this BTF itself (not its base) must hold just once.
    ///
    /// # Errors
    ///
    /// The reason, when there is none, more than one that differ, or it cannot be read.
    pub fn function(&self, function: &str) -> Result<Prototype, String> {
        let mut found: Option<Prototype> = None;
        for start in &self.starts {
            let Some(this) = read_type(self.types, *start) else {
                continue;
            };
            if this.kind != kind::FUNC || self.string(this.name) != Some(function) {
                continue;
            }
            let prototype = self.prototype(function, this.size_or_type).ok_or_else(|| {
                format!("the prototype of {function} in its BTF points to what is not there")
            })?;
            match &found {
                Some(other) if *other != prototype => {
                    return Err(format!(
                        "its BTF has two functions {function}: {other} and {prototype}"
                    ))
                }
                _ => found = Some(prototype),
            }
        }
        found.ok_or_else(|| format!("its BTF has no function {function}"))
    }

    fn prototype(&self, function: &str, id: u32) -> Option<Prototype> {
        let proto = self.at(id)?;
        if proto.kind != kind::FUNC_PROTO || proto.count > MAX_PARAMETERS {
            return None;
        }
        let mut parameters = Vec::with_capacity(proto.count);
        for entry in proto.rest.chunks_exact(8).take(proto.count) {
            let (name, id) = (le32(entry, 0)?, le32(entry, 4)?);
            // No name and no type: the dots of a variadic function.
            let ty = if name == 0 && id == 0 {
                "...".into()
            } else {
                self.spell(id)?
            };
            parameters.push(Parameter {
                name: self.string(name)?.into(),
                ty,
            });
        }
        Some(Prototype {
            function: function.into(),
            returns: self.spell(proto.size_or_type)?,
            parameters,
        })
    }

    /// A type in C, qualifiers dropped: `char *`, `unsigned int`, `struct TCP_Server_Info *`.
    ///
    /// Typedefs are kept by name. What is of no interest for a prototype is spelled by its kind.
    fn spell(&self, mut id: u32) -> Option<String> {
        let mut stars = 0;
        for _ in 0..MAX_CHAIN {
            let bare: String = if id == 0 {
                "void".into()
            } else {
                let this = self.at(id)?;
                let name = self.string(this.name)?;
                match this.kind {
                    kind::PTR => {
                        stars += 1;
                        id = this.size_or_type;
                        continue;
                    }
                    kind::CONST | kind::VOLATILE | kind::RESTRICT | kind::TYPE_TAG => {
                        id = this.size_or_type;
                        continue;
                    }
                    kind::INT | kind::FLOAT | kind::TYPEDEF => name.into(),
                    kind::STRUCT => format!("struct {name}"),
                    kind::UNION => format!("union {name}"),
                    // The top bit of the info word tells the two apart, but only the name counts.
                    kind::FWD => format!("struct {name}"),
                    kind::ENUM | kind::ENUM64 => format!("enum {name}"),
                    kind::FUNC_PROTO => "function".into(),
                    kind::ARRAY => "array".into(),
                    _ => return None,
                }
            };
            let gap = if stars > 0 { " " } else { "" };
            return Some(format!("{bare}{gap}{}", "*".repeat(stars)));
        }
        None
    }
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; empty when it has none.
    pub name: String,
    /// Its type in C, without qualifiers.
    pub ty: String,
}

/// A function's prototype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prototype {
    /// The function's name.
    pub function: String,
    /// The type it returns.
    pub returns: String,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
}

/// A type and a name, as C puts them side by side.
fn declare(out: &mut fmt::Formatter<'_>, ty: &str, name: &str) -> fmt::Result {
    let gap = if ty.ends_with('*') || name.is_empty() {
        ""
    } else {
        " "
    };
    write!(out, "{ty}{gap}{name}")
}

impl fmt::Display for Prototype {
    /// As C declares it, without the semicolon.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        declare(out, &self.returns, &self.function)?;
        out.write_str("(")?;
        for (nth, parameter) in self.parameters.iter().enumerate() {
            if nth > 0 {
                out.write_str(", ")?;
            }
            declare(out, &parameter.ty, &parameter.name)?;
        }
        out.write_str(if self.parameters.is_empty() {
            "void)"
        } else {
            ")"
        })
    }
}
