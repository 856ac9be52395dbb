// SPDX-License-Identifier: GPL-2.0
//! What a reply answers, as far as a rule hangs on it: who asked, and for what.
//!
//! What an honest server may answer is decided by the request. The guard sees replies without their
//! requests, but it knows the client: what that one never asks for, no honest server answers.
//! Whoever has the requests, as a capture has, may have those of any client.

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Anybody, or nobody knows: a reply is refused for what is wrong whatever was asked, or wrong
    /// by what is known of the request.
    Any,
    /// The kernel's client, for itself: what its parsers refuse is refused.
    Kernel,
    /// The kernel's client, for itself, or for a program of root's that asks through it (the ioctl
    /// `CIFS_QUERY_INFO` takes any `CtlCode` and any information class) or with Kerberos. What only
    /// the kernel's parsers refuse, and refuse in every kernel before they go by it, is left to
    /// them.
    Guarded,
}

/// What is known of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing.
    Unknown,
    /// NEGOTIATE, with these ciphers to choose from.
    Negotiate(Ciphers),
    /// SESSION_SETUP; whether its security blob is NTLM as it is, not wrapped in SPNEGO.
    SessionSetup {
        /// Whether it is.
        raw_ntlm: bool,
    },
    /// QUERY_DIRECTORY.
    Directory {
        /// `FileInformationClass` (MS-FSCC 2.4).
        class: u8,
        /// `OutputBufferLength`, in bytes.
        most: u32,
    },
    /// Referrals of DFS, by IOCTL (MS-DFSC 2.2.2).
    Referrals {
        /// `MaxReferralLevel`: the newest version that may be answered.
        level: u16,
        /// `MaxOutputResponse`, in bytes.
        most: u32,
    },
    /// Another request for an output, which may be this long, in bytes.
    Output {
        /// `OutputBufferLength` or `MaxOutputResponse`.
        most: u32,
    },
    /// Nothing was asked: what the server sends by itself. Whether the client has said that it
    /// takes notifications (`SMB2_GLOBAL_CAP_NOTIFICATIONS`).
    Unasked {
        /// Whether it has.
        notifications: bool,
    },
    /// One on which no rule hangs.
    Other,
}

/// A set of ciphers (MS-SMB2 2.2.3.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ciphers(u64);

impl Ciphers {
    /// None of them.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// The set with this one besides. A number that no cipher has had yet is left out.
    #[must_use]
    pub const fn with(self, cipher: u16) -> Self {
        match 1u64.checked_shl(cipher as u32) {
            Some(bit) => Self(self.0 | bit),
            None => self,
        }
    }

    /// Whether this one is in the set.
    #[must_use]
    pub const fn has(self, cipher: u16) -> bool {
        match 1u64.checked_shl(cipher as u32) {
            Some(bit) => self.0 & bit != 0,
            None => false,
        }
    }
}

/// AES-128 with CCM and GCM, AES-256 with GCM: what the kernel's client offers, all or some of
/// them.
const KERNELS: Ciphers = Ciphers::none().with(1).with(2).with(4);

/// The version of referrals that the kernel's client asks for, and the newest there is.
const KERNELS_REFERRALS: u16 = 3;
const NEWEST_REFERRALS: u16 = 4;

/// The classes whose entries are known to be no shorter than those of `FileDirectoryInformation`:
/// that, and those with more about each file (MS-FSCC 2.4), the POSIX one among them.
const FULLER: [u8; 8] = [1, 2, 3, 0x25, 0x26, 0x3c, 0x3f, 0x64];
/// Length of the shortest entry of `FileNamesInformation`, which is the shortest of all, and of
/// `FileDirectoryInformation`, in bytes.
const NAMES_LEN: usize = 12;
const DIRECTORY_LEN: usize = 64;

/// Who asked, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who.
    pub client: Client,
    /// For what.
    pub request: Request,
}

impl Asked {
    /// The kernel's client, for itself, for whatever it asks.
    #[must_use]
    pub const fn by_kernel() -> Self {
        Self {
            client: Client::Kernel,
            request: Request::Unknown,
        }
    }

    /// What the guard and the rebuilt client know.
    #[must_use]
    pub const fn guarded() -> Self {
        Self {
            client: Client::Guarded,
            request: Request::Unknown,
        }
    }

    /// Somebody, for this.
    #[must_use]
    pub const fn by_anybody(request: Request) -> Self {
        Self {
            client: Client::Any,
            request,
        }
    }

    /// Whether it may be a client other than the kernel's, so that what only that one insists on
    /// says nothing of the server.
    pub(super) fn is_by_anybody(self) -> bool {
        self.client == Client::Any
    }

    /// Whether what the kernel's parsers refuse by themselves, in every kernel, is refused here.
    pub(super) fn is_by_kernel_alone(self) -> bool {
        self.client == Client::Kernel
    }

    /// Whether this cipher can have been offered; 0 says that none of those can be had.
    pub(super) fn may_have_offered(self, cipher: u16) -> bool {
        let offered = match self.request {
            Request::Negotiate(ciphers) => ciphers.has(cipher),
            _ => self.is_by_anybody() || KERNELS.has(cipher),
        };
        cipher == 0 || offered
    }

    /// Whether referrals of this version can have been asked for.
    pub(super) fn may_have_asked_for_referrals(self, version: u16) -> bool {
        let newest = match (self.client, self.request) {
            (Client::Any, Request::Referrals { level, .. }) => level,
            (Client::Any, _) => NEWEST_REFERRALS,
            _ => return version == KERNELS_REFERRALS,
        };
        (1..=newest).contains(&version)
    }

    /// Whether an answer with more to process is the challenge of NTLM as it is, and `spnego` says
    /// whether it looks as if it were none.
    pub(super) fn awaits_challenge(self, spnego: bool) -> bool {
        match (self.client, self.request) {
            (_, Request::SessionSetup { raw_ntlm }) => raw_ntlm,
            (Client::Any, _) => false,
            (Client::Kernel, _) => true,
            (Client::Guarded, _) => !spnego,
        }
    }

    /// Whether notifications other than broken oplocks and leases may come.
    pub(super) fn takes_notifications(self) -> bool {
        match self.request {
            Request::Unasked { notifications } => notifications,
            _ => self.is_by_anybody(),
        }
    }

    /// The length of the smallest entry of a directory that may be given, in bytes.
    pub(super) fn smallest_entry(self) -> usize {
        match (self.client, self.request) {
            (Client::Any, Request::Directory { class, .. }) if FULLER.contains(&class) => {
                DIRECTORY_LEN
            }
            (Client::Any, _) => NAMES_LEN,
            _ => DIRECTORY_LEN,
        }
    }

    /// The longest output that may be given, in bytes; 0 where that is no more than the kernel's
    /// client asks for.
    pub(super) fn longest_output(self) -> usize {
        match (self.client, self.request) {
            (
                Client::Any,
                Request::Directory { most, .. }
                | Request::Referrals { most, .. }
                | Request::Output { most },
            ) => usize::try_from(most).unwrap_or(usize::MAX),
            (Client::Any, Request::Unknown) => usize::MAX,
            _ => 0,
        }
    }
}
