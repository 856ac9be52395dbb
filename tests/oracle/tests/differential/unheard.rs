// SPDX-License-Identifier: GPL-2.0
//! Rules of the enforce level that the oracle cannot be asked about, for the client's function does
//! more than judge, or has asked earlier.

use verify::Rule;

/// Each with where the client's source asks for it.
pub(crate) const UNHEARD: &[(Rule, &str)] = &[
    (Rule::CompoundNextInHeader, "smb2_next_header and receive_encrypted_standard, on a connection"),
    (Rule::CompoundNextOutside, "receive_encrypted_standard, on a connection"),
    (Rule::CompoundTooMany, "receive_encrypted_standard, on a connection"),
    (Rule::SessionSetupBlobOffset, "SMB2_sess_auth_rawntlmssp_negotiate, after it has sent the request"),
    (Rule::TreeConnectShareType, "SMB2_tcon, after it has sent the request"),
    (Rule::CreateShort, "smb2_check_message, before smb2_parse_contexts is called; reply-short then"),
    (Rule::EaShort, "smb2_validate_iov in smb2_query_eas, before move_smb2_ea_to_cifs is called"),
    (Rule::IoctlLong, "SMB2_ioctl, after it has sent the request"),
    (Rule::ResumeKeyShort, "SMB2_request_res_key, after it has sent the request"),
    (Rule::RangesPartial, "smb3_fiemap, after it has sent the request"),
];
