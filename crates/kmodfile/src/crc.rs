// SPDX-License-Identifier: GPL-2.0
//! The CRC of an exported symbol's prototype, by which a kernel with `CONFIG_MODVERSIONS` tells
//! whether a module was built for it.

use std::fmt;

use serde::Serialize;

/// CRC of an exported symbol's prototype; shown and serialised as `0x1b2c3d4e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Crc(pub u32);

impl fmt::Display for Crc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

impl Serialize for Crc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
