// SPDX-License-Identifier: GPL-2.0
//! Builds the oracle and talks to it.

use std::io::{BufWriter, Read, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::extract::{braced, define, function};
use crate::source;

/// What the oracle can be asked: which of the client's functions is to judge. The numbers are those
/// of `c/oracle.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Function {
    /// `smb2_check_message`
    CheckMessage,
    /// `smb2_parse_contexts`
    ParseContexts,
    /// `smb2_parse_symlink_response`; argument 1 to judge the target too.
    ParseSymlink,
    /// `smb311_decode_neg_context`
    DecodeNegotiate,
    /// `decode_ntlmssp_challenge`
    DecodeChallenge,
    /// `smb2_validate_iov`, for the output of a reply; the argument is the least length.
    ValidateOutput,
    /// `move_smb2_ea_to_cifs`; argument 1 to look for the attribute `two`.
    MoveAttributes,
    /// `check_wsl_eas`
    CheckWsl,
    /// `parse_posix_sids`
    ParsePosixSids,
    /// `sid_from_sd` for both, `dacl_offset_valid`, and with argument 1 `validate_dacl`
    SecurityDescriptor,
    /// `num_entries`; the argument is the class. Answers with a count.
    CountEntries,
    /// `parse_server_interfaces`
    ParseInterfaces,
    /// `parse_dfs_referrals`; the argument is the length of the path.
    ParseReferrals,
    /// `reparse_buf_ptr`
    ReparseHeader,
    /// `reparse_buf_ptr`, then `parse_reparse_point`
    ParseReparse,
}

/// Something to judge.
#[derive(Clone, Debug)]
pub struct Question {
    /// By which function.
    pub function: Function,
    /// What it needs to know besides; see [`Function`].
    pub argument: u32,
    /// What was received.
    pub bytes: Vec<u8>,
}

/// A built oracle, in a directory of its own that goes with it.
pub struct Oracle {
    directory: tempfile::TempDir,
    /// Where the kernel's source came from.
    pub source: Utf8PathBuf,
}

impl Oracle {
    /// Unpacks the kernel's source and builds the oracle from it.
    ///
    /// # Errors
    ///
    /// No source, or not the functions expected in it, or the compiler does not take them.
    pub fn build() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = Utf8Path::from_path(directory.path()).context("a temporary directory in UTF-8")?;
        let source = source::unpack(root)?;
        let parts = extract_parts(&root.join("fs/smb"))?;
        fs_err::write(root.join("structures.h"), parts.structures)?;
        fs_err::write(root.join("functions.c"), parts.functions)?;
        compile(root)?;
        Ok(Self { directory, source })
    }

    /// The verdicts on `questions`, in their order: the function's own result, 0 or the negative
    /// error number, or a count.
    ///
    /// # Errors
    ///
    /// The oracle died.
    pub fn ask(&self, questions: &[Question]) -> Result<Vec<i32>> {
        let answers = self.answers(questions, None)?;
        ensure!(answers.len() == 4 * questions.len(), "the oracle died after {} answers", answers.len() / 4);
        Ok(answers.chunks_exact(4).map(|n| i32::from_ne_bytes([n[0], n[1], n[2], n[3]])).collect())
    }

    /// How many nanoseconds the oracle takes to answer each of `questions` `times` times.
    ///
    /// # Errors
    ///
    /// The oracle died.
    pub fn time(&self, questions: &[Question], times: u32) -> Result<Vec<u64>> {
        let answers = self.answers(questions, Some(times))?;
        let (nanoseconds, rest) = answers.as_chunks::<8>();
        ensure!(rest.is_empty() && nanoseconds.len() == questions.len(), "the oracle died");
        Ok(nanoseconds.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect())
    }

    /// What the oracle writes when it is asked `questions`, each so many times.
    fn answers(&self, questions: &[Question], times: Option<u32>) -> Result<Vec<u8>> {
        let mut child = run(self.directory.path().join("oracle"), times)?;
        let mut input = BufWriter::with_capacity(1 << 16, child.stdin.take().context("its input")?);
        let mut output = child.stdout.take().context("its output")?;
        let mut answers = Vec::with_capacity(8 * questions.len());
        std::thread::scope(|scope| -> Result<()> {
            let writer = scope.spawn(move || -> std::io::Result<()> {
                for question in questions {
                    input.write_all(&[question.function as u8])?;
                    input.write_all(&question.argument.to_ne_bytes())?;
                    input.write_all(&u32::try_from(question.bytes.len()).unwrap_or(0).to_ne_bytes())?;
                    input.write_all(&question.bytes)?;
                }
                input.flush()
            });
            output.read_to_end(&mut answers)?;
            let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
            written.context("the oracle stopped reading")
        })?;
        let status = child.wait()?;
        ensure!(status.success(), "the oracle died: {status}");
        Ok(answers)
    }
}

/// What is taken out of the source.
struct Parts {
    structures: String,
    functions: String,
}

