// SPDX-License-Identifier: GPL-2.0
//! What which DKMS makes otherwise of a file than is made of it here: files that it refuses, and
//! values that it passes over. Each rule is from `read_conf` and `read_conf_strict` of its source.

use std::fmt;
use std::str::FromStr;

use crate::error::DirectivePlace;
use crate::names;
use crate::reader::Evaluated;
use crate::reader::values::Values;

/// A version of DKMS, `3.2.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DkmsVersion([u32; 3]);

impl DkmsVersion {
    /// `MAJOR.MINOR.PATCH`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self([major, minor, patch])
    }
}

/// From what `dkms --version` prints: `dkms-3.2.2`, `dkms-3.2.2-1~deb13u1`, `dkms: 2.8.4`.
impl FromStr for DkmsVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let from = text.find(|c: char| c.is_ascii_digit()).ok_or(NoVersion)?;
        let text = text[from..].split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut numbers = text.split('.').map(str::parse);
        let mut next = || numbers.next().map_or(Ok(0), |number| number.map_err(|_| NoVersion));
        Ok(Self([next()?, next()?, next()?]))
    }
}

impl fmt::Display for DkmsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0[0], self.0[1], self.0[2])
    }
}

/// Text that has no version in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVersion;

impl fmt::Display for NoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no version of DKMS")
    }
}

impl std::error::Error for NoVersion {}

/// What DKMS does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It refuses the file: `dkms add` ends with 8.
    Refuses,
    /// It takes the file, and no module comes of it.
    BuildsNothing,
    /// It takes the file as if the value were not there.
    PassesOver,
}

/// What some versions of DKMS make otherwise of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Where in the file, if it is about one place.
    pub place: Option<DirectivePlace>,
    /// What is there.
    pub reason: String,
    /// What DKMS does.
    pub effect: Effect,
    /// The first version that does it; `None` for the oldest.
    pub since: Option<DkmsVersion>,
    /// The first version after these that does not; `None` for the newest.
    pub before: Option<DkmsVersion>,
}

impl Objection {
    fn new(place: Option<DirectivePlace>, reason: impl Into<String>, effect: Effect) -> Self {
        Self { place, reason: reason.into(), effect, since: None, before: None }
    }

    fn since(self, version: DkmsVersion) -> Self {
        Self { since: Some(version), ..self }
    }

    fn before(self, version: DkmsVersion) -> Self {
        Self { before: Some(version), ..self }
    }

    /// What is said of it, for where its line is said already.
    pub fn without_line(&self) -> String {
        let place = self.place.as_ref().map_or_else(String::new, |place| format!("{place} "));
        let versions = match (self.since, self.before) {
            (None, None) => String::new(),
            (Some(since), None) => format!("from {since} on "),
            (None, Some(before)) => format!("before {before} "),
            (Some(since), Some(before)) => format!("from {since} on and before {before} "),
        };
        let effect = match self.effect {
            Effect::Refuses => "refuses the file",
            Effect::BuildsNothing => "builds nothing of it",
            Effect::PassesOver => "passes it over",
        };
        format!("{place}{}: DKMS {versions}{effect}", self.reason)
    }

    /// Whether this version does it.
    pub fn applies_to(&self, version: DkmsVersion) -> bool {
        self.since.is_none_or(|since| version >= since) && self.before.is_none_or(|before| version < before)
    }

    /// Whether this version refuses the file for it, or builds nothing.
    pub fn refused_by(&self, version: DkmsVersion) -> bool {
        self.effect != Effect::PassesOver && self.applies_to(version)
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.place.as_ref().and_then(|place| place.line) {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.without_line())
    }
}

/// Everything that some DKMS since 3.0 makes otherwise of a file than is made of it here. What is
/// an error here, too, is not said again.
///
/// ```
/// use dkms_conf::DkmsConf;
/// use dkms_conf::objections::{DkmsVersion, objections};
///
/// let conf = DkmsConf::parse("DEST_MODULE_LOCATION=/extra\nAUTOINSTALL=Y\n")?;
/// let found = objections(&conf.evaluate(&Default::default())?);
/// assert_eq!(
///     found[0].to_string(),
///     "line 2: AUTOINSTALL[0] is \"Y\", neither yes nor no: DKMS from 3.1.7 on refuses the file"
/// );
/// assert!(found[0].refused_by(DkmsVersion::new(3, 2, 2)));
/// assert!(!found[0].refused_by(DkmsVersion::new(3, 0, 10)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn objections(evaluated: &Evaluated) -> Vec<Objection> {
    let values = &evaluated.values;
    let mut found = Vec::new();
    found.extend(modules(values));
    found.extend(switches(values));
    found.extend(of_one_module(values));
    found.extend(["PATCH", "MAKE"].iter().flat_map(|name| sparse(values, name)));
    found.extend(evaluated.lost.iter().map(lost));
    found.extend(evaluated.open.iter().map(open));
    if evaluated.carriage_returns {
        found.push(carriage_returns());
    }
    found
}

