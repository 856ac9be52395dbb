// SPDX-License-Identifier: GPL-2.0
//! A day, as the changelog of a spec names it.

use std::fmt::{self, Display};

use crate::Invalid;

/// A day of the Gregorian calendar. Shown as rpm wants it, weekday first: `Sun Nov 22 2026`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl Date {
    /// A day by its numbers, the first of which is 1.
    ///
    /// # Errors
    ///
    /// Refused, if there is no such day between 1970 and 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, Invalid> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        if !(1970..=9999).contains(&year) || !(1..=days).contains(&day) {
            let word = format!("{year}-{month}-{day}");
            return Err(Invalid::new(&word, "there is no such day", "give year, month and day"));
        }
        Ok(Self { year, month, day })
    }

    /// The day of a time in seconds since 1970, in UTC (Howard Hinnant's days to civil).
    ///
    /// # Errors
    ///
    /// Refused, if it is later than 9999.
    pub fn of_seconds(seconds: u64) -> Result<Self, Invalid> {
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        let year = year + era * 400 + u64::from(month <= 2);
        Self::new(u16::try_from(year).unwrap_or(u16::MAX), month as u8, day as u8)
    }

    /// Of the week, from Sunday on (Sakamoto's way).
    fn weekday(self) -> usize {
        const SHIFT: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = usize::from(self.year) - usize::from(self.month < 3);
        (year + year / 4 - year / 100
            + year / 400
            + SHIFT[usize::from(self.month) - 1]
            + usize::from(self.day))
            % 7
    }
}

impl Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let month = MONTHS[usize::from(self.month) - 1];
        write!(f, "{} {month} {:02} {}", WEEKDAYS[self.weekday()], self.day, self.year)
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