/// The functions that judge and what they call, by file, callees first.
const FUNCTIONS: &[(&str, &[&str])] = &[
    ("smb2misc.c", &["check_smb2_hdr", "get_neg_ctxt_len", "smb2_get_data_area_len", "__smb2_calc_size"]),
    ("smb2misc.c", &["smb2_check_message"]),
    ("smb2pdu.c", &["smb2_validate_iov", "posix_info_sid_size", "posix_info_parse", "posix_info_extra_size"]),
    ("smb2pdu.c", &["num_entries", "parse_query_id_ctxt", "parse_posix_ctxt", "smb2_parse_contexts"]),
    ("smb2pdu.c", &["decode_preauth_context", "decode_compress_ctx", "decode_encrypt_ctx"]),
    ("smb2pdu.c", &["decode_signing_ctx", "smb311_decode_neg_context"]),
    ("cifsglob.h", &["release_iface"]),
    ("smb2ops.c", &["smb3_parse_lease_buf", "iface_cmp", "parse_server_interfaces", "move_smb2_ea_to_cifs"]),
    ("sess.c", &["decode_ntlmssp_challenge"]),
    ("reparse.c", &["parse_reparse_nfs", "smb2_parse_native_symlink", "parse_reparse_native_symlink"]),
    ("reparse.c", &["parse_reparse_wsl_symlink", "parse_reparse_point"]),
    ("smb2file.c", &["symlink_data", "smb2_parse_symlink_response"]),
    ("smb2inode.c", &["reparse_buf_ptr", "parse_posix_sids", "check_wsl_eas"]),
    ("misc.c", &["parse_dfs_referrals"]),
    ("cifsacl.c", &["parse_sid", "sid_from_sd", "validate_dacl", "dacl_offset_valid"]),
];

/// Structures that stand in headers too large to be compiled here, by file.
const STRUCTURES: &[(&str, &[&str])] = &[
    ("smb1pdu.h", &["typedef struct dfs_referral_level_3 {", "struct get_dfs_referral_rsp {"]),
    ("ntlmssp.h", &["typedef struct _SECURITY_BUFFER {", "typedef struct _CHALLENGE_MESSAGE {"]),
    ("cifsglob.h", &["struct cifs_server_iface {", "struct cifs_open_info_data {"]),
    ("cifsglob.h", &["struct dfs_info3_param {"]),
    ("../common/smb1pdu.h", &[]),
];

/// Macros that stand in such headers, by file.
const MACROS: &[(&str, &[&str])] = &[
    ("smb1pdu.h", &["SMB_FIND_FILE_DIRECTORY_INFO ", "SMB_FIND_FILE_FULL_DIRECTORY_INFO "]),
    ("smb1pdu.h", &["SMB_FIND_FILE_ID_FULL_DIR_INFO "]),
    ("ntlmssp.h", &["NTLMSSP_SIGNATURE ", "NTLMSSP_NEGOTIATE_SEAL ", "NTLMSSP_NEGOTIATE_SIGN "]),
    ("ntlmssp.h", &["NTLMSSP_NEGOTIATE_56 ", "NTLMSSP_NEGOTIATE_128 ", "NTLMSSP_NEGOTIATE_NTLM "]),
    ("ntlmssp.h", &["NTLMSSP_NEGOTIATE_EXTENDED_SEC ", "NTLMSSP_NEGOTIATE_KEY_XCH "]),
    ("ntlmssp.h", &["NtLmChallenge "]),
    ("smb2misc.c", &["SMB311_NEGPROT_BASE_SIZE "]),
];

/// Takes out of the client, in the directory `smb`, what the oracle is made of.
fn extract_parts(smb: &Utf8Path) -> Result<Parts> {
    let read = |file: &str| fs_err::read_to_string(smb.join("client").join(file));
    let mut structures = String::new();
    let mut functions = String::new();
    for (file, names) in MACROS {
        for name in *names {
            structures += &define(&read(file)?, name).with_context(|| (*file).to_owned())?;
        }
    }
    for (file, starts) in STRUCTURES {
        for start in *starts {
            structures += &braced(&read(file)?, start).with_context(|| (*file).to_owned())?;
        }
    }
    for table in ["static const __le16 smb2_rsp_struct_sizes[", "static const bool has_smb2_data_area["] {
        functions += &braced(&read("smb2misc.c")?, table)?;
    }
    for (file, names) in FUNCTIONS {
        for name in *names {
            functions += &function(&read(file)?, name).with_context(|| (*file).to_owned())?;
        }
    }
    Ok(Parts { structures, functions })
}

/// Compiles the oracle in `root`.
fn compile(root: &Utf8Path) -> Result<()> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let here = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("c");
    let mut build = cc::Build::new();
    build.cargo_metadata(false).host(&host).target(&host).opt_level(2).out_dir(root);
    // The kernel is compiled so; and strict warnings are its own affair.
    build.flag("-fno-strict-aliasing").flag("-fwrapv").flag("-w").std("gnu11");
    for directory in [here.join("include"), root.to_owned(), root.join("fs/smb/client")] {
        build.include(directory);
    }
    let mut command = build.try_get_compiler()?.to_command();
    command.arg(here.join("oracle.c")).arg("-o").arg(root.join("oracle"));
    let output = command.output().context("running the C compiler")?;
    ensure!(output.status.success(), "the C compiler: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Starts the oracle.
#[expect(clippy::disallowed_methods, reason = "a test's own program; process.rs is the tool's door")]
fn run(program: std::path::PathBuf, times: Option<u32>) -> Result<Child> {
    let times = times.map(|times| times.to_string());
    let spawned = Command::new(program).args(times).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    spawned.context("starting the oracle")
}
