// SPDX-License-Identifier: GPL-2.0
//! Tables of what is read and what is refused, and what reading and rendering have in common.

use crate::error::ReadError;
use crate::reader::again::respaced;
use crate::reader::known::KnownCommand;
use crate::reader::values::Values;
use crate::reader::{DkmsConf, Evaluated, Given, Taken, plain_words};

fn given() -> Given {
    let pairs = [
        ("kernelver", "6.12.1"),
        ("kernel_source_dir", "/lib/modules/6.12.1/build"),
        ("dkms_tree", "/d"),
        ("module", "x"),
        ("arch", "x86_64"),
        ("parallel_jobs", "8"),
        ("PWD", "/d/x/1/build"),
    ];
    pairs.map(|(name, value)| (name, value.to_owned())).into()
}

fn evaluated(text: &str) -> Evaluated {
    let conf = DkmsConf::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    conf.evaluate(&given()).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
}

fn unreadable(text: &str) -> ReadError {
    let outcome = DkmsConf::parse(text).and_then(|conf| conf.evaluate(&given()));
    outcome.err().unwrap_or_else(|| panic!("{text:?} was read"))
}

#[test]
fn scalars_are_read() {
    for (text, value) in [
        ("A=x", "x"),
        ("A=", ""),
        ("A=\"x\"  # said", "x"),
        ("A=x#y", "x#y"),
        ("\n  # a comment\n\tA=x\n", "x"),
        ("A=x;", "x"),
        ("B=y; A=x", "x"),
        ("B=y A=x", "x"),
        ("export A=x", "x"),
        ("A=x\nexport A", "x"),
        ("A=old\nA=x\n", "x"),
        ("A=x\r\nB=y\r\n", "x"),
        ("A=x=y", "x=y"),
        ("A=/usr/*", "/usr/*"),
        // Quotes.
        ("A='x y'\" z\"w", "x y zw"),
        ("A='$kernelver'", "$kernelver"),
        ("A=\"it's\"", "it's"),
        ("A='say \"x\"'", "say \"x\""),
        ("A=\"V=\\\"1\\\" \\$x \\\\ \\y\"", "V=\"1\" $x \\ \\y"),
        ("A=x\\ y\\'", "x y'"),
        ("A=\"a\nb\"", "a\nb"),
        // Continued lines.
        ("A=\"make one \\\n    && make two\"", "make one     && make two"),
        ("A=x\\\ny", "xy"),
        // Variables.
        ("A=$kernelver", "6.12.1"),
        ("A=\"${kernelver}-x\"", "6.12.1-x"),
        ("A=\"M=${dkms_tree}/$module/build\"", "M=/d/x/build"),
        ("B=1\nA=$B${B}2", "112"),
        ("kernelver=mine\nA=$kernelver", "mine"),
        ("B[2]=two\nA=${B[2]}", "two"),
        ("B=(one two)\nA=\"${B[@]} ${#B[@]}\"", "one two 2"),
        ("A=\"costs $ 5$\"", "costs $ 5$"),
        // Appended.
        ("A=x\nA+=y", "xy"),
        ("A+=y", "y"),
    ] {
        assert_eq!(evaluated(text).values.scalar("A"), Some(value), "{text:?}");
    }
}

#[test]
fn arrays_are_read() {
    for (text, elements) in [
        ("A[0]=a\nA[1]=b", vec![(0, "a"), (1, "b")]),
        ("A=a\nA[2]=c", vec![(0, "a"), (2, "c")]),
        ("A=(a \"b c\" 'd')", vec![(0, "a"), (1, "b c"), (2, "d")]),
        ("A=(\n  a # one\n  b\n)\n", vec![(0, "a"), (1, "b")]),
        ("A=()\nA+=(\"a\")\nA+=(b)", vec![(0, "a"), (1, "b")]),
        ("A=(x y)\nA=(a)", vec![(0, "a")]),
        ("A=([3]=d e [0]=a)", vec![(0, "a"), (3, "d"), (4, "e")]),
        ("A[1]=b\nA[1]+=c", vec![(1, "bc")]),
        ("i=4\nA[$i]=e\nA[\"5\"]=f", vec![(4, "e"), (5, "f")]),
        ("A=(a)\nA[${#A[@]}]=b", vec![(0, "a"), (1, "b")]),
        ("B=(a 'b c')\nA=(\"${B[@]}\" d)", vec![(0, "a"), (1, "b c"), (2, "d")]),
        ("A=(a b)\nA=(\"${A[@]}\" c)", vec![(0, "a"), (1, "b"), (2, "c")]),
    ] {
        assert_eq!(evaluated(text).values.array("A").collect::<Vec<_>>(), elements, "{text:?}");
    }
}

