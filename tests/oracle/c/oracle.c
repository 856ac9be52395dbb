// SPDX-License-Identifier: GPL-2.0
/*
 * Reads questions from its input and writes one int for each: what the client's function answered.
 * A question is a byte (which function), an argument and a length of 32 bits, and so many bytes.
 * With a number for an argument, it answers each question so many times and writes how many
 * nanoseconds that took, in 64 bits, instead.
 *
 * structures.h and functions.c are taken out of the kernel's source before this is compiled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "kernel.h"
#include "../common/smb2status.h"
#include "../common/smb2pdu.h"
#include "../common/smbfsctl.h"
#include "../common/fscc.h"
#include "smb2pdu.h"
#include "client.h"
#include "structures.h"
static unsigned int __smb2_calc_size(void *, bool *, bool *);
#include "functions.c"

/* Longer than any question, and than what a function may look at past the end of one. */
static u8 buffer[1 << 20];

static struct kvec received(u32 len)
{
	return (struct kvec){ .iov_base = buffer, .iov_len = len };
}

/* An accepted text is one that the client would go on to convert. */
static int unless_text(int rc)
{
	return rc == -ENOMEM ? 0 : rc;
}

static int parse_contexts(u32 len)
{
	static const struct smb_ops ops = { smb3_parse_lease_buf };
	struct TCP_Server_Info server = { .ops = &ops };
	struct kvec iov = received(len);
	struct smb2_file_all_info info;
	struct create_posix_rsp posix;
	char key[16];
	u16 epoch;
	u8 oplock;

	return smb2_parse_contexts(&server, &iov, &epoch, key, &oplock, &info, &posix);
}

static int parse_symlink(u32 len, u32 followed)
{
	struct client_context context = {};
	struct cifs_sb_info sb = { .ctx = &context };
	struct kvec iov = received(len);
	char *path;
	int rc = smb2_parse_symlink_response(&sb, &iov, "", &path);

	/* The target is what gives EIO; everything before gives EINVAL. */
	if (rc == -EIO && !followed)
		return 0;
	return unless_text(rc);
}

static int decode_challenge(u32 len)
{
	struct TCP_Server_Info server = {};
	struct client_challenge challenge = {};
	struct cifs_ses ses = { .server = &server, .ntlmssp = &challenge };
	int rc = decode_ntlmssp_challenge((char *)buffer, len, &ses);

	free(ses.auth_key.response);
	return rc;
}

static int security(u32 len, u32 rewritten)
{
	struct smb_ntsd *sd = (struct smb_ntsd *)buffer;
	struct smb_sid *sid;

	/* In the order of parse_sec_desc and build_sec_desc. */
	if (len < sizeof(*sd) || sid_from_sd(sd, len, sd->osidoffset, &sid) ||
	    sid_from_sd(sd, len, sd->gsidoffset, &sid))
		return -EINVAL;
	if (!sd->dacloffset)
		return 0;
	if (!dacl_offset_valid(len, sd->dacloffset))
		return -EINVAL;
	if (!rewritten)
		return 0;
	return validate_dacl((void *)(buffer + sd->dacloffset), (char *)buffer + len);
}

static int count_entries(u32 len, u32 class)
{
	static const int level[] = {
		SMB_FIND_FILE_DIRECTORY_INFO, SMB_FIND_FILE_FULL_DIRECTORY_INFO,
		SMB_FIND_FILE_ID_FULL_DIR_INFO, SMB_FIND_FILE_POSIX_INFO,
	};
	static const size_t size[] = {
		sizeof(FILE_DIRECTORY_INFO), sizeof(FILE_FULL_DIRECTORY_INFO),
		sizeof(FILE_ID_FULL_DIR_INFO), sizeof(struct smb2_posix_info),
	};
	char *last;

	return num_entries(level[class & 3], (char *)buffer, (char *)buffer + len, &last,
			   size[class & 3]);
}

