// SPDX-License-Identifier: GPL-2.0
//! The texts in packages of artefacts.

use kernel::artefacts::Manifest;
use template::Date;

use report::failure::Failure;

/// What follows the version of the headers: a package of the distribution's own of the same version
/// is newer (deb-version(7), rpm's versions).
pub(super) const REVISION: &str = "~kmod1";

/// The summary, of which `dpkg` shows the first words.
pub(super) fn summary(manifest: &Manifest) -> String {
    format!("Rust artefacts of Linux {}, to build modules", manifest.release)
}

/// What the package is for, in lines of at most 75 characters.
pub(super) fn description(manifest: &Manifest) -> Vec<String> {
    vec![
        "What building kernel modules in Rust reads, and the headers lack: the".to_owned(),
        "metadata of the kernel's crates and its procedural macros.".to_owned(),
        "It serves the kernel of this release, and the one compiler that it was".to_owned(),
        format!("made by: {}.", manifest.rustc),
    ]
}

/// A day as in a Debian changelog (RFC 5322).
pub(super) fn day(date: u64) -> Result<String, Failure> {
    let shown = Date::of_seconds(date)
        .map_err(|why| Failure::usage(format!("SOURCE_DATE_EPOCH={date}"), why.to_string()))?
        .to_string();
    let words: Vec<&str> = shown.split(' ').collect();
    Ok(match words[..] {
        [weekday, month, day, year] => format!("{weekday}, {day} {month} {year} 00:00:00 +0000"),
        _ => shown,
    })
}

/// The one entry of the changelog.
pub(super) const ENTRY: &str = "Made from the kernel's source by cargo kmod kernel package, and proven.";

/// The licences of what the artefacts were compiled from
/// (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).
pub(super) fn copyright(manifest: &Manifest) -> String {
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Linux
Source: https://www.kernel.org/
Comment: Compiled from the directory rust of the source of Linux {version}, and
 from the standard library of {rustc}.
 The source packages of these versions are their complete source.

Files: *
Copyright: 1991 and later, the authors of Linux
License: GPL-2.0-only

Files: */rust/libcore.rmeta */rust/libcompiler_builtins.rmeta
Copyright: 2010 and later, the Rust Project Developers
License: Expat or Apache-2.0

Files: */rust/libpin_init* */rust/libmacros.so
Copyright: 1991 and later, the authors of Linux
 2016 and later, the authors of the crates pin-init, proc-macro2, quote and syn
License: GPL-2.0-only and (Expat or Apache-2.0)

Files: */rust/libzerocopy*
Copyright: 2016 and later, the authors of the crates zerocopy, proc-macro2, quote and syn
License: BSD-2-Clause or Apache-2.0 or Expat

License: GPL-2.0-only
 On Debian systems, the text is in /usr/share/common-licenses/GPL-2.

License: Apache-2.0
 On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.

{expat}
{bsd}",
        version = manifest.version,
        rustc = manifest.rustc,
        expat = EXPAT,
        bsd = BSD,
    )
}

const EXPAT: &str = "License: Expat
 Permission is hereby granted, free of charge, to any person obtaining a copy
 of this software and associated documentation files (the \"Software\"), to deal
 in the Software without restriction, including without limitation the rights
 to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 copies of the Software, and to permit persons to whom the Software is
 furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in
 all copies or substantial portions of the Software.
 .
 THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 SOFTWARE.
";

const BSD: &str = "License: BSD-2-Clause
 Redistribution and use in source and binary forms, with or without
 modification, are permitted provided that the following conditions are met:
 .
 1. Redistributions of source code must retain the above copyright notice,
 this list of conditions and the following disclaimer.
 .
 2. Redistributions in binary form must reproduce the above copyright notice,
 this list of conditions and the following disclaimer in the documentation
 and/or other materials provided with the distribution.
 .
 THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS \"AS IS\"
 AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
 IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE
 ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE
 LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR
 CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF
 SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
 INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN
 CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE)
 ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE
 POSSIBILITY OF SUCH DAMAGE.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_in_mail() {
        assert_eq!(day(951_782_400).unwrap(), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert!(day(u64::MAX).is_err());
    }
}