#[test]
fn directives_are_read_twice_as_dkms_does() {
    for (text, value) in [
        ("MAKE='make $kernelver'", "make 6.12.1"),
        ("MAKE='make  a\n\tb'", "make a b"),
        ("MAKE=\"make A=\\\"b\\\"\"", "make A=b"),
        ("MAKE='6\\\\.1'", "6\\.1"),
        ("MAKE='6\\.1$'", "6\\.1$"),
        // The file's own variables are not there any more, other directives are.
        ("B=1\nMAKE='make $B'", "make "),
        ("BUILT_MODULE_NAME=b\nMAKE='make $BUILT_MODULE_NAME'", "make b"),
        ("MAKE='make A=$(arch)'", "make A=x86_64"),
        // What takes a shell stays, and so does what DKMS loses.
        ("MAKE='make A=$(x)'", "make A=$(x)"),
        ("MAKE='make ${kernelver%.*}'", "make ${kernelver%.*}"),
        ("MAKE='make A=\"b  c\" d'", "make A=\"b c\" d"),
    ] {
        assert_eq!(evaluated(text).values.scalar("MAKE"), Some(value), "{text:?}");
    }
    let evaluated = evaluated("A=1\nB='x  $y'\nMAKE[1]='make \"a b\"'\nPATCH='$z'\n");
    assert_eq!(evaluated.values.scalar("B"), Some("x  $y"));
    let lost: Vec<_> = evaluated.lost.iter().map(|lost| (lost.directive, lost.index, lost.line)).collect();
    assert_eq!(lost, [("MAKE", 1, Some(3))]);
    assert_eq!(evaluated.unset, [("z".to_owned(), 4)]);
}

#[test]
fn what_is_not_set_is_empty_and_said() {
    let evaluated = evaluated("A=1\nB=\"x${KERNEL}y$A\"\n");
    assert_eq!(evaluated.values.scalar("B"), Some("xy1"));
    assert_eq!(evaluated.unset, [("KERNEL".to_owned(), 2)]);
}

#[test]
fn commands_whose_output_is_known_are_not_run() {
    for (text, value) in [
        ("A=$(nproc)", "8"),
        ("A=\"make -j$(nproc) all\"", "make -j8 all"),
        ("A=\"make -j\"$(nproc)\" all\"", "make -j8 all"),
        ("A=\"-j`nproc`\"", "-j8"),
        ("A=-j$( nproc --all )x", "-j8x"),
        ("A=$(/usr/bin/nproc)", "8"),
        ("A=$(getconf _NPROCESSORS_ONLN)", "8"),
        ("A=\"$(nproc 2>/dev/null || echo 1)\"", "8"),
        ("A=/lib/modules/$(uname -r)/build", "/lib/modules/6.12.1/build"),
        ("A=`uname --kernel-release`-$(uname -m)", "6.12.1-x86_64"),
        ("A=\"M=$(pwd) `pwd -P`\"", "M=/d/x/1/build /d/x/1/build"),
        // Kept for the shell that runs the command.
        ("A='make -j$(nproc)'", "make -j$(nproc)"),
        ("A=\"make -j\\$(nproc)\"", "make -j$(nproc)"),
    ] {
        assert_eq!(evaluated(text).values.scalar("A"), Some(value), "{text:?}");
    }
    assert_eq!(evaluated("A=(-j $(nproc))").values.element("A", 1), Some("8"));
    // Where nothing is given, nothing is known.
    let bare = DkmsConf::parse("A=$(nproc)").unwrap().evaluate(&Given::new()).unwrap_err();
    assert!(bare.needs_shell && bare.reason.contains("a command substitution"), "{bare:?}");
}

#[test]
fn what_is_used_of_what_is_given_is_told_with_its_line() {
    let evaluated = evaluated("module=mine\nA=$module\nB=\"$PWD `uname -r`\"\nC=$arch\n");
    let variable = |name: &str, line| (Taken::Variable(name.to_owned()), line);
    let expected = [variable("PWD", 3), (Taken::Output(KnownCommand::Release), 3), variable("arch", 4)];
    assert_eq!(evaluated.taken, expected);
}