static int parse_interfaces(u32 len)
{
	struct TCP_Server_Info server = { .dstaddr.ss_family = AF_INET };
	struct cifs_ses ses = { .server = &server };
	struct cifs_server_iface *iface, *next;
	int rc;

	ses.iface_list.next = ses.iface_list.prev = &ses.iface_list;
	rc = parse_server_interfaces((void *)buffer, len, &ses, false);
	list_for_each_entry_safe(iface, next, &ses.iface_list, iface_head)
		free(iface);
	return rc;
}

static int parse_referrals(u32 len, u32 path_len)
{
	static char path[1 << 16];
	char text[] = "text";
	struct dfs_info3_param *nodes = NULL;
	unsigned int count;
	int rc;

	memset(path, 'x', path_len & 0xff);
	path[path_len & 0xff] = 0;
	given_text = text;
	rc = parse_dfs_referrals((void *)buffer, len, &count, &nodes, NULL, 0, path, true);
	given_text = NULL;
	if (!rc)
		free(nodes);
	return rc;
}

static int reparse(u32 len, bool whole)
{
	struct client_context context = {};
	struct cifs_sb_info sb = { .ctx = &context };
	struct cifs_open_info_data data = {};
	struct kvec iov = received(len);
	struct reparse_data_buffer *point = reparse_buf_ptr(&iov);
	u32 count = ((struct smb2_ioctl_rsp *)buffer)->OutputCount;

	if (IS_ERR(point))
		return PTR_ERR(point);
	return whole ? unless_text(parse_reparse_point(point, count, &sb, "", &data)) : 0;
}

static int validate_output(u32 len, u32 least)
{
	struct smb2_query_info_rsp *rsp = (void *)buffer;
	struct kvec iov = received(len);

	return smb2_validate_iov(rsp->OutputBufferOffset, rsp->OutputBufferLength, &iov, least);
}

static int parse_sids(u32 len)
{
	struct cifs_open_info_data data = {};
	struct kvec iov = received(len);

	return parse_posix_sids(&data, &iov);
}

static int answer(u8 function, u32 argument, u32 len)
{
	struct TCP_Server_Info server = {};
	struct kvec iov = received(len);

	server.smb_ses_list.next = server.smb_ses_list.prev = &server.smb_ses_list;
	switch (function) {
	case 0:
		return smb2_check_message((char *)buffer, len, len, &server);
	case 1:
		return parse_contexts(len);
	case 2:
		return parse_symlink(len, argument);
	case 3:
		return smb311_decode_neg_context((void *)buffer, &server, len);
	case 4:
		return decode_challenge(len);
	case 5:
		return validate_output(len, argument);
	case 6:
		/* Any result but an error is a length. */
		return move_smb2_ea_to_cifs(NULL, 0, (void *)buffer, len, argument ? "two" : NULL);
	case 7:
		return check_wsl_eas(&iov);
	case 8:
		return parse_sids(len);
	case 9:
		return security(len, argument);
	case 10:
		return count_entries(len, argument);
	case 11:
		return parse_interfaces(len);
	case 12:
		return parse_referrals(len, argument);
	case 13:
		return reparse(len, false);
	case 14:
		return reparse(len, true);
	}
	abort();
}

static u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/*
 * How long so many answers take. What a function mends in what it was given it mends the first
 * time.
 */
static u64 timed(int function, u32 argument, u32 len, unsigned long times)
{
	u64 start = now();

	while (times--)
		answer(function, argument, len);
	return now() - start;
}

int main(int argc, char **argv)
{
	unsigned long times = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	static u32 used;
	u32 argument, len;
	int function, rc;

	while ((function = getchar()) != EOF) {
		if (fread(&argument, 4, 1, stdin) != 1 || fread(&len, 4, 1, stdin) != 1 ||
		    len > sizeof(buffer) / 2 || fread(buffer, 1, len, stdin) != len)
			return 1;
		/* What was not received is 0, whatever was received before. */
		if (used > len)
			memset(buffer + len, 0, used - len);
		used = len;
		if (times) {
			u64 took = timed(function, argument, len, times);

			fwrite(&took, 8, 1, stdout);
			continue;
		}
		rc = answer(function, argument, len);
		/* Some functions mend what they were given. */
		if (used < 128)
			used = 128;
		fwrite(&rc, 4, 1, stdout);
	}
	return 0;
}