const MODULES: [&str; 4] =
    ["BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"];

/// Modules that are not described as DKMS wants it.
fn modules(values: &Values) -> Vec<Objection> {
    let highest = MODULES.iter().flat_map(|name| values.array(name)).map(|(index, _)| index).max();
    let Some(highest) = highest else {
        let reason = "no BUILT_MODULE_NAME and no DEST_MODULE_LOCATION";
        let then = DkmsVersion::new(3, 0, 11);
        let none = |effect| Objection::new(None, reason, effect);
        return vec![none(Effect::Refuses).before(then), none(Effect::BuildsNothing).since(then)];
    };
    (0..=highest).filter_map(|index| destination(values, index)).collect()
}

/// `DEST_MODULE_LOCATION` of one module, which every DKMS wants, and below one of three
/// directories.
fn destination(values: &Values, index: u32) -> Option<Objection> {
    let name = "DEST_MODULE_LOCATION";
    let text = values.element(name, index).unwrap_or_default();
    let allowed = ["/kernel", "/updates", "/extra"].iter().any(|start| text.starts_with(start));
    let reason = match text {
        "" => "is missing".to_owned(),
        _ => format!("is {text:?}, which begins with neither /kernel nor /updates nor /extra"),
    };
    let place = DirectivePlace::of(values, name, index);
    (!allowed).then(|| Objection::new(Some(place), reason, Effect::Refuses))
}

/// Directives that are `yes` or `no`.
fn switches(values: &Values) -> impl Iterator<Item = Objection> {
    let directives = [
        ("AUTOINSTALL", DkmsVersion::new(3, 1, 7)),
        ("BUILD_DEPENDS_REBUILD", DkmsVersion::new(3, 2, 0)),
        ("NO_WEAK_MODULES", DkmsVersion::new(3, 2, 0)),
    ];
    directives.into_iter().filter_map(|(name, since)| {
        let text = values.scalar(name)?;
        let known = ["", "yes", "no"].iter().any(|word| text.eq_ignore_ascii_case(word));
        let reason = format!("is {text:?}, neither yes nor no");
        let place = DirectivePlace::of(values, name, 0);
        (!known).then(|| Objection::new(Some(place), reason, Effect::Refuses).since(since))
    })
}

/// `BUILD_EXCLUSIVE_*` of one module alone: before that all modules are built for all kernels that
/// those with number 0 allow.
fn of_one_module(values: &Values) -> impl Iterator<Item = Objection> {
    let directives = names::all().filter(|name| name.starts_with("BUILD_EXCLUSIVE_"));
    directives.flat_map(move |name| {
        let beyond = values.array(name).filter(|(index, text)| *index > 0 && !text.is_empty());
        beyond.map(move |(index, _)| {
            let place = DirectivePlace::of(values, name, index);
            Objection::new(Some(place), "is for one module", Effect::PassesOver)
                .before(DkmsVersion::new(3, 3, 0))
        })
    })
}

/// Elements that DKMS does not come to: it counts how many there are, and looks at as many numbers
/// from 0 on.
fn sparse(values: &Values, name: &'static str) -> Vec<Objection> {
    let count = values.array(name).count();
    let beyond = |(index, _): &(u32, &str)| usize::try_from(*index).is_ok_and(|index| index >= count);
    values
        .array(name)
        .filter(beyond)
        .map(|(index, _)| {
            let few = if count == 1 { "is the only one".to_owned() } else { format!("is one of {count}") };
            let reason = format!("{few}, not numbered from 0 on");
            Objection::new(Some(DirectivePlace::of(values, name, index)), reason, Effect::PassesOver)
        })
        .collect()
}

fn lost(place: &DirectivePlace) -> Objection {
    let reason = "has quotes that end where DKMS reads it a second time";
    Objection::new(Some(place.clone()), reason, Effect::PassesOver)
}