#[test]
fn programs_are_refused_with_place_and_reason() {
    for (text, line, column, reason) in [
        ("A=1\nif true; then\n", 2, 1, "`if`: a shell command"),
        ("A=1\n. /etc/x\n", 2, 1, "`.`: a shell command"),
        ("[ -f x ] && A=1", 1, 1, "`[`: a shell command"),
        ("A =1", 1, 1, "no blank before the ="),
        ("A= b", 1, 4, "`b`: a shell command"),
        ("A=1; rm -rf /\n", 1, 6, "`rm`: a shell command"),
        ("A=1 | b", 1, 5, "`|`: a shell command"),
        ("A=1 && B=2", 1, 5, "`&`: a shell command"),
        ("f() { :; }", 1, 1, "`f`: a shell command"),
        ("(A=1)", 1, 1, "a shell command"),
        ("export -n A", 1, 8, "`-n`: a shell command"),
        ("A=$(uname -a)\n", 1, 3, "a command substitution"),
        ("A=\"x`uname -v`\"\n", 1, 5, "a command substitution"),
        ("A=$(nproc; reboot)", 1, 3, "a command substitution"),
        ("A=$(nproc --ignore=1)", 1, 3, "a command substitution"),
        ("A=$(nproc || reboot)", 1, 3, "a command substitution"),
        ("A=$(nproc || echo $(reboot))", 1, 3, "a command substitution"),
        ("A=$(nproc > /etc/x)", 1, 3, "a command substitution"),
        ("A=$(/tmp/nproc)", 1, 3, "a command substitution"),
        ("A=$()", 1, 3, "a command substitution"),
        ("A=`nproc", 1, 3, "a command substitution"),
        ("A=$(nproc", 1, 3, "a command substitution"),
        ("A=\"`nproc \\`x\\``\"", 1, 4, "a command substitution"),
        ("A=$(($(nproc)+1))", 1, 3, "arithmetic"),
        ("A=$RANDOM", 1, 3, "`$RANDOM`, which only a running shell has"),
        ("A=\"1\"\nB=${BASH_SOURCE[0]}", 2, 3, "`$BASH_SOURCE`, which only a running shell has"),
        ("A[$(x)]=1", 1, 3, "a command substitution"),
        ("A=(a $(b))", 1, 6, "a command substitution"),
        ("i=$((i+1))", 1, 3, "arithmetic"),
        ("A[i]=1", 1, 1, "an array index that is not a number"),
        ("A[-1]=1", 1, 1, "an array index that is not a number"),
        ("A=${kernelver:-x}", 1, 3, "a parameter expansion with an operator"),
        ("A=${A%x}", 1, 3, "a parameter expansion with an operator"),
        ("A=${#A}", 1, 3, "a parameter expansion with an operator"),
        ("A=$1", 1, 3, "a parameter of a running shell"),
        ("A=$'x'", 1, 3, "only bash knows"),
        ("A=~/x", 1, 3, "`~`"),
        ("A=(*.c)", 1, 4, "a pattern for file names"),
        ("B='a b'\nA=($B)", 2, 4, "would split into words"),
    ] {
        let error = unreadable(text);
        assert_eq!(
            (error.line, error.column, error.needs_shell),
            (line, column, true),
            "{text:?}: {error:?}"
        );
        assert!(error.reason.contains(reason), "{text:?}: {error:?}");
    }
}

#[test]
fn what_no_shell_reads_is_refused() {
    for (text, line, column, reason) in [
        ("A=\"open\nB=2\n", 1, 3, "a quote that is not closed"),
        ("A=1\nA='open\n", 2, 3, "a quote that is not closed"),
        ("\u{feff}A=x\n", 1, 1, "a byte order mark"),
        ("A=x\\", 1, 4, "a backslash at the end"),
        ("A=${B", 1, 3, "a brace that is not closed"),
        ("A=(a b\n", 1, 3, "a parenthesis that is not closed"),
        ("A[0]=(a)", 1, 6, "an array as an element"),
        ("A[10000]=1", 1, 1, "above 9999"),
        ("A=([9999]=1 2)", 1, 1, "more than 9999"),
    ] {
        let error = unreadable(text);
        assert_eq!(
            (error.line, error.column, error.needs_shell),
            (line, column, false),
            "{text:?}: {error:?}"
        );
        assert!(error.reason.contains(reason), "{text:?}: {error:?}");
    }
}

