// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask verify`: the verifier over network captures.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8Path;
use capture::file::{End, Unreadable};
use capture::{Counts, Dialect, Found, ReplyVerdict, Survey, Tally, Totals};
use serde_json::{Value, json};
use verify::Malformed;

use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use report::failure::{Exit, Failure};
use report::table;

/// `cargo xtask verify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER)]
pub struct VerifyArgs {
    /// Captures, pcap or pcapng; parts of one capture in their order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<Utf8PathBuf>,
    /// TCP port of the servers
    #[arg(long, default_value_t = capture::PORT)]
    pub port: u16,
    /// List every reply, not only those that break a rule
    #[arg(long)]
    pub each: bool,
}

const AFTER: &str = "\
Example:
  tcpdump -i any -s 0 -w smb.pcap tcp port 445     while a share is mounted and used
  cargo xtask verify smb.pcap";

/// How many replies are listed for a person, unless all are asked for.
const LISTED: usize = 50;

/// Judges every reply in the captures. Fails when enforcing would reject one of them.
pub fn run(context: &Context, args: &VerifyArgs) -> Result<()> {
    if context.dry_run {
        args.files.iter().for_each(|file| context.report.say(&format!("would read: {file}")));
        return Ok(());
    }
    let mut survey = Survey::new(args.port, args.each);
    for (number, file) in args.files.iter().enumerate() {
        read(context, file, number, &mut survey)?;
    }
    let (tally, totals, found) = survey.finish();
    let sum = sum(&tally);
    context.report.data(&value(args, &sum, &tally, &totals, &found));
    if sum.replies + totals.encrypted + totals.compressed == 0 {
        return Err(nothing(args, &totals).into());
    }
    show(context, args, &tally, &found);
    notes(&totals).iter().for_each(|note| context.report.say(note));
    context.report.say(&format!(
        "{} replies judged: {} sound, {} only strict would reject, {} enforcing would reject",
        sum.replies, sum.sound, sum.strict, sum.rejected
    ));
    if sum.rejected == 0 {
        return Ok(());
    }
    let reason = format!("enforcing would reject {} of {} replies", sum.rejected, sum.replies);
    Err(Failure::new(Exit::Failed, names(args), reason)
        .remedy("load cifs_fix with mode=0, which counts and logs, until the server is fixed")
        .into())
}

/// Reads one capture.
fn read(context: &Context, file: &Utf8Path, number: usize, survey: &mut Survey) -> Result<()> {
    let step = context.report.step("Reading", file.as_str());
    let remedy = "give a file that tcpdump -w, dumpcap or Wireshark wrote";
    let capture = std::fs::File::open(file)
        .map_err(|error| Failure::missing(file.as_str(), error.to_string()).remedy(remedy))?;
    let mut packets = 0;
    let end = capture::file::packets(capture, |packet, link, bytes| {
        packets = packet;
        survey.packet(number, packet, link, bytes);
    });
    step.done("Read", &format!("{file}: {packets} packets"));
    match end {
        Ok(End::Whole) => {}
        Ok(End::Cut) => context.report.warn(&format!("{file}: it ends in the middle of a packet")),
        // What came before is worth a verdict; nothing at all is not.
        Err(broken @ Unreadable::Broken { after: 1.. }) => context.report.warn(&format!("{file}: {broken}")),
        Err(error) => return Err(Failure::refused(file.as_str(), error.to_string()).remedy(remedy).into()),
    }
    Ok(())
}

/// The files, as one object.
fn names(args: &VerifyArgs) -> String {
    args.files.iter().map(|file| file.as_str()).collect::<Vec<_>>().join(", ")
}

/// There was nothing to judge: no verdict, and no success either.
fn nothing(args: &VerifyArgs, totals: &Totals) -> Failure {
    let smb1 = if totals.smb1 > 0 { format!(", but {} of SMB1", totals.smb1) } else { String::new() };
    let links = match totals.unknown_links {
        0 => String::new(),
        many => format!("; {many} are of a link type that is not known here"),
    };
    let reason =
        format!("no reply of SMB2 from TCP port {} in {} packets{smb1}{links}", args.port, totals.packets);
    Failure::refused(names(args), reason)
        .remedy("capture a whole connection (tcpdump -s 0 -w FILE tcp port 445), or give the server's port with --port")
}

/// All verdicts together.
fn sum(tally: &Tally) -> Counts {
    tally.values().fold(Counts::default(), |sum, one| Counts {
        replies: sum.replies + one.replies,
        sound: sum.sound + one.sound,
        strict: sum.strict + one.strict,
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
        ReplyVerdict::Rejected(malformed) => ("rejected", Some(malformed)),
    }
}

/// The tables.
fn show(context: &Context, args: &VerifyArgs, tally: &Tally, found: &[Found]) {
    let head = ["COMMAND", "DIALECT", "REPLIES", "SOUND", "STRICT", "REJECTED"].map(str::to_owned).to_vec();
    let rows = tally.iter().map(|((command, of), counts)| {
        let numbers = [counts.replies, counts.sound, counts.strict, counts.rejected];
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
        Some(file) if args.files.len() > 1 => format!("{file}:{}", found.packet),
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
    [
        (signed, "judged replies are signed; signatures are not verified"),
        (blobs_unjudged, "answers to SESSION_SETUP are judged without their security blob: not to raw NTLM"),
        (encrypted, "messages are encrypted, and not judged; the guard sees such replies decrypted"),
        (compressed, "messages are compressed, and not judged; the client asks for none"),
        (smb1, "messages are of SMB1, and not judged"),
        (incomplete, "messages were not captured whole, and are not judged"),
        (missing_bytes, "bytes of servers' streams were not captured"),
        (foreign, "times a server's stream went on as something that is not SMB"),
        (fragments, "packets are fragments of IP, which are not put together"),
        (unknown_links, "packets are of a link type that is not known here"),
    ]
    .iter()
    .filter(|(many, _)| *many > 0)
    .map(|(many, what)| format!("{many} {what}"))
    .collect()
}

/// The result for `--json`.
fn value(args: &VerifyArgs, sum: &Counts, tally: &Tally, totals: &Totals, found: &[Found]) -> Value {
    let counts = |counts: &Counts| json!({ "replies": counts.replies, "sound": counts.sound, "strict": counts.strict, "rejected": counts.rejected });
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
        "rule": broken.map(|broken| broken.rule.name()),
        "section": broken.map(|broken| broken.rule.section()),
        "offset": broken.map(|broken| broken.offset),
    })
}
