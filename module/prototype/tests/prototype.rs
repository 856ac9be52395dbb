// SPDX-License-Identifier: GPL-2.0
//! Prototypes from BTF built here, sound and damaged; the real ones come with a kernel.

use prototype::{elf, find, shape, Btf, Failure, Named, Shape, HOOKED};

const INT: u32 = 1;
const PTR: u32 = 2;
const STRUCT: u32 = 4;
const TYPEDEF: u32 = 8;
const CONST: u32 = 10;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;

/// Builds BTF; `first` and `strings_from` say where a base ends, 1 and 0 without one.
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    next: u32,
    strings_from: u32,
}

impl Builder {
    fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            next: 1,
            strings_from: 0,
        }
    }

    /// Builds on `base`.
    fn on(base: &Self) -> Self {
        let strings_from = base.strings_from + base.strings.len() as u32;
        Self {
            types: Vec::new(),
            strings: Vec::new(),
            next: base.next,
            strings_from,
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings_from + self.strings.len() as u32;
        self.strings.extend(text.bytes());
        self.strings.push(0);
        at
    }

    fn add(&mut self, name: &str, kind: u32, count: u32, size_or_type: u32, tail: &[u32]) -> u32 {
        let name = self.string(name);
        for word in [name, kind << 24 | count, size_or_type].iter().chain(tail) {
            self.types.extend(word.to_le_bytes());
        }
        self.next += 1;
        self.next - 1
    }

    fn function(&mut self, name: &str, returns: u32, parameters: &[(&str, u32)]) -> u32 {
        let tail: Vec<u32> = parameters
            .iter()
            .flat_map(|(name, ty)| [self.string(name), *ty])
            .collect();
        let proto = self.add("", FUNC_PROTO, parameters.len() as u32, returns, &tail);
        self.add(name, FUNC, 0, proto, &[])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [24, 0, types, types, strings] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

/// The kernel's side: `int`, `unsigned int`, `char`, numbered 1 to 3, and `char *`, 4.
fn kernel() -> Builder {
    let mut btf = Builder::new();
    btf.add("int", INT, 0, 4, &[0x0100_0020]);
    btf.add("unsigned int", INT, 0, 4, &[32]);
    btf.add("char", INT, 0, 1, &[0x0100_0008]);
    btf.add("", PTR, 0, 3, &[]);
    btf
}

/// The module's side: the hooked function with these parameters; "server" may be used as a type.
fn module(parameters: &[(&str, &str)]) -> Builder {
    let mut btf = Builder::on(&kernel());
    let member = btf.string("ops");
    let server = btf.add("TCP_Server_Info", STRUCT, 1, 8, &[member, 1, 0]);
    let server = btf.add("", PTR, 0, server, &[]);
    let constant = btf.add("", CONST, 0, 3, &[]);
    let constant = btf.add("", PTR, 0, constant, &[]);
    let alias = btf.add("u32", TYPEDEF, 0, 2, &[]);
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(name, ty)| {
            let ty = match *ty {
                "int" => 1,
                "uint" => 2,
                "char*" => 4,
                "const char*" => constant,
                "u32" => alias,
                "server*" => server,
                _ => 0,
            };
            (*name, ty)
        })
        .collect();
    btf.function("smb2_calc_size", 2, &[("buf", 0)]);
    btf.function(HOOKED, 1, &parameters);
    btf
}

/// An ELF64 file with these sections.
fn elf_file(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut headers = vec![[0u8; 64]];
    let mut header =
        |names: &mut Vec<u8>, bytes: &mut Vec<u8>, name: &str, content: Option<&[u8]>| {
            let mut one = [0u8; 64];
            one[..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
            one[4] = 1;
            names.extend(name.bytes());
            names.push(0);
            let content = content.map_or_else(|| names.clone(), <[u8]>::to_vec);
            one[24..32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            one[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
            bytes.extend(content);
            headers.push(one);
        };
    for (name, content) in sections {
        header(&mut names, &mut bytes, name, Some(content));
    }
    header(&mut names, &mut bytes, ".shstrtab", None);
    let table = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    bytes[58] = 64;
    bytes[60] = headers.len() as u8;
    bytes[62] = headers.len() as u8 - 1;
    bytes.extend(headers.concat());
    bytes
}

const OLD: &[(&str, &str)] = &[("buf", "char*"), ("len", "uint"), ("server", "server*")];
const NEW: &[(&str, &str)] = &[
    ("buf", "char*"),
    ("pdu_len", "uint"),
    ("len", "uint"),
    ("server", "server*"),
];

fn shape_of(parameters: &[(&str, &str)]) -> Result<Shape, Failure> {
    let file = elf_file(&[(".text", b"x"), (".BTF", &module(parameters).bytes())]);
    let kernel = kernel().bytes();
    let kernel = Some(Named {
        name: "vmlinux",
        bytes: &kernel,
    });
    Shape::of(&find(
        Named {
            name: "cifs.ko",
            bytes: &file,
        },
        kernel,
        HOOKED,
    )?)
}

#[test]
fn known_shapes() {
    assert_eq!(shape_of(OLD), Ok(Shape::BufLenServer));
    assert_eq!(shape_of(NEW), Ok(Shape::BufPduLenLenServer));
    // A qualifier does not change what the register holds.
    let constant = [
        ("buf", "const char*"),
        ("len", "uint"),
        ("server", "server*"),
    ];
    assert_eq!(shape_of(&constant), Ok(Shape::BufLenServer));
    // Nor does the name of a parameter whose type says everything.
    let renamed = [("b", "char*"), ("len", "uint"), ("srv", "server*")];
    assert_eq!(shape_of(&renamed), Ok(Shape::BufLenServer));
}

#[test]
fn other_shapes_are_refused_and_shown() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "int smb2_check_message(void)"),
        (&[("buf", "char*"), ("len", "uint")], "int smb2_check_message(char *buf, unsigned int len)"),
        (
            &[("buf", "char*"), ("len", "int"), ("server", "server*")],
            "int smb2_check_message(char *buf, int len, struct TCP_Server_Info *server)",
        ),
        (
            &[("buf", "char*"), ("len", "u32"), ("server", "server*")],
            "int smb2_check_message(char *buf, u32 len, struct TCP_Server_Info *server)",
        ),
        (
            &[("len", "uint"), ("buf", "char*"), ("server", "server*")],
            "int smb2_check_message(unsigned int len, char *buf, struct TCP_Server_Info *server)",
        ),
        // The same types as a known shape, in another meaning.
        (
            &[("buf", "char*"), ("len", "uint"), ("pdu_len", "uint"), ("server", "server*")],
            "int smb2_check_message(char *buf, unsigned int len, unsigned int pdu_len, struct TCP_Server_Info *server)",
        ),
        (
            &[("buf", "char*"), ("offset", "uint"), ("server", "server*")],
            "int smb2_check_message(char *buf, unsigned int offset, struct TCP_Server_Info *server)",
        ),
    ];
    for (parameters, shown) in cases {
        let failure = shape_of(parameters).unwrap_err();
        assert!(failure.reason.ends_with(shown), "{failure}");
        assert_eq!(failure.object, HOOKED);
    }
}

#[test]
fn the_base_is_the_modules_own_or_the_kernels() {
    let (kernel, module) = (kernel().bytes(), module(NEW).bytes());
    let find = |file: &[u8], kernel: Option<&[u8]>| {
        let kernel = kernel.map(|bytes| Named {
            name: "vmlinux",
            bytes,
        });
        find(
            Named {
                name: "cifs.ko",
                bytes: file,
            },
            kernel,
            HOOKED,
        )
        .and_then(|prototype| Shape::of(&prototype))
        .map_err(|failure| failure.to_string())
    };
    let with_base = elf_file(&[(".BTF", &module), (".BTF.base", &kernel)]);
    let without = elf_file(&[(".BTF", &module)]);
    let vmlinux = elf_file(&[(".BTF", &kernel)]);
    assert_eq!(find(&with_base, None), Ok(Shape::BufPduLenLenServer));
    assert_eq!(
        find(&without, Some(&vmlinux)),
        Ok(Shape::BufPduLenLenServer)
    );
    assert_eq!(find(&without, Some(&kernel)), Ok(Shape::BufPduLenLenServer));
    // Its own base wins: it is the one that its numbers were made for.
    assert_eq!(
        find(&with_base, Some(b"whatever")),
        Ok(Shape::BufPduLenLenServer)
    );

    for (file, kernel, wanted) in [
        (
            &without,
            None,
            "cifs.ko: its BTF builds on the kernel's, which was not given",
        ),
        (
            &elf_file(&[(".text", b"")]),
            None,
            "cifs.ko: it has no .BTF section: ",
        ),
        (
            &b"MZ".to_vec(),
            None,
            "cifs.ko: it is no little-endian ELF64 file: ",
        ),
        (
            &without,
            Some(&b"\x7fELF"[..]),
            "vmlinux: it is no little-endian ELF64 file: ",
        ),
        (
            &without,
            Some(&elf_file(&[])[..]),
            "vmlinux: it has no .BTF section: ",
        ),
        (
            &vmlinux,
            Some(&kernel[..]),
            "cifs.ko: its BTF has no function smb2_check_message: ",
        ),
    ] {
        let failure = find(file, kernel).unwrap_err();
        assert!(failure.starts_with(wanted), "{failure}");
    }
}

#[test]
fn chains_have_an_end() {
    // A pointer to itself, for the type of a parameter.
    let mut btf = Builder::new();
    btf.add("int", INT, 0, 4, &[32]);
    btf.add("", PTR, 0, 2, &[]);
    btf.function(HOOKED, 1, &[("buf", 2)]);
    let bytes = btf.bytes();
    assert!(Btf::parse(&bytes, None).unwrap().function(HOOKED).is_err());
}

#[test]
fn two_functions_that_differ_are_refused() {
    let mut btf = Builder::new();
    let int = btf.add("int", INT, 0, 4, &[32]);
    btf.function(HOOKED, int, &[]);
    btf.function(HOOKED, int, &[]);
    assert!(Btf::parse(&btf.bytes(), None)
        .unwrap()
        .function(HOOKED)
        .is_ok());
    btf.function(HOOKED, int, &[("buf", int)]);
    let reason = Btf::parse(&btf.bytes(), None)
        .unwrap()
        .function(HOOKED)
        .unwrap_err();
    assert!(reason.contains("two functions"), "{reason}");
}

#[test]
fn the_rust_source_names_the_shape() {
    let file = elf_file(&[
        (".BTF", &module(OLD).bytes()),
        (".BTF.base", &kernel().bytes()),
    ]);
    let prototype = find(
        Named {
            name: "cifs.ko",
            bytes: &file,
        },
        None,
        HOOKED,
    )
    .unwrap();
    let source = shape::rust_source(Shape::BufLenServer, &prototype);
    assert!(
        source.contains("SHAPE: super::Shape = super::Shape::BufLenServer;"),
        "{source}"
    );
    assert!(
        source.contains("\"int smb2_check_message(char *buf, "),
        "{source}"
    );
}

/// A small deterministic generator (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit as u64) as usize
    }
}

#[test]
fn damaged_files_never_panic() {
    let mut random = Random(0x0b7f_0b7f);
    let kernel = kernel().bytes();
    let sound = elf_file(&[(".BTF", &module(NEW).bytes()), (".BTF.base", &kernel)]);
    let mut found = 0;
    for _ in 0..100_000 {
        let mut bytes = sound.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            let value = [0, 1, 0x7f, 0x80, 0xff, random.below(256)][random.below(6)];
            // One byte, or a whole word.
            let end = (at + [1, 4][random.below(2)]).min(bytes.len());
            bytes[at..end].fill(value as u8);
        }
        if random.below(10) == 0 {
            bytes.truncate(random.below(bytes.len() + 1));
        }
        let kernel = Some(Named {
            name: "vmlinux",
            bytes: &kernel,
        });
        let _ = elf::section(&bytes, ".BTF.base");
        found += u32::from(
            find(
                Named {
                    name: "cifs.ko",
                    bytes: &bytes,
                },
                kernel,
                HOOKED,
            )
            .is_ok(),
        );
    }
    assert!(
        (1_000..99_000).contains(&found),
        "{found} of 100000 still had the function"
    );
}
