// SPDX-License-Identifier: GPL-2.0
//! How long the archive says that an index is good for: `Valid-Until` of a Release file
//! (<https://wiki.debian.org/DebianRepository/Format>). apt checks it, unless the host's settings
//! say otherwise (`Acquire::Check-Valid-Until`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use report::failure::Failure;
use time::{Date, Month, PrimitiveDateTime, Time};

/// A suite's index that is past its time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expired {
    suite: String,
    /// Days since it was made.
    days: u64,
    /// Days since it was last valid.
    past: u64,
}

/// What the user is told of the indexes of `suites` in `lists`, where apt put them; `None` if none
/// says that it is past its time.
pub(super) fn warning<'a>(
    lists: &Utf8Path,
    suites: impl Iterator<Item = &'a str>,
    now: SystemTime,
) -> Option<String> {
    let names: Vec<String> =
        lists.read_dir_utf8().ok()?.flatten().map(|e| e.file_name().to_owned()).collect();
    let expired = |suite: &str| {
        let end = format!("_dists_{suite}_InRelease");
        let release =
            fs_err::read_to_string(lists.join(names.iter().find(|name| name.ends_with(&end))?)).ok()?;
        read(suite, &release, now)
    };
    let expired: Vec<Expired> = suites.filter_map(expired).collect();
    (!expired.is_empty()).then(|| said(&expired))
}

/// What to say where apt refuses indexes for their date, in what it printed (`LC_ALL=C`): that the
/// mirror is behind, or this machine's clock is wrong, is not a fault of the network's.
pub(super) fn refused_by_apt(printed: &str) -> Option<Failure> {
    let reason = match (refused(printed, " is expired ("), refused(printed, " is not valid yet (")) {
        (expired, _) if !expired.is_empty() => format!("past their time: {}", expired.join(", ")),
        (_, early) if !early.is_empty() => format!("from the future: {}", early.join(", ")),
        _ => return None,
    };
    Some(Failure::missing("the package archive", format!("apt refuses its indexes as {reason}")).remedy(
        "check this machine's clock (date -u); if it is right, the mirror is behind: use another in          /etc/apt/sources.list, or take it as it is: \
         echo 'Acquire::Check-Valid-Until \"false\";' > /etc/apt/apt.conf.d/99-old-archive",
    ))
}

/// The addresses of the Release files of which apt says `words`.
fn refused<'a>(printed: &'a str, words: &str) -> Vec<&'a str> {
    let about = |line: &'a str| line.split_once("Release file for ")?.1.split_once(words);
    printed.lines().filter_map(about).map(|(address, _)| address).collect()
}

fn said(expired: &[Expired]) -> String {
    let days = |days: u64| report::counted(days, "day", "days");
    let one = |index: &Expired| {
        format!("{} is {} old and no longer valid for {}", index.suite, days(index.days), days(index.past))
    };
    let list: Vec<String> = expired.iter().map(one).collect();
    format!(
        "the archive's indexes are out of date (Valid-Until): {}; newer kernels, and security \
         fixes, may be missing",
        list.join("; ")
    )
}

