// SPDX-License-Identifier: GPL-2.0
//! Functions as a kernel's BTF has them, spelled as C declares them.

use btf_rs::{Btf, BtfType, FuncProto, Type};

/// How deep types are nested at most; a kernel's own are not deeper.
const DEEPEST: usize = 32;

/// A function: what it returns and takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    returns: String,
    parameters: Vec<DeclaredParameter>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DeclaredParameter {
    name: String,
    /// Without the name.
    ty: String,
    /// With the name.
    text: String,
}

impl Declaration {
    /// The function of this name; none, if there is none, or several that differ.
    pub(super) fn of(btf: &Btf, function: &str) -> Option<Self> {
        let types = btf.resolve_types_by_name(function).ok()?;
        let functions = types.iter().filter_map(|found| match found {
            Type::Func(function) => Some(function),
            _ => None,
        });
        let mut found = functions.map(|function| match btf.resolve_chained_type(function).ok()? {
            Type::FuncProto(proto) => Self::read(btf, &proto),
            _ => None,
        });
        let first = found.next()??;
        found.all(|other| other.as_ref() == Some(&first)).then_some(first)
    }

    fn read(btf: &Btf, proto: &FuncProto) -> Option<Self> {
        let parameter = |parameter: &btf_rs::Parameter| {
            if parameter.is_variadic() {
                let (ty, text) = ("...".to_owned(), "...".to_owned());
                return Some(DeclaredParameter { name: String::new(), ty, text });
            }
            let (name, id) = (btf.resolve_name(parameter).ok()?, parameter.get_type_id()?);
            let ty = declare(btf, id, String::new(), DEEPEST)?;
            Some(DeclaredParameter { text: declare(btf, id, name.clone(), DEEPEST)?, name, ty })
        };
        Some(Self {
            returns: declare(btf, proto.return_type_id(), String::new(), DEEPEST)?,
            parameters: proto.parameters.iter().map(parameter).collect::<Option<_>>()?,
        })
    }

    /// Whether who calls one of them calls the other as well. Names of parameters do not matter.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let types = |of: &Self| of.parameters.iter().map(|one| one.ty.clone()).collect::<Vec<_>>();
        self.returns == other.returns && types(self) == types(other)
    }

    /// As C declares it, without the semicolon.
    pub(super) fn text(&self, function: &str) -> String {
        let parameters: Vec<&str> = self.parameters.iter().map(|one| one.text.as_str()).collect();
        let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
        beside(&self.returns, &format!("{function}({parameters})"))
    }
}

/// A type and what it is the type of, side by side.
fn beside(ty: &str, what: &str) -> String {
    let gap = if ty.ends_with('*') || what.is_empty() { "" } else { " " };
    format!("{ty}{gap}{what}")
}

/// Declares `what` as of a type, as C does: from the name outwards.
fn declare(btf: &Btf, id: u32, what: String, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    if id == 0 {
        return Some(beside("void", &what));
    }
    let ty = btf.resolve_type_by_id(id).ok()?;
    let named = |prefix: &str, named: &dyn BtfType| {
        let name = btf.resolve_name(named).unwrap_or_default();
        let name = if name.is_empty() { "{...}".to_owned() } else { name };
        Some(beside(&format!("{prefix}{name}"), &what))
    };
    match &ty {
        Type::Int(ty) => named("", ty),
        Type::Float(ty) => named("", ty),
        Type::Typedef(ty) => named("", ty),
        Type::Struct(ty) => named("struct ", ty),
        Type::Union(ty) => named("union ", ty),
        Type::Enum(ty) => named("enum ", ty),
        Type::Enum64(ty) => named("enum ", ty),
        Type::Fwd(ty) => named(if ty.is_union() { "union " } else { "struct " }, ty),
        Type::Ptr(ty) => pointer(btf, ty.get_type_id().unwrap_or(0), &what, depth),
        Type::Const(ty) => qualified(btf, "const", ty.get_type_id().unwrap_or(0), what, depth),
        Type::Volatile(ty) => qualified(btf, "volatile", ty.get_type_id().unwrap_or(0), what, depth),
        // How they are checked, not what they are.
        Type::Restrict(ty) => declare(btf, ty.get_type_id()?, what, depth),
        Type::TypeTag(ty) => declare(btf, ty.get_type_id()?, what, depth),
        Type::Array(ty) => declare(btf, ty.get_type_id()?, format!("{what}[{}]", ty.len()), depth),
        Type::FuncProto(proto) => {
            let declaration = Declaration::read_within(btf, proto, depth)?;
            declare(btf, proto.return_type_id(), format!("{what}({declaration})"), depth)
        }
        _ => None,
    }
}

impl Declaration {
    /// The types of what a function takes that is itself a part of a type.
    fn read_within(btf: &Btf, proto: &FuncProto, depth: usize) -> Option<String> {
        let types = proto.parameters.iter().map(|parameter| match parameter.is_variadic() {
            true => Some("...".to_owned()),
            false => declare(btf, parameter.get_type_id()?, String::new(), depth),
        });
        let types = types.collect::<Option<Vec<_>>>()?;
        Some(if types.is_empty() { "void".to_owned() } else { types.join(", ") })
    }
}

fn pointer(btf: &Btf, to: u32, what: &str, depth: usize) -> Option<String> {
    let what = format!("*{what}");
    let wrapped = matches!(btf.resolve_type_by_id(to), Ok(Type::FuncProto(_) | Type::Array(_)));
    declare(btf, to, if wrapped { format!("({what})") } else { what }, depth)
}

