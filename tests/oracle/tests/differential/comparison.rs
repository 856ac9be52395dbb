// SPDX-License-Identifier: GPL-2.0
//! What is compared with what: for each kind a function of the client, and the verifier's part.

use oracle::{Function, Question};
use verify::directory::Class;
use verify::security::Use;
use verify::{
    Asked, Content, Cursor, Level, Malformed, create, directory, ea, frame, header, interfaces, negotiate,
    output, referrals, reparse, security, session_setup, symlink,
};

use crate::replies::Random;
use crate::samples::{Spoil, draw};

/// One comparison: what the client is asked, and what the verifier says.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// The client rejects when it answers any of these with an error.
    pub(crate) questions: Vec<Question>,
    /// The verifier's verdict; for entries of a directory, how many are taken.
    pub(crate) ours: Result<usize, Malformed>,
    /// Whether something is wrong with it: the verdict, or of a directory that of the strict level.
    pub(crate) spoilt: bool,
}

/// A kind of comparison.
pub(crate) struct Kind {
    /// What the verdicts are on.
    pub(crate) name: &'static str,
    /// What is drawn for it.
    spoil: Spoil,
    /// Compares one of these; `None` when the client does not get as far as its function.
    compare: fn(Vec<u8>, &mut Random) -> Option<Comparison>,
}

impl Kind {
    /// One comparison of this kind.
    pub(crate) fn draw(&self, random: &mut Random) -> Option<Comparison> {
        let bytes = draw(self.spoil, random);
        (self.compare)(bytes, random)
    }
}

/// Every kind.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "frame of any reply", spoil: Spoil::Message, compare: any_frame },
    Kind { name: "CREATE, whole", spoil: Spoil::Create, compare: whole },
    Kind { name: "create contexts", spoil: Spoil::Create, compare: contexts },
    Kind { name: "error with a link, whole", spoil: Spoil::Link, compare: whole },
    Kind { name: "symbolic link", spoil: Spoil::Link, compare: link },
    Kind { name: "symbolic link to follow", spoil: Spoil::Link, compare: followed_link },
    Kind { name: "NEGOTIATE, whole", spoil: Spoil::Negotiate, compare: whole },
    Kind { name: "negotiate contexts", spoil: Spoil::Negotiate, compare: negotiated },
    Kind { name: "NTLM challenge", spoil: Spoil::Challenge, compare: challenge },
    Kind { name: "READ, whole", spoil: Spoil::Read, compare: whole },
    Kind { name: "reply with output, whole", spoil: Spoil::Output, compare: whole },
    Kind { name: "output of a least length", spoil: Spoil::Output, compare: least },
    Kind { name: "extended attributes", spoil: Spoil::Attributes, compare: attributes },
    Kind { name: "WSL attributes", spoil: Spoil::Wsl, compare: wsl },
    Kind { name: "POSIX information", spoil: Spoil::Posix, compare: posix },
    Kind { name: "security descriptor", spoil: Spoil::Security, compare: descriptor },
    Kind { name: "entries of a directory", spoil: Spoil::Entries, compare: entries },
    Kind { name: "network interfaces", spoil: Spoil::Interfaces, compare: faces },
    Kind { name: "DFS referrals", spoil: Spoil::Referrals, compare: dfs },
    Kind { name: "header of a reparse point", spoil: Spoil::Reparse, compare: reparse_header },
    Kind { name: "reparse point", spoil: Spoil::Reparse, compare: reparse_point },
];

impl Comparison {
    fn new(function: Function, argument: u32, bytes: Vec<u8>, ours: Result<(), Malformed>) -> Self {
        let questions = vec![Question { function, argument, bytes }];
        Self { questions, spoilt: ours.is_err(), ours: ours.map(|()| 0) }
    }

    /// Whether the client's answers come to the verifier's verdict.
    pub(crate) fn agrees(&self, theirs: &[i32]) -> bool {
        if self.questions[0].function == Function::CountEntries {
            return self.ours.ok() == usize::try_from(theirs[0]).ok();
        }
        let rejects = self.questions.iter().zip(theirs).any(|(question, answer)| rejects(question, *answer));
        rejects == self.ours.is_err()
    }
}

