// SPDX-License-Identifier: GPL-2.0
//! Why a reply was found malformed, in words that logs and counters can rely on.

/// How much is asked of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What the newest mended client itself refuses, and no more.
    Enforce,
    /// The specifications besides: what the client passes over, cuts short or puts right is
    /// refused too. Servers that people use may break such a rule; nobody gets this unasked.
    Strict,
}

/// A rule that was broken, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Which rule.
    pub rule: Rule,
    /// Where the offending field stands, in bytes from the start of what was verified: of the SMB2
    /// header for a reply, of the list for a list. For one that ends too early, where it ends.
    pub offset: usize,
}

impl Malformed {
    /// The same, for what was verified begins `start` bytes into something larger.
    #[must_use]
    pub const fn at(self, start: usize) -> Self {
        Self {
            rule: self.rule,
            offset: self.offset.saturating_add(start),
        }
    }
}

impl Level {
    /// An error when `holds` does not and `rule` counts at this level.
    ///
    /// # Errors
    ///
    /// `rule` was broken at `offset`.
    pub fn require(self, holds: bool, rule: Rule, offset: usize) -> Result<(), Malformed> {
        match (self, rule.level()) {
            _ if holds => Ok(()),
            (Self::Enforce, Self::Strict) => Ok(()),
            _ => Err(Malformed { rule, offset }),
        }
    }
}

/// Makes [`Rule`] and all that is told of each rule from one list: its variant, its stable name,
/// the section that lays down the structure, and its level.
macro_rules! rules {
    ($($(#[$doc:meta])+ $variant:ident $name:literal $section:literal $level:ident;)+) => {
        /// One rule that a reply can break.
        ///
        /// The names ([`Rule::name`]) appear in logs, in counters and in reports. They are stable:
        /// a rule may be added, none is renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $($(#[$doc])+ $variant,)+
        }

        impl Rule {
            /// How many there are.
            pub const COUNT: usize = [$($name),+].len();

            /// Every rule, in the order in which counters are shown.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),+];

            /// Where the rule stands in [`Rule::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The stable name: lower case, digits and hyphens.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The section that lays down the structure: of MS-SMB2 where it is a bare number, and
            /// else with the document's name before it.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self {
                    $(Self::$variant => $section,)+
                }
            }

            /// From which level on the rule counts.
            #[must_use]
            pub const fn level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)+
                }
            }
        }
    };
}

