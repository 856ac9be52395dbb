// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask verify`: the verifier over network captures.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read};

use anyhow::Result;
use camino::Utf8Path;
use capture::file::{End, Unreadable};
use capture::{Counts, Dialect, Found, ReplyVerdict, Survey, Tally, Totals};
use serde_json::{Value, json};
use verify::{Client, Malformed};

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};
use kernel::context::Context;
use report::failure::{Exit, Failure};
use report::{counted, table};

/// `cargo xtask verify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER)]
pub struct VerifyArgs {
    /// Captures, pcap or pcapng, also compressed with gzip, xz or zstd; `-` is standard input.
    /// Parts of one capture in their order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<Utf8PathBuf>,
    /// Who asked: by default a reply is judged as an answer to its request, whoever sent that;
    /// `linux` holds every reply to what the Linux client takes
    #[arg(long, value_enum, default_value_t = Asking::Any)]
    pub client: Asking,
    /// TCP port of the servers
    #[arg(long, default_value_t = capture::PORT)]
    pub port: u16,
    /// List every reply, not only those that break a rule
    #[arg(long)]
    pub each: bool,
}

/// Whose requests are in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Asking {
    /// Anybody's.
    Any,
    /// The kernel's client's alone.
    Linux,
}

const AFTER: &str = "\
Verdicts:
  sound      as an answer to what was asked
  strict     a fault that the client passes over; mode 2 of the guard would reject it
  linux      sound as far as is known of the request, and yet not what the Linux client takes or asks
             for: it would not reach that one. Other clients ask for such
  rejected   wrong for whoever asked; enforcing would reject it

Exit status: 0 enforcing would reject nothing that was asked for, 1 it would, 4 there is nothing to judge.
With --client linux both are about the Linux client, and no verdict is `linux`.

Examples:
  tcpdump -i any -s 0 -w smb.pcap tcp port 445     while a share is mounted and used
  cargo xtask verify smb.pcap
  cargo xtask verify --client linux old.pcapng.zst
  ssh server tcpdump -i any -s 0 -U -w - tcp port 445 | cargo xtask verify -";

/// The name that means standard input, and what that is called.
const STDIN: &str = "-";
const STDIN_NAME: &str = "standard input";

/// How many replies are listed for a person, unless all are asked for.
const LISTED: usize = 50;

/// Judges every reply in the captures. Fails when enforcing would reject one of them.
pub fn run(context: &Context, args: &VerifyArgs) -> Result<()> {
    if context.dry_run {
        args.files.iter().for_each(|file| context.report.say(&format!("would read: {file}")));
        return Ok(());
    }
    if args.files.iter().filter(|file| *file == STDIN).count() > 1 {
        let reason = "it is given more than once, and can be read only once";
        return Err(Failure::new(Exit::Usage, STDIN_NAME, reason).remedy("give `-` once").into());
    }
    let client = match args.client {
        Asking::Any => Client::Any,
        Asking::Linux => Client::Kernel,
    };
    let mut survey = Survey::new(args.port, args.each).asked_by(client);
    let mut unread = Vec::new();
    for (number, file) in args.files.iter().enumerate() {
        unread.extend(read(context, file, number, &mut survey)?);
    }
    let (tally, totals, found) = survey.finish();
    let sum = sum(&tally);
    if context.report.json() {
        context.report.data(&value(args, &sum, &tally, &totals, &found, &unread));
    }
    if sum.replies + totals.encrypted + totals.compressed == 0 {
        return Err(nothing(args, &totals).into());
    }
    show(context, args, &tally, &found);
    notes(&totals).iter().for_each(|note| context.report.say(note));
    conclusion(args.client, &sum).iter().for_each(|line| context.report.say(line));
    if sum.rejected == 0 {
        return unread.into_iter().next().map_or(Ok(()), |unread| Err(unread.failure().into()));
    }
    let of = counted(sum.replies, "reply", "replies");
    let reason = format!("enforcing would reject {} of {of}, {}", sum.rejected, holds_for(args.client));
    Err(Failure::new(Exit::Failed, names(args), reason)
        .remedy("load cifs_fix with mode=0, which counts and logs, until the server is fixed")
        .into())
}