/// Whether this answer of the client turns the reply away.
fn rejects(question: &Question, answer: i32) -> bool {
    const ENODATA: i32 = -61;
    const EOPNOTSUPP: i32 = -95;
    match (question.function, answer) {
        (Function::CheckMessage, _) => answer != 0,
        // The link is not given: the client asks again in another way.
        (Function::ParseSymlink, ENODATA) => false,
        // No attribute of that name.
        (Function::MoveAttributes, ENODATA) => false,
        // No interfaces at all, and reparse points of a kind that the client does not know.
        (Function::ParseInterfaces | Function::ParseReparse, EOPNOTSUPP) => false,
        _ => answer < 0,
    }
}

/// `NextCommand` is looked at before `smb2_check_message`: it is none here.
fn without_next(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(next) = bytes.get_mut(20..24) {
        next.fill(0);
    }
    bytes
}

fn any_frame(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    let bytes = without_next(bytes);
    header::is_smb2(Cursor::new(&bytes)).then_some(())?;
    let ours = frame::verify(Cursor::new(&bytes), Asked::by_kernel(), Level::Enforce).map(drop);
    Some(Comparison::new(Function::CheckMessage, 0, bytes, ours))
}

/// The whole verifier beside the frame's check and whatever the client then calls for sure.
fn whole(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    let bytes = without_next(bytes);
    let ours = match verify::verify(&bytes, Asked::by_kernel(), Level::Enforce) {
        verify::Outcome::NotChecked => return None,
        verify::Outcome::Sound => Ok(()),
        verify::Outcome::Malformed(malformed) => Err(malformed),
    };
    let message = header::Header::read(Cursor::new(&bytes))?;
    let mut comparison = Comparison::new(Function::CheckMessage, 0, bytes.clone(), ours);
    // Only what passes the first check is parsed.
    let framed = frame::verify(Cursor::new(&bytes), Asked::by_kernel(), Level::Enforce).is_ok();
    let then = match (message.command, message.status) {
        (header::CREATE, header::SUCCESS) => (Function::ParseContexts, 0),
        (header::CREATE, header::STOPPED_ON_SYMLINK) => (Function::ParseSymlink, 0),
        (header::NEGOTIATE, header::SUCCESS) if is_311(&bytes) => (Function::DecodeNegotiate, 0),
        (header::QUERY_INFO, header::SUCCESS) => (Function::ValidateOutput, 0),
        (header::QUERY_DIRECTORY, header::SUCCESS) => (Function::ValidateOutput, 64),
        (header::CHANGE_NOTIFY, header::SUCCESS) if bytes.len() > 72 => (Function::ValidateOutput, 12),
        _ => return Some(comparison),
    };
    if framed {
        comparison.questions.push(Question { function: then.0, argument: then.1, bytes });
    }
    Some(comparison)
}

/// Whether a NEGOTIATE reply has contexts that the client reads.
fn is_311(bytes: &[u8]) -> bool {
    let reply = Cursor::new(bytes);
    reply.holds(0, 128) && reply.le16(68) == Some(0x311) && reply.le16(70) != Some(0)
}

fn contexts(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    (bytes.len() >= 152).then_some(())?;
    let ours = create::verify(Cursor::new(&bytes), Asked::by_kernel(), Level::Enforce);
    Some(Comparison::new(Function::ParseContexts, 0, bytes, ours))
}

fn link(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    // The frame has asked for as much.
    (bytes.len() >= 72).then_some(())?;
    let ours = symlink::verify(Cursor::new(&bytes), Asked::by_kernel(), Level::Enforce);
    Some(Comparison::new(Function::ParseSymlink, 0, bytes, ours))
}

fn followed_link(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    // The frame has asked for as much.
    (bytes.len() >= 72).then_some(())?;
    let ours = Content::Symlink.verify(&bytes, Level::Enforce);
    Some(Comparison::new(Function::ParseSymlink, 1, bytes, ours))
}

fn negotiated(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    is_311(&bytes).then_some(())?;
    let ours = negotiate::verify(Cursor::new(&bytes), Asked::by_kernel(), Level::Enforce);
    Some(Comparison::new(Function::DecodeNegotiate, 0, bytes, ours))
}

