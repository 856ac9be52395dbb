// SPDX-License-Identifier: GPL-2.0
//! Extended attributes, and the security descriptor, which the client shows as one.

use std::fs;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};

use vm_init::{GuestStepResult, StepError};

use super::place::{Place, forget, refused, require, shown};

/// What the client shows of a file's security: owner, group and access list
/// (fs/smb/client/xattr.c).
const ACCESS_LIST: &str = "system.cifs_acl";
/// Longer than any value here.
const VALUE_BYTES: usize = 8192;

fn value(path: &Path, name: &str) -> Result<Vec<u8>, StepError> {
    let mut value = [0; VALUE_BYTES];
    let length = getxattr(path, name, &mut value).map_err(refused(&shown(path)))?;
    Ok(value[..length].to_vec())
}

/// Sets attributes of several lengths, lists and reads them, changes one, removes them.
pub(super) fn extended(place: &Place<'_>) -> GuestStepResult {
    let path = place.path("attributes");
    fs::write(&path, "").map_err(|error| StepError::of(shown(&path), error))?;
    // The client writes names as they are, and Samba keeps them so.
    let attributes = [("user.one", 1), ("user.three-hundred", 300), ("user.thousand", 1000)];
    for (name, length) in attributes {
        setxattr(&path, name, &vec![b'v'; length], XattrFlags::empty()).map_err(refused(&shown(&path)))?;
    }
    forget()?;
    let mut names = [0; VALUE_BYTES];
    let length = listxattr(&path, &mut names).map_err(refused(&shown(&path)))?;
    let names = String::from_utf8_lossy(&names[..length]).into_owned();
    for (name, length) in attributes {
        require(names.split('\0').any(|listed| listed.eq_ignore_ascii_case(name)), || {
            format!("{name} is not listed in {names:?}")
        })?;
        let held = value(&path, name)?;
        require(held == vec![b'v'; length], || format!("{name} holds {held:?}"))?;
    }
    setxattr(&path, "user.one", b"changed", XattrFlags::empty()).map_err(refused(&shown(&path)))?;
    let held = value(&path, "user.one")?;
    require(held == b"changed", || format!("user.one holds {held:?}"))?;
    for (name, _) in attributes {
        removexattr(&path, name).map_err(refused(&shown(&path)))?;
    }
    let gone = value(&path, "user.one");
    require(gone.is_err(), || format!("user.one still holds {gone:?}"))?;
    fs::remove_file(&path).map_err(|error| StepError::of(shown(&path), error))?;
    Ok(None)
}

/// Reads the security descriptor of a file and of a directory, and writes the file's back.
pub(super) fn access_lists(place: &Place<'_>) -> GuestStepResult {
    let path = place.path("guarded");
    fs::write(&path, "").map_err(|error| StepError::of(shown(&path), error))?;
    let of_directory = value(&place.dir, ACCESS_LIST)?;
    let descriptor = value(&path, ACCESS_LIST)?;
    // Its revision, and a fixed part before owner, group and list (MS-DTYP 2.4.6).
    for one in [&of_directory, &descriptor] {
        require(one.len() > 20 && one[0] == 1, || format!("no security descriptor: {one:?}"))?;
    }
    setxattr(&path, ACCESS_LIST, &descriptor, XattrFlags::empty()).map_err(refused(&shown(&path)))?;
    forget()?;
    let after = value(&path, ACCESS_LIST)?;
    require(after[0] == 1, || format!("no security descriptor after it was written: {after:?}"))?;
    fs::remove_file(&path).map_err(|error| StepError::of(shown(&path), error))?;
    Ok(Some(format!("{} bytes", descriptor.len())))
}