rules! {
    /// A message ends before its header does, or after it without a body and without an error.
    HeaderShort "header-short" "2.2.1.2" Enforce;
    /// The header's `StructureSize` is not 64.
    HeaderSize "header-size" "2.2.1.2" Enforce;
    /// The message does not say that it is a reply, and is no break notification.
    HeaderNotReply "header-not-reply" "2.2.1.2" Enforce;
    /// There is no such command, or it is one of a notification that the client does not take.
    HeaderCommand "header-command" "2.2.1.2" Enforce;
    /// `NextCommand` points into the header.
    CompoundNextInHeader "compound-next-in-header" "2.2.1.2" Enforce;
    /// `NextCommand` leaves less than a header of an encrypted compound, or points past its end.
    CompoundNextOutside "compound-next-outside" "2.2.1.2" Enforce;
    /// More messages in one encrypted compound than the client takes.
    CompoundTooMany "compound-too-many" "2.2.1.2" Enforce;
    /// `NextCommand` is no multiple of 8.
    CompoundNextMisaligned "compound-next-misaligned" "2.2.1.2" Strict;
    /// The reply's `StructureSize` is not that of its command, nor that of an error.
    ReplySize "reply-size" "2.2" Enforce;
    /// The reply ends before its fixed part does.
    ReplyShort "reply-short" "2.2" Enforce;
    /// The reply's data begin in its fixed part.
    ReplyDataInHeader "reply-data-in-header" "2.2" Enforce;
    /// The reply's data reach past its end.
    ReplyDataOutside "reply-data-outside" "2.2" Enforce;
    /// The last byte of a fixed part of even length is missing; the client waits for none.
    ReplyByteShort "reply-byte-short" "2.2" Strict;
    /// The reply has data, at no place or an impossible one, and the client acts as if it had none.
    ReplyDataIgnored "reply-data-ignored" "2.2" Strict;
    /// The negotiate contexts begin at the end of the reply or past it.
    NegotiateContextsOutside "negotiate-contexts-outside" "2.2.4" Enforce;
    /// A negotiate context reaches past the end of the reply; the client reads no further.
    NegotiateContextOutside "negotiate-context-outside" "2.2.4.1" Strict;
    /// The cipher's context holds no cipher.
    NegotiateCipherShort "negotiate-cipher-short" "2.2.4.1.2" Enforce;
    /// The cipher's context does not hold just one.
    NegotiateCipherCount "negotiate-cipher-count" "2.2.4.1.2" Enforce;
    /// The cipher is one that the client did not offer.
    NegotiateCipherUnknown "negotiate-cipher-unknown" "2.2.4.1.2" Enforce;
    /// The context of the hash is too short for what it says it holds; the client passes over it.
    NegotiateHashShort "negotiate-hash-short" "2.2.4.1.1" Strict;
    /// The context of compression is too short for what it says it holds, or says it holds none;
    /// the client passes over it.
    NegotiateCompressionShort "negotiate-compression-short" "2.2.4.1.3" Strict;
    /// The context of signing does not hold just one algorithm; the client passes over it.
    NegotiateSigningShort "negotiate-signing-short" "2.2.4.1.7" Strict;
    /// A reply that asks for more has no room for a security blob; the client takes what its buffer
    /// held before for one.
    SessionSetupShort "session-setup-short" "2.2.6" Strict;
    /// The security blob of a reply that asks for more does not stand right after the fixed part.
    SessionSetupBlobOffset "session-setup-blob-offset" "2.2.6" Enforce;
    /// The challenge is too short for its fixed part.
    ChallengeShort "challenge-short" "MS-NLMP:2.2.1.2" Enforce;
    /// The challenge does not begin as one.
    ChallengeSignature "challenge-signature" "MS-NLMP:2.2.1.2" Enforce;
    /// The challenge's target information reaches past its end.
    ChallengeTargetOutside "challenge-target-outside" "MS-NLMP:2.2.1.2" Enforce;
    /// The share is neither disk, pipe nor printer.
    TreeConnectShareType "tree-connect-share-type" "2.2.10" Enforce;
    /// A successful CREATE reply ends before its fixed part does.
    CreateShort "create-short-reply" "2.2.14" Enforce;
    /// The create contexts reach past the end of the reply.
    CreateContextsOutside "create-contexts-outside" "2.2.14" Enforce;
    /// `Next` is no multiple of 8.
    CreateNextMisaligned "create-next-misaligned" "2.2.13.2" Enforce;
    /// `Next` points beyond what remains of the contexts.
    CreateNextOutside "create-next-outside" "2.2.13.2" Enforce;
    /// `Next` points into the context's own header.
    CreateNextInHeader "create-next-in-header" "2.2.13.2" Enforce;
    /// `DataOffset` points into the context's own header.
    CreateDataInHeader "create-data-in-header" "2.2.13.2" Enforce;
    /// The data reach past the end of the context.
    CreateDataOutside "create-data-outside" "2.2.13.2" Enforce;
    /// `NameOffset` points into the context's own header.
    CreateNameInHeader "create-name-in-header" "2.2.13.2" Enforce;
    /// The name reaches past the end of the context.
    CreateNameOutside "create-name-outside" "2.2.13.2" Enforce;
    /// The name runs into the data.
    CreateNameOverData "create-name-over-data" "2.2.13.2" Enforce;
    /// What remains after a context is too short to be another.
    CreateTrailing "create-trailing" "2.2.13.2" Enforce;
    /// A lease of neither version's size; the client passes over it.
    CreateLeaseSize "create-lease-size" "2.2.14.2.10" Strict;
    /// An on-disk id that is not 32 bytes long; the client reads 8 or passes over it.
    CreateDiskIdSize "create-disk-id-size" "2.2.14.2.9" Strict;
    /// A maximal access that is not 8 bytes long; the client does not read it.
    CreateAccessSize "create-access-size" "2.2.14.2.5" Strict;
    /// A durable handle's answer that is not 8 bytes long; the client does not read it.
    CreateDurableSize "create-durable-size" "2.2.14.2.12" Strict;
    /// POSIX information without all of its numbers and two SIDs; the client passes over the rest.
    CreatePosixShort "create-posix-short" "SMB3-POSIX" Strict;
    /// The error says it holds no symbolic link, or less than one, or more than was received.
    SymlinkShort "symlink-short" "2.2.2.2.1" Enforce;
    /// An error context reaches past the end of the reply.
    SymlinkContextOutside "symlink-context-outside" "2.2.2.1" Enforce;
    /// None of the error contexts is of the kind that holds a symbolic link.
    SymlinkNoContext "symlink-no-context" "2.2.2.1" Enforce;
    /// The symbolic link does not begin as one.
    SymlinkTag "symlink-tag" "2.2.2.2.1" Enforce;
    /// The name to go on with reaches past the end of the reply.
    SymlinkTargetOutside "symlink-target-outside" "2.2.2.2.1" Enforce;
    /// The name to show reaches past the end of the reply.
    SymlinkPrintOutside "symlink-print-outside" "2.2.2.2.1" Enforce;
    /// The error gives no target at all, as one server does; the client asks again in another way.
    SymlinkMissing "symlink-missing" "2.2.2" Strict;
    /// The output of a successful QUERY_INFO reaches past the end of the reply.
    InfoOutside "info-outside" "2.2.38" Enforce;
    /// The output of a QUERY_INFO is shorter than what was asked for.
    InfoShort "info-short" "2.2.38" Enforce;
    /// The output of a QUERY_DIRECTORY reaches past the end of the reply.
    DirectoryOutside "directory-outside" "2.2.34" Enforce;
    /// The output of a successful QUERY_DIRECTORY is shorter than any entry of its class.
    DirectoryShort "directory-short" "2.2.34" Enforce;
    /// An entry is not all there; the client takes the entries before it.
    DirectoryEntryOutside "directory-entry-outside" "MS-FSCC:2.4" Strict;
    /// The name of an entry reaches past the end; the client takes the entries before it.
    DirectoryNameOutside "directory-name-outside" "MS-FSCC:2.4" Strict;
    /// `NextEntryOffset` points into the entry itself.
    DirectoryNextInEntry "directory-next-in-entry" "MS-FSCC:2.4" Strict;
    /// A POSIX entry without two SIDs and a name; the client takes the entries before it.
    DirectoryPosix "directory-posix" "SMB3-POSIX" Strict;
    /// The output of a CHANGE_NOTIFY reaches past the end of the reply.
    NotifyOutside "notify-outside" "2.2.36" Enforce;
    /// The output of a CHANGE_NOTIFY is shorter than one change.
    NotifyShort "notify-short" "2.2.36" Enforce;
    /// A list of extended attributes is shorter than the fixed part of one.
    EaShort "ea-short" "MS-FSCC:2.4.15" Enforce;
    /// Name and value of an attribute reach past the end of the list.
    EaOutside "ea-outside" "MS-FSCC:2.4.15" Enforce;
    /// `NextEntryOffset` points into the attribute's fixed part.
    EaNextInHeader "ea-next-in-header" "MS-FSCC:2.4.15" Enforce;
    /// `NextEntryOffset` points past the end of the list.
    EaNextOutside "ea-next-outside" "MS-FSCC:2.4.15" Enforce;
    /// What remains after an attribute is too short to be another.
    EaTrailing "ea-trailing" "MS-FSCC:2.4.15" Enforce;
    /// `NextEntryOffset` points into the attribute's name or value, or is no multiple of 4.
    EaNextInEntry "ea-next-in-entry" "MS-FSCC:2.4.15" Strict;
    /// The attributes of WSL take fewer or more bytes than the four of them can.
    WslSize "wsl-size" "MS-FSCC:2.4.15" Enforce;
    /// An attribute of WSL reaches past the end of the list, or has a name of another length.
    WslOutside "wsl-outside" "MS-FSCC:2.4.15" Enforce;
    /// An attribute is none of WSL's, or its value is of a wrong size.
    WslValue "wsl-value" "MS-FSCC:2.4.15" Enforce;
    /// `NextEntryOffset` between attributes of WSL is no multiple of 4.
    WslNextMisaligned "wsl-next-misaligned" "MS-FSCC:2.4.15" Enforce;
    /// POSIX information ends before its SIDs begin.
    PosixShort "posix-short" "SMB3-POSIX" Enforce;
    /// The owner's SID has no or too many parts, or reaches past the end.
    PosixOwner "posix-owner" "SMB3-POSIX" Enforce;
    /// The group's SID has no or too many parts, or reaches past the end.
    PosixGroup "posix-group" "SMB3-POSIX" Enforce;
    /// A security descriptor ends before its fixed part does.
    SecurityShort "security-short" "MS-DTYP:2.4.6" Enforce;
    /// The owner is missing, or its SID reaches past the end or has too many parts.
    SecurityOwner "security-owner" "MS-DTYP:2.4.2.2" Enforce;
    /// The group is missing, or its SID reaches past the end or has too many parts.
    SecurityGroup "security-group" "MS-DTYP:2.4.2.2" Enforce;
    /// The access list does not begin within the descriptor, after its fixed part.
    SecurityListOffset "security-list-offset" "MS-DTYP:2.4.6" Enforce;
    /// The access list reaches past the end of the descriptor.
    SecurityListOutside "security-list-outside" "MS-DTYP:2.4.5" Enforce;
    /// The access list cannot hold as many entries as it says.
    SecurityEntryCount "security-entry-count" "MS-DTYP:2.4.5" Enforce;
    /// An entry reaches past the end of the access list, or its SID past the entry's.
    SecurityEntryOutside "security-entry-outside" "MS-DTYP:2.4.4" Enforce;
    /// The output of an IOCTL reaches past the end of the reply.
    IoctlOutside "ioctl-outside" "2.2.32" Enforce;
    /// The output of an IOCTL is longer than the client takes.
    IoctlLong "ioctl-long" "2.2.32" Enforce;
    /// A resume key is shorter than one.
    ResumeKeyShort "resume-key-short" "2.2.32.3" Enforce;
    /// The list of allocated ranges is no whole number of them.
    RangesPartial "ranges-partial" "MS-FSCC:2.3" Enforce;
    /// There are more allocated ranges, and yet none was given to go on from; the client asks on.
    RangesNone "ranges-none" "MS-FSCC:2.3" Strict;
    /// The list of interfaces is shorter than one.
    InterfacesShort "interfaces-short" "2.2.32.5" Enforce;
    /// `Next` points into the interface itself.
    InterfacesNextInEntry "interfaces-next-in-entry" "2.2.32.5" Enforce;
    /// `Next` points past the end of the list.
    InterfacesNextOutside "interfaces-next-outside" "2.2.32.5" Enforce;
    /// What remains after an interface is too short to be another; the client passes over it.
    InterfacesTrailing "interfaces-trailing" "2.2.32.5" Strict;
    /// The referrals end before their fixed part does.
    ReferralsShort "referrals-short" "MS-DFSC:2.2.4" Enforce;
    /// The reply cannot hold as many referrals as it says.
    ReferralsCount "referrals-count" "MS-DFSC:2.2.4" Enforce;
    /// The first referral is not of version 3, or one is of a version that was not asked for.
    ReferralsVersion "referrals-version" "MS-DFSC:2.2.5.3" Enforce;
    /// More of the path was consumed than there is.
    ReferralsConsumed "referrals-consumed" "MS-DFSC:2.2.4" Enforce;
    /// The path of a referral, or the name of a domain, does not begin within the reply, after the
    /// referral.
    ReferralsPath "referrals-path" "MS-DFSC:2.2.5.3.1" Enforce;
    /// The target of a referral, or the names of a domain's controllers, do not begin within the
    /// reply, after the referral.
    ReferralsTarget "referrals-target" "MS-DFSC:2.2.5.3.1" Enforce;
    /// A reparse point is shorter than its header.
    ReparseShort "reparse-short" "MS-FSCC:2.1.2.1" Enforce;
    /// The data of a reparse point reach past its end.
    ReparseDataOutside "reparse-data-outside" "MS-FSCC:2.1.2.1" Enforce;
    /// The data of an NFS reparse point are not as long as its type wants them.
    ReparseNfsSize "reparse-nfs-size" "MS-FSCC:2.1.2.6" Enforce;
    /// The name in a symbolic link reaches past the end of the reparse point.
    ReparseNameOutside "reparse-name-outside" "MS-FSCC:2.1.2.4" Enforce;
    /// The data of a WSL symbolic link are empty, or not of version 2.
    ReparseWslTarget "reparse-wsl-target" "MS-FSCC:2.1.2.7" Enforce;
    /// A reparse point that is only a kind of file has data.
    ReparseNotEmpty "reparse-not-empty" "MS-FSCC:2.1.2.1" Enforce;
    /// The target of a link is empty or has half a character.
    TargetLength "target-length" "MS-FSCC:2.1.2.4" Enforce;
    /// The target of a link has a NUL in it.
    TargetNul "target-nul" "MS-FSCC:2.1.2.4" Enforce;
}