/// Whether a Release file says that it is past its time at `now`. Not all do: that of a released
/// suite has no such line.
fn read(suite: &str, release: &str, now: SystemTime) -> Option<Expired> {
    let field = |name: &str| {
        release.lines().find_map(|line| date(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    };
    let days = |since: SystemTime| now.duration_since(since).ok().map(|time| time.as_secs() / DAY);
    let until = field("Valid-Until")?;
    let past = days(until)?;
    let days = days(field("Date").unwrap_or(until)).unwrap_or(past);
    Some(Expired { suite: suite.to_owned(), days, past })
}

/// In seconds.
const DAY: u64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A date as Release files have it: `Thu, 29 Oct 2026 21:33:12 UTC`, of which the zone is always
/// that.
fn date(text: &str) -> Option<SystemTime> {
    let words: Vec<&str> = text.split_once(',')?.1.split_whitespace().collect();
    let [day, month, year, clock, "UTC" | "+0000"] = words.as_slice() else { return None };
    let month = MONTHS.iter().zip(1..).find(|(name, _)| *name == month)?.1;
    let date = Date::from_calendar_date(year.parse().ok()?, Month::try_from(month).ok()?, day.parse().ok()?);
    let clock: Vec<u8> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock.as_slice() else { return None };
    let time = Time::from_hms(*hour, *minute, *second).ok()?;
    let seconds = PrimitiveDateTime::new(date.ok()?, time).assume_utc().unix_timestamp();
    Some(UNIX_EPOCH + Duration::from_secs(seconds.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(date: &str, until: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Example\nCodename: x-security\nDate: {date}\n\
             {until}Architectures: all amd64\nSHA256:\n 00 1 main/binary-amd64/Packages\n"
        )
    }

    #[test]
    fn a_date_that_apt_refuses_is_told_from_a_network_that_fails() {
        let expired = "    | Get:4 http://m/debian unstable InRelease [193 kB]
    | E: Release file for http://m/debian/dists/testing/InRelease is expired (invalid since 21d 14h 43min 21s). Updates for this repository will not be applied.
    | E: Release file for http://m/debian/dists/unstable/InRelease is expired (invalid since 21d 14h 43min 21s). Updates for this repository will not be applied.";
        let failure = refused_by_apt(expired).unwrap();
        assert_eq!(
            failure.to_string(),
            "the package archive: apt refuses its indexes as past their time: \
             http://m/debian/dists/testing/InRelease, \
             http://m/debian/dists/unstable/InRelease"
        );
        assert!(failure.remedy.unwrap().contains("Check-Valid-Until"));
        let early = "E: Release file for http://m/debian/dists/stable/InRelease is not valid yet (invalid for another 3h 2min 1s). Updates for this repository will not be applied.";
        assert!(
            refused_by_apt(early)
                .unwrap()
                .to_string()
                .ends_with("from the future: http://m/debian/dists/stable/InRelease")
        );
        assert!(refused_by_apt("E: Failed to fetch http://m/x  Could not resolve 'm'").is_none());
    }

    fn now() -> SystemTime {
        date("Fri, 27 Nov 2026 12:00:00 UTC").unwrap()
    }

    #[test]
    fn what_is_past_its_time_is_known_with_its_age() {
        for (made, until, found) in [
            ("Thu, 29 Oct 2026 21:33:12 UTC", "Valid-Until: Thu, 05 Nov 2026 21:33:12 UTC\n", Some((28, 21))),
            (
                "Thu,  5 Nov 2026 21:33:12 UTC",
                "Valid-Until: Thu, 26 Nov 2026 11:00:00 +0000\n",
                Some((21, 1)),
            ),
            ("Fri, 27 Nov 2026 08:00:00 UTC", "Valid-Until: Fri, 04 Dec 2026 08:00:00 UTC\n", None),
            // A released suite changes at a point release only, and is valid until then.
            ("Sat, 12 Sep 2026 07:55:41 UTC", "", None),
            ("Sat, 12 Sep 2026 07:55:41 UTC", "Valid-Until: soon\n", None),
        ] {
            let expired = read("s", &release(made, until), now());
            assert_eq!(expired.map(|expired| (expired.days, expired.past)), found, "{made} {until}");
        }
    }

    #[test]
    fn all_of_them_are_named_in_one_warning() {
        let dir = tempfile::tempdir().unwrap();
        let lists = Utf8Path::from_path(dir.path()).unwrap();
        let old = release("Thu, 29 Oct 2026 21:33:12 UTC", "Valid-Until: Thu, 05 Nov 2026 21:33:12 UTC\n");
        let good = release("Fri, 27 Nov 2026 08:00:00 UTC", "Valid-Until: Fri, 04 Dec 2026 08:00:00 UTC\n");
        for (suite, text) in [("stable", &good), ("stable-security", &old), ("unstable", &old)] {
            let name = format!("m.example_debian_dists_{suite}_InRelease");
            fs_err::write(lists.join(name), text).unwrap();
        }
        let of = |suites: &[&'static str]| warning(lists, suites.iter().copied(), now());
        let said = of(&["stable", "stable-security", "unstable", "testing"]).unwrap();
        for part in
            ["stable-security is 28 days old and no longer valid for 21 days", "; unstable is 28 days"]
        {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(of(&["stable", "testing"]), None);
        assert_eq!(warning(Utf8Path::new("/nowhere"), ["stable"].into_iter(), now()), None);
    }
}