fn challenge(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    let ours = session_setup::verify_challenge(Cursor::new(&bytes), Asked::by_kernel(), Level::Enforce);
    Some(Comparison::new(Function::DecodeChallenge, 0, bytes, ours))
}

/// The reply, when it is one with an output that was received up to where that may begin.
fn with_output(bytes: &[u8]) -> Option<()> {
    let command = header::Header::read(Cursor::new(bytes))?.command;
    let outputs = [header::QUERY_INFO, header::QUERY_DIRECTORY, header::CHANGE_NOTIFY];
    (outputs.contains(&command) && bytes.len() >= 72).then_some(())
}

fn least(bytes: Vec<u8>, random: &mut Random) -> Option<Comparison> {
    with_output(&bytes)?;
    let least = random.below(120);
    let ours = Content::AtLeast(least).verify(&bytes, Level::Enforce);
    Some(Comparison::new(Function::ValidateOutput, u32::try_from(least).ok()?, bytes, ours))
}

fn attributes(bytes: Vec<u8>, random: &mut Random) -> Option<Comparison> {
    // `smb2_validate_iov` has asked for as much.
    (bytes.len() >= 8).then_some(())?;
    let wanted = random.below(2) == 1;
    let ours = ea::verify(Cursor::new(&bytes), wanted.then_some(b"two"), Level::Enforce);
    Some(Comparison::new(Function::MoveAttributes, wanted.into(), bytes, ours))
}

fn wsl(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    with_output(&bytes)?;
    let ours = Content::WslAttributes.verify(&bytes, Level::Enforce);
    Some(Comparison::new(Function::CheckWsl, 0, bytes, ours))
}

fn posix(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    with_output(&bytes)?;
    let ours = Content::Posix.verify(&bytes, Level::Enforce);
    Some(Comparison::new(Function::ParsePosixSids, 0, bytes, ours))
}

fn descriptor(bytes: Vec<u8>, random: &mut Random) -> Option<Comparison> {
    let rewritten = random.below(4) > 0;
    let used = if rewritten { Use::Rewritten } else { Use::Mapped };
    let ours = security::verify(Cursor::new(&bytes), used, Level::Enforce);
    Some(Comparison::new(Function::SecurityDescriptor, rewritten.into(), bytes, ours))
}

fn entries(bytes: Vec<u8>, random: &mut Random) -> Option<Comparison> {
    let classes = [Class::Directory, Class::Full, Class::IdFull, Class::Posix];
    let class = if random.below(2) == 0 { 3 } else { random.below(3) };
    // `smb2_validate_iov` has asked for as much.
    (bytes.len() >= classes[class].fixed_len()).then_some(())?;
    let ours = directory::verify(Cursor::new(&bytes), classes[class], Level::Enforce);
    let spoilt = directory::verify(Cursor::new(&bytes), classes[class], Level::Strict).is_err();
    let argument = u32::try_from(class).ok()?;
    let questions = vec![Question { function: Function::CountEntries, argument, bytes }];
    Some(Comparison { questions, ours, spoilt })
}

fn faces(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    let ours = interfaces::verify(Cursor::new(&bytes), Level::Enforce);
    Some(Comparison::new(Function::ParseInterfaces, 0, bytes, ours))
}

fn dfs(bytes: Vec<u8>, random: &mut Random) -> Option<Comparison> {
    let path_len = random.below(8);
    let ours = referrals::verify(Cursor::new(&bytes), Some(path_len), Level::Enforce);
    Some(Comparison::new(Function::ParseReferrals, u32::try_from(path_len).ok()?, bytes, ours))
}

fn reparse_header(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    (bytes.len() >= 112).then_some(())?;
    let found = output::find(Cursor::new(&bytes), header::IOCTL);
    let ours = found.and_then(|found| match found {
        Some(found) => reparse::verify_header(found.bytes).map(drop),
        None => Ok(()),
    });
    Some(Comparison::new(Function::ReparseHeader, 0, bytes, ours))
}

fn reparse_point(bytes: Vec<u8>, _: &mut Random) -> Option<Comparison> {
    (bytes.len() >= 112).then_some(())?;
    let ours = Content::Reparse.verify(&bytes, Level::Enforce);
    Some(Comparison::new(Function::ParseReparse, 0, bytes, ours))
}
