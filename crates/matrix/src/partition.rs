// SPDX-License-Identifier: GPL-2.0
//! A part of a plan, for one of several machines that share nothing.

use std::fmt;
use std::str::FromStr;

use crate::plan::{Cell, Plan};

/// The `number`th of `count` parts. Parts are equal to a cell and follow the order of the plan, so
/// that each has as few kernels as can be.
///
/// ```
/// use matrix::partition::Partition;
///
/// let part: Partition = "2/3".parse().unwrap();
/// assert_eq!(part.to_string(), "2/3");
/// assert!("0/3".parse::<Partition>().is_err() && "4/3".parse::<Partition>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    number: usize,
    count: usize,
}

impl Partition {
    /// Its cells.
    pub fn of<'a>(&self, plan: &'a Plan) -> Vec<&'a Cell> {
        let all = plan.cells.len();
        let (from, to) = ((self.number - 1) * all / self.count, self.number * all / self.count);
        plan.cells[from..to].iter().collect()
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, count)| {
            Some(Self { number: number.parse().ok()?, count: count.parse().ok()? })
        });
        match numbers {
            Some(part) if 0 < part.number && part.number <= part.count => Ok(part),
            _ => Err("not K/N, the Kth of N parts: 1/3, 2/3, 3/3".to_owned()),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}