fn open(place: &DirectivePlace) -> Objection {
    let reason = "has a quote without an end where DKMS reads it a second time";
    Objection::new(Some(place.clone()), reason, Effect::BuildsNothing)
}

fn carriage_returns() -> Objection {
    let reason = "carriage returns at the ends of lines, which are part of every value then";
    Objection::new(None, reason, Effect::BuildsNothing).before(DkmsVersion::new(3, 1, 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::DkmsConf;

    fn said(text: &str) -> Vec<String> {
        let evaluated = DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap();
        objections(&evaluated).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn versions_are_read_as_dkms_says_them() {
        for (text, version) in [
            ("dkms-3.0.10\n", DkmsVersion::new(3, 0, 10)),
            ("dkms-3.2.2-1~deb13u1", DkmsVersion::new(3, 2, 2)),
            ("dkms: 2.8.4", DkmsVersion::new(2, 8, 4)),
            ("dkms-3.5", DkmsVersion::new(3, 5, 0)),
        ] {
            assert_eq!(text.parse(), Ok(version));
        }
        assert_eq!("dkms".parse::<DkmsVersion>(), Err(NoVersion));
        assert!(DkmsVersion::new(3, 0, 10) < DkmsVersion::new(3, 1, 7));
    }

    #[test]
    fn what_some_dkms_makes_otherwise_is_said() {
        const HEAD: &str = "BUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra\n";
        for (text, expected) in [
            ("", vec![]),
            ("AUTOINSTALL=yes\nNO_WEAK_MODULES=No\nBUILD_DEPENDS_REBUILD=''\nSTRIP=No\n", vec![]),
            ("PATCH=(a b)\nMAKE=m\nMAKE[1]=n\nMAKE_MATCH[1]=6\n", vec![]),
            (
                "AUTOINSTALL=Y\nNO_WEAK_MODULES=true\nBUILD_DEPENDS_REBUILD=1\n",
                vec![
                    "line 3: AUTOINSTALL[0] is \"Y\", neither yes nor no: DKMS from 3.1.7 on refuses the file",
                    "line 5: BUILD_DEPENDS_REBUILD[0] is \"1\", neither yes nor no: DKMS from 3.2.0 on refuses the file",
                    "line 4: NO_WEAK_MODULES[0] is \"true\", neither yes nor no: DKMS from 3.2.0 on refuses the file",
                ],
            ),
            (
                "PATCH[2]=a\n",
                vec!["line 3: PATCH[2] is the only one, not numbered from 0 on: DKMS passes it over"],
            ),
            (
                "MAKE=a\nMAKE[3]=b\nMAKE_MATCH[3]=6\n",
                vec!["line 4: MAKE[3] is one of 2, not numbered from 0 on: DKMS passes it over"],
            ),
            (
                "MAKE='make A=\"b c\"'\n",
                vec![
                    "line 3: MAKE[0] has quotes that end where DKMS reads it a second time: DKMS passes it over",
                ],
            ),
            (
                "MAKE='say \"x'\n",
                vec![
                    "line 3: MAKE[0] has a quote without an end where DKMS reads it a second time: \
                     DKMS builds nothing of it",
                ],
            ),
            (
                "BUILD_EXCLUSIVE_ARCH=(x86_64 x86_64)\n",
                vec!["line 3: BUILD_EXCLUSIVE_ARCH[1] is for one module: DKMS before 3.3.0 passes it over"],
            ),
            (
                "DEST_MODULE_LOCATION=/lib\n",
                vec![
                    "line 3: DEST_MODULE_LOCATION[0] is \"/lib\", which begins with neither /kernel nor /updates \
                     nor /extra: DKMS refuses the file",
                ],
            ),
            ("BUILT_MODULE_NAME[1]=y\n", vec!["DEST_MODULE_LOCATION[1] is missing: DKMS refuses the file"]),
            (
                "A=1\r\n",
                vec![
                    "carriage returns at the ends of lines, which are part of every value then: \
                     DKMS before 3.1.5 builds nothing of it",
                ],
            ),
        ] {
            assert_eq!(said(&format!("{HEAD}{text}")), expected, "{text}");
        }
        let none = "no BUILT_MODULE_NAME and no DEST_MODULE_LOCATION: DKMS";
        let both = ["before 3.0.11 refuses the file", "from 3.0.11 on builds nothing of it"];
        assert_eq!(said("PACKAGE_NAME=x\n"), both.map(|said| format!("{none} {said}")));
    }
}
