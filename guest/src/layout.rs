// SPDX-License-Identifier: GPL-2.0
//! What a server in the machine shares.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Makes what is to be listed, where any account may write.
pub(crate) fn lay_out(directory: &str, listed: u32) -> io::Result<()> {
    let dir = Path::new(directory).join(guest::LISTED_DIRECTORY);
    fs::create_dir_all(&dir)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777))?;
    for number in 0..listed {
        let size = (number % guest::LISTED_SIZES) as usize;
        fs::write(dir.join(guest::listed_name(number)), vec![b'x'; size])?;
    }
    Ok(())
}