/// What to give instead.
const REMEDY: &str = "give a file that tcpdump -w, dumpcap or Wireshark wrote";

/// What a file is called.
fn name(file: &Utf8Path) -> &str {
    if file == STDIN { STDIN_NAME } else { file.as_str() }
}

/// Opens a capture.
fn open(file: &Utf8Path) -> Result<Box<dyn Read + Send>> {
    if file == STDIN {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            let failure = Failure::refused(STDIN_NAME, "it is a terminal, not a capture");
            return Err(failure.remedy("pipe one into it: tcpdump -w - … | cargo xtask verify -").into());
        }
        return Ok(Box::new(stdin));
    }
    let missing = |error: std::io::Error| Failure::missing(file.as_str(), error.to_string()).remedy(REMEDY);
    if file.metadata().map_err(missing)?.is_dir() {
        let failure = Failure::refused(file.as_str(), "it is a directory, not a capture");
        return Err(failure.remedy(format!("give the captures in it: {}", file.join("*.pcap"))).into());
    }
    Ok(Box::new(std::fs::File::open(file).map_err(missing)?))
}

/// A capture that could not be read to its end.
struct Unread {
    file: String,
    reason: String,
}

impl Unread {
    fn failure(self) -> Failure {
        let reason =
            format!("what could be read of it is sound, and it was not read to its end: {}", self.reason);
        Failure::refused(self.file, reason).remedy("give all of it; what came after has no verdict")
    }
}

/// Reads one capture, and says if that was not all of it.
fn read(context: &Context, file: &Utf8Path, number: usize, survey: &mut Survey) -> Result<Option<Unread>> {
    let capture = open(file)?;
    let file = name(file);
    let step = context.report.step("Reading", file);
    let mut packets = 0u64;
    let end = capture::file::packets(capture, |packet, link, bytes| {
        packets = packet;
        survey.packet(number, packet, link, bytes);
    });
    step.done("Read", &format!("{file}: {}", counted(packets, "packet", "packets")));
    match end {
        Ok(End::Whole) => {}
        Ok(End::Cut) => context.report.warn(&format!("{file}: it ends in the middle of a packet")),
        // What came before is worth a verdict; nothing at all is not.
        Err(broken @ (Unreadable::Broken { after: 1.. } | Unreadable::Failed { after: 1.., .. })) => {
            context.report.warn(&format!("{file}: {broken}"));
            return Ok(Some(Unread { file: file.to_owned(), reason: broken.to_string() }));
        }
        Err(error) => return Err(Failure::refused(file, error.to_string()).remedy(REMEDY).into()),
    }
    Ok(None)
}

/// The files, as one object.
fn names(args: &VerifyArgs) -> String {
    args.files.iter().map(|file| name(file)).collect::<Vec<_>>().join(", ")
}

/// For whom it holds that enforcing would reject a reply.
const fn holds_for(client: Asking) -> &'static str {
    match client {
        Asking::Any => "whoever asked for it",
        Asking::Linux => "if the Linux client asked for it",
    }
}

/// What it all comes to.
fn conclusion(client: Asking, sum: &Counts) -> Vec<String> {
    let mut lines = vec![format!(
        "{} judged: {} sound, {} only strict would reject, {} would not reach the Linux client, \
         {} enforcing would reject",
        counted(sum.replies, "reply", "replies"),
        sum.sound,
        sum.strict,
        sum.linux,
        sum.rejected
    )];
    if sum.linux > 0 {
        lines.push(format!(
            "{} what that client does not take or never asks for, and nothing that is known to be wrong for \
             whoever asked; to hold all to the Linux client: --client linux",
            counted(sum.linux, "reply is", "replies are")
        ));
    }
    let so_far = "enforcing would reject no reply";
    if sum.rejected == 0 && client == Asking::Linux {
        lines.push(format!("{so_far} that the Linux client asked for"));
    }
    lines
}

/// There was nothing to judge: no verdict, and no success either.
fn nothing(args: &VerifyArgs, totals: &Totals) -> Failure {
    let smb1 = if totals.smb1 > 0 { format!(", but {} of SMB1", totals.smb1) } else { String::new() };
    let links = match totals.unknown_links {
        0 => String::new(),
        many => format!("; {}", counted(many, UNKNOWN_LINK.0, UNKNOWN_LINK.1)),
    };
    let packets = counted(totals.packets, "packet", "packets");
    let reason = format!("no reply of SMB2 from TCP port {} in {packets}{smb1}{links}", args.port);
    Failure::refused(names(args), reason)
        .remedy("capture a whole connection (tcpdump -s 0 -w FILE tcp port 445), or give the server's port with --port")
}

