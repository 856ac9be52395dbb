// SPDX-License-Identifier: GPL-2.0
//! A day, as the changelog of a spec names it.

use std::fmt::{self, Display};

use time::{Month, OffsetDateTime};

use crate::Invalid;

/// A day of the Gregorian calendar. Shown as rpm wants it, weekday first: `Sun Nov 22 2026`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(time::Date);

impl Date {
    /// A day by its numbers, the first of which is 1.
    ///
    /// # Errors
    ///
    /// Refused, if there is no such day between 1970 and 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, Invalid> {
        let date = Month::try_from(month)
            .ok()
            .and_then(|month| time::Date::from_calendar_date(i32::from(year), month, day).ok());
        date.filter(|_| (1970..=9999).contains(&year))
            .map(Self)
            .ok_or_else(|| no_such_day(&format!("{year}-{month}-{day}")))
    }

    /// The day of a time in seconds since 1970, in UTC.
    ///
    /// # Errors
    ///
    /// Refused, if it is later than 9999.
    pub fn of_seconds(seconds: u64) -> Result<Self, Invalid> {
        let time = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        time.map(|time| Self(time.date())).ok_or_else(|| no_such_day(&seconds.to_string()))
    }
}

fn no_such_day(word: &str) -> Invalid {
    Invalid::new(word, "there is no such day", "give year, month and day")
}

impl Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (weekday, month) = (self.0.weekday().to_string(), self.0.month().to_string());
        write!(f, "{} {} {:02} {}", &weekday[..3], &month[..3], self.0.day(), self.0.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weekday_is_right() {
        for ((year, month, day), shown) in [
            ((1970, 1, 1), "Thu Jan 01 1970"),
            ((2000, 2, 29), "Tue Feb 29 2000"),
            ((2026, 11, 22), "Sun Nov 22 2026"),
            ((2100, 3, 1), "Mon Mar 01 2100"),
        ] {
            assert_eq!(Date::new(year, month, day).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn times_have_their_day() {
        for (seconds, day) in [
            (0, (1970, 1, 1)),
            (951_827_696, (2000, 2, 29)),
            (1_795_305_599, (2026, 11, 21)),
            (1_795_305_600, (2026, 11, 22)),
            (4_107_542_400, (2100, 3, 1)),
        ] {
            assert_eq!(
                Date::of_seconds(seconds).unwrap(),
                Date::new(day.0, day.1, day.2).unwrap(),
                "{seconds}"
            );
        }
        assert!(Date::of_seconds(u64::MAX).is_err());
    }

    #[test]
    fn days_that_are_none_are_refused() {
        for (year, month, day) in
            [(1969, 1, 1), (2026, 0, 1), (2026, 13, 1), (2026, 4, 31), (2100, 2, 29), (2026, 1, 0)]
        {
            assert!(Date::new(year, month, day).is_err(), "{year}-{month}-{day}");
        }
    }
}