fn qualified(btf: &Btf, word: &str, of: u32, what: String, depth: usize) -> Option<String> {
    match btf.resolve_type_by_id(of) {
        // Of a pointer it stands after the star.
        Ok(Type::Ptr(_)) => declare(btf, of, beside(word, &what), depth),
        _ => Some(format!("{word} {}", declare(btf, of, what, depth)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF in the making: Documentation/bpf/btf.rst.
    #[derive(Default)]
    struct Types {
        types: Vec<u8>,
        strings: Vec<u8>,
        count: u32,
    }

    const INT: u32 = 1;
    const PTR: u32 = 2;
    const ARRAY: u32 = 3;
    const STRUCT: u32 = 4;
    const CONST: u32 = 10;
    const FUNC: u32 = 12;
    const FUNC_PROTO: u32 = 13;

    impl Types {
        fn name(&mut self, name: &str) -> u32 {
            if self.strings.is_empty() {
                self.strings.push(0);
            }
            if name.is_empty() {
                return 0;
            }
            let at = u32::try_from(self.strings.len()).unwrap();
            self.strings.extend(name.bytes().chain([0]));
            at
        }

        /// Adds a type; what it is called in others.
        fn add(&mut self, name: &str, kind: u32, of: u32, rest: &[u32], many: u32) -> u32 {
            let name = self.name(name);
            for word in [name, kind << 24 | many, of].iter().chain(rest) {
                self.types.extend(word.to_le_bytes());
            }
            self.count += 1;
            self.count
        }

        fn int(&mut self, name: &str) -> u32 {
            self.add(name, INT, 4, &[32], 0)
        }

        fn pointer(&mut self, to: u32) -> u32 {
            self.add("", PTR, to, &[], 0)
        }

        fn proto(&mut self, returns: u32, parameters: &[(&str, u32)]) -> u32 {
            let words: Vec<u32> = parameters.iter().flat_map(|(name, ty)| [self.name(name), *ty]).collect();
            self.add("", FUNC_PROTO, returns, &words, u32::try_from(parameters.len()).unwrap())
        }

        fn function(&mut self, name: &str, returns: u32, parameters: &[(&str, u32)]) {
            let proto = self.proto(returns, parameters);
            self.add(name, FUNC, proto, &[], 0);
        }

        fn read(mut self) -> Btf {
            self.name("");
            let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
            let mut bytes = vec![0x9f, 0xeb, 1, 0];
            [24, 0, types, types, strings].iter().for_each(|word: &u32| bytes.extend(word.to_le_bytes()));
            Btf::from_bytes(&[bytes, self.types, self.strings].concat()).unwrap()
        }
    }

    fn text(types: Types, function: &str) -> Option<String> {
        Some(Declaration::of(&types.read(), function)?.text(function))
    }

    #[test]
    fn functions_are_spelled_as_c_declares_them() {
        let mut types = Types::default();
        let (int, device) = (types.int("int"), types.add("device", STRUCT, 0, &[], 0));
        let (to_device, constant) = (types.pointer(device), types.add("", CONST, int, &[], 0));
        let (to_constant, done) = (types.pointer(constant), types.proto(0, &[("", to_device), ("", int)]));
        let constant_pointer = types.add("", CONST, to_device, &[], 0);
        let row = types.add("", ARRAY, 0, &[int, int, 4], 0);
        let (to_done, to_row, nothing) = (types.pointer(done), types.pointer(row), types.pointer(0));
        let parameters = [
            ("a", to_constant),
            ("done", to_done),
            ("c", constant_pointer),
            ("row", to_row),
            ("p", nothing),
            ("", 0),
        ];
        types.function("f", to_device, &parameters);
        types.function("g", 0, &[]);
        let btf = types.read();
        let f = "struct device *f(const int *a, void (*done)(struct device *, int), struct device *const c, \
                 int (*row)[4], void *p, ...)";
        assert_eq!(Declaration::of(&btf, "f").unwrap().text("f"), f);
        assert_eq!(Declaration::of(&btf, "g").unwrap().text("g"), "void g(void)");
        assert_eq!(Declaration::of(&btf, "h"), None);
        // A type of that name is no function.
        assert_eq!(Declaration::of(&btf, "device"), None);
    }

    #[test]
    fn who_calls_one_calls_the_other_unless_a_type_differs() {
        let of = |returns: &str, parameters: &[(&str, &str)]| {
            let mut types = Types::default();
            let returns = types.int(returns);
            let parameters: Vec<(&str, u32)> =
                parameters.iter().map(|(name, ty)| (*name, types.int(ty))).collect();
            types.function("f", returns, &parameters);
            Declaration::of(&types.read(), "f").unwrap()
        };
        let was = of("int", &[("a", "int"), ("b", "long")]);
        for (now, like) in [
            (of("int", &[("a", "int"), ("b", "long")]), true),
            (of("int", &[("x", "int"), ("y", "long")]), true),
            (of("long", &[("a", "int"), ("b", "long")]), false),
            (of("int", &[("a", "int"), ("b", "int")]), false),
            (of("int", &[("a", "int")]), false),
            (of("int", &[("a", "int"), ("b", "long"), ("c", "int")]), false),
        ] {
            assert_eq!(was.is_like(&now), like, "{now:?}");
        }
    }

    #[test]
    fn two_of_one_name_are_one_only_if_they_are_alike() {
        let two = |second: &str| {
            let mut types = Types::default();
            let (first, second) = (types.int("int"), types.int(second));
            types.function("f", first, &[]);
            types.function("f", second, &[]);
            text(types, "f")
        };
        assert_eq!(two("int").as_deref(), Some("int f(void)"));
        assert_eq!(two("long"), None);
    }

    #[test]
    fn a_type_without_an_end_is_none() {
        let mut types = Types::default();
        // A pointer to itself.
        let pointer = types.pointer(1);
        types.function("f", pointer, &[]);
        assert_eq!(text(types, "f"), None);
    }
}