/// All verdicts together.
fn sum(tally: &Tally) -> Counts {
    tally.values().fold(Counts::default(), |sum, one| Counts {
        replies: sum.replies + one.replies,
        sound: sum.sound + one.sound,
        strict: sum.strict + one.strict,
        linux: sum.linux + one.linux,
        rejected: sum.rejected + one.rejected,
    })
}

/// A dialect as it is shown; unknown where the capture does not hold the negotiation.
fn dialect(dialect: Option<Dialect>) -> String {
    dialect.map_or_else(|| "?".to_owned(), |dialect| dialect.to_string())
}

/// The verdict in a word, and the rule if one is broken.
fn verdict(found: &Found) -> (&'static str, Option<Malformed>) {
    match found.reply.verdict {
        ReplyVerdict::Sound => ("sound", None),
        ReplyVerdict::Strict(malformed) => ("strict", Some(malformed)),
        ReplyVerdict::Linux(malformed) => ("linux", Some(malformed)),
        ReplyVerdict::Rejected(malformed) => ("rejected", Some(malformed)),
    }
}

/// The tables.
fn show(context: &Context, args: &VerifyArgs, tally: &Tally, found: &[Found]) {
    let head =
        ["COMMAND", "DIALECT", "REPLIES", "SOUND", "STRICT", "LINUX", "REJECTED"].map(str::to_owned).to_vec();
    let rows = tally.iter().map(|((command, of), counts)| {
        let numbers = [counts.replies, counts.sound, counts.strict, counts.linux, counts.rejected];
        let mut row = vec![(*command).to_owned(), dialect(*of)];
        row.extend(numbers.map(|number| number.to_string()));
        row
    });
    context.report.say(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
    context.report.say("");
    let listed = if args.each { found.len() } else { found.len().min(LISTED) };
    if listed > 0 {
        let head = ["PACKET", "SERVER", "CLIENT", "COMMAND", "ID", "VERDICT", "RULE", "OFFSET", "SECTION"];
        let rows = found.iter().take(listed).map(|one| row(args, one));
        let rows: Vec<_> = std::iter::once(head.map(str::to_owned).to_vec()).chain(rows).collect();
        context.report.say(&table(&rows));
        context.report.say("");
    }
    if listed < found.len() {
        context.report.say(&format!("and {} more: --each lists all\n", found.len() - listed));
    }
}

/// One reply as a line. The file is named where there are several.
fn row(args: &VerifyArgs, found: &Found) -> Vec<String> {
    let packet = match args.files.get(found.file) {
        Some(file) if args.files.len() > 1 => format!("{}:{}", name(file), found.packet),
        _ => found.packet.to_string(),
    };
    let (verdict, broken) = verdict(found);
    let (rule, offset, section) = match broken {
        Some(broken) => (broken.rule.name(), broken.offset.to_string(), broken.rule.section()),
        None => ("", String::new(), ""),
    };
    vec![
        packet,
        found.server.to_string(),
        found.client.to_string(),
        found.reply.command.to_owned(),
        found.reply.message_id.to_string(),
        verdict.to_owned(),
        rule.to_owned(),
        offset,
        section.to_owned(),
    ]
}

/// What was met beside judged replies, a line each.
fn notes(totals: &Totals) -> Vec<String> {
    let Totals { signed, blobs_unjudged, encrypted, compressed, smb1, .. } = *totals;
    let Totals { incomplete, foreign, missing_bytes, fragments, unknown_links, .. } = *totals;
    const KINDS: [(&str, &str); 9] = [
        (
            "judged reply is signed; the signature is not verified",
            "judged replies are signed; signatures are not verified",
        ),
        (
            "answer to SESSION_SETUP is judged without its security blob: not to raw NTLM",
            "answers to SESSION_SETUP are judged without their security blob: not to raw NTLM",
        ),
        (
            "message is encrypted, and not judged; the guard sees such replies decrypted",
            "messages are encrypted, and not judged; the guard sees such replies decrypted",
        ),
        (
            "message is compressed, and not judged; the Linux client asks for none",
            "messages are compressed, and not judged; the Linux client asks for none",
        ),
        ("message is of SMB1, and not judged", "messages are of SMB1, and not judged"),
        (
            "message was not captured whole, and is not judged",
            "messages were not captured whole, and are not judged",
        ),
        ("byte of servers' streams was not captured", "bytes of servers' streams were not captured"),
        (
            "time a server's stream went on as something that is not SMB",
            "times a server's stream went on as something that is not SMB",
        ),
        (
            "packet is a fragment of IP, which is not put together",
            "packets are fragments of IP, which are not put together",
        ),
    ];
    let counts =
        [signed, blobs_unjudged, encrypted, compressed, smb1, incomplete, missing_bytes, foreign, fragments];
    let known = counts.into_iter().zip(KINDS).chain([(unknown_links, UNKNOWN_LINK)]);
    known.filter(|(count, _)| *count > 0).map(|(count, (one, many))| counted(count, one, many)).collect()
}

/// Of packets of other networks, one and many.
const UNKNOWN_LINK: (&str, &str) =
    ("packet is of a link type that is not known here", "packets are of a link type that is not known here");

/// The result for `--json`.
fn value(
    args: &VerifyArgs,
    sum: &Counts,
    tally: &Tally,
    totals: &Totals,
    found: &[Found],
    unread: &[Unread],
) -> Value {
    let counts = |counts: &Counts| json!({ "replies": counts.replies, "sound": counts.sound, "strict": counts.strict, "linux": counts.linux, "rejected": counts.rejected });
    let by_command: Vec<Value> = tally
        .iter()
        .map(|((command, of), one)| json!({ "command": command, "dialect": of.map(|of| of.to_string()), "counts": counts(one) }))
        .collect();
    let mut by_rule: BTreeMap<&str, u64> = BTreeMap::new();
    for broken in found.iter().filter_map(|one| verdict(one).1) {
        *by_rule.entry(broken.rule.name()).or_default() += 1;
    }
    json!({
        "files": args.files,
        "port": args.port,
        "client": match args.client { Asking::Any => "any", Asking::Linux => "linux" },
        "packets": totals.packets,
        "connections": totals.connections,
        "counts": counts(sum),
        "by_command": by_command,
        "by_rule": by_rule,
        "unjudged": {
            "encrypted": totals.encrypted, "compressed": totals.compressed, "smb1": totals.smb1,
            "incomplete": totals.incomplete, "foreign": totals.foreign,
            "security_blobs": totals.blobs_unjudged, "missing_bytes": totals.missing_bytes,
            "fragments": totals.fragments, "unknown_links": totals.unknown_links,
        },
        "signed": totals.signed,
        "unread": unread.iter().map(|one| json!({ "file": one.file, "reason": one.reason })).collect::<Vec<_>>(),
        "replies": found.iter().map(|one| reply_value(args, one)).collect::<Vec<_>>(),
    })
}

/// One reply for `--json`.
fn reply_value(args: &VerifyArgs, found: &Found) -> Value {
    let (verdict, broken) = verdict(found);
    json!({
        "file": args.files.get(found.file),
        "packet": found.packet,
        "server": found.server.to_string(),
        "client": found.client.to_string(),
        "command": found.reply.command,
        "status": format!("{:#010x}", found.reply.status),
        "message_id": found.reply.message_id,
        "length": found.reply.length,
        "dialect": found.reply.dialect.map(|dialect| dialect.to_string()),
        "signed": found.reply.signed,
        "verdict": verdict,
        "holds_for": match (found.reply.verdict, args.client) {
            (ReplyVerdict::Sound, _) => None,
            (ReplyVerdict::Linux(_), _) | (_, Asking::Linux) => Some("linux"),
            _ => Some("any"),
        },
        "would_reach_linux": matches!(found.reply.verdict, ReplyVerdict::Sound | ReplyVerdict::Strict(_)),
        "rule": broken.map(|broken| broken.rule.name()),
        "section": broken.map(|broken| broken.rule.section()),
        "offset": broken.map(|broken| broken.offset),
    })
}