#[test]
fn values_cannot_grow_without_end() {
    let doubled = (0..64).map(|_| "A=\"$A$A\"\n").collect::<String>();
    let error = unreadable(&format!("A=xxxxxxxxxxxxxxxx\n{doubled}"));
    assert!(error.reason.contains("4 MiB") && error.line > 10, "{error:?}");
    let copies = (0..100).map(|i| format!("A[{i}]=$B\n")).collect::<String>();
    assert!(unreadable(&format!("B={}\n{copies}", "x".repeat(100_000))).reason.contains("4 MiB"));
}

/// A small deterministic generator (xorshift64), so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap_or(0)
    }

    fn text(&mut self, alphabet: &[char], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

#[test]
fn what_is_rendered_is_read_as_the_same() {
    let alphabet: Vec<char> = "aZ0_ \t\n'\"\\$`{}()[]#;&|<>~*?=+é".chars().collect();
    let mut random = Random(0x5eed_1234_5678_9abd);
    for _ in 0..5000 {
        let mut values = Values::default();
        for name in ["A", "MAKE", "b_1"] {
            match random.below(4) {
                0 => values.clear(name),
                1 if name != "MAKE" => values.set(name, 0, random.text(&alphabet, 20)),
                _ => (0..random.below(4)).for_each(|_| {
                    let index = u32::try_from(random.below(12)).unwrap();
                    let text = random.text(&alphabet, 20);
                    // Of several blanks in a directive DKMS leaves one.
                    let text = if name == "MAKE" { respaced(&text) } else { text };
                    values.set(name, index, text);
                }),
            }
        }
        let text = values.to_string();
        assert_eq!(evaluated(&text), Evaluated { values, ..Evaluated::default() }, "{text}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    let parts = [
        "A", "MAKE=", "PATCH=", "=", "+=", "(", ")", "[", "]", "\"", "'", "\\", "$", "{", "}", "#", "\n",
        " ", "0", "$B", ";",
    ];
    let mut random = Random(0x0dd_ba11);
    for _ in 0..50_000 {
        let text: String = (0..random.below(12)).map(|_| parts[random.below(parts.len())]).collect();
        if let Ok(read) = DkmsConf::parse(&text).and_then(|conf| conf.evaluate(&given())) {
            let again = evaluated(&read.values.to_string());
            assert_eq!(again.values, read.values, "{text:?}");
        }
    }
}

#[test]
fn plain_commands_are_told_from_those_for_a_shell() {
    let words = |line: &str| plain_words(line, &given());
    for (line, expected) in [
        ("make", &["make"][..]),
        ("make -C /k M=/d  modules", &["make", "-C", "/k", "M=/d", "modules"]),
        ("make 'A=b c' D=\"e\"", &["make", "A=b c", "D=e"]),
        ("make V=\"\" ''", &["make", "V=", ""]),
        ("make KVER=$kernelver", &["make", "KVER=6.12.1"]),
        ("'make' x", &["make", "x"]),
        ("make -j$(nproc) -C `pwd`", &["make", "-j8", "-C", "/d/x/1/build"]),
    ] {
        assert_eq!(
            words(line).as_deref(),
            Some(expected.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().as_slice()),
            "{line}"
        );
    }
    for line in [
        "",
        "make; make",
        "make && make",
        "(make)",
        "A=b make",
        "cd x",
        "make $(uname)",
        "make `x`",
        "make *.c",
        "make $unknown",
        "make\nmake",
        "make > x",
        "make # x",
        "make \"open",
        "make ~/x",
    ] {
        assert_eq!(words(line), None, "{line}");
    }
}

#[test]
fn what_is_made_of_a_variable_is_made_of_the_value_that_replaces_its_own() {
    let text = "V=@VERSION@\nPACKAGE_VERSION[0]=$V\nPACKAGE_VERSION+=x\nA=(1 2)\nMAKE=\"make V=$PACKAGE_VERSION $A\"\n";
    let conf = DkmsConf::parse(text).unwrap().with("PACKAGE_VERSION", "1.0 b").with("A", "3").with("B", "4");
    let values = conf.evaluate(&Given::new()).unwrap().values;
    assert_eq!(values.scalar("PACKAGE_VERSION"), Some("1.0 b"));
    // An array is left as it is, and what the file does not assign is not assigned.
    assert_eq!(values.scalar("MAKE"), Some("make V=1.0 b 1"));
    assert_eq!(values.scalar("B"), None);
}
