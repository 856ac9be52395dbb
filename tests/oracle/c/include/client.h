/* SPDX-License-Identifier: GPL-2.0 */
/* As much of the SMB client's own state as its parsing functions want to see. */
#ifndef CLIENT_H
#define CLIENT_H

struct TCP_Server_Info;

struct smb_ops {
	u8 (*parse_lease_buf)(void *buf, u16 *epoch, char *key);
};

struct TCP_Server_Info {
	struct TCP_Server_Info *primary_server;
	struct list_head smb_ses_list;
	const struct smb_ops *ops;
	spinlock_t srv_lock;
	struct sockaddr_storage dstaddr;
	const char *hostname;
	bool sign, posix_ext_supported, signing_negotiated;
	u16 cipher_type, signing_algorithm;
	u32 capabilities;
	struct { bool enabled, chained, pattern; u16 alg; } compression;
};

struct client_challenge {
	u32 client_flags, server_flags;
	u8 cryptkey[8];
};

struct cifs_ses {
	struct list_head smb_ses_list, iface_list;
	u64 Suid;
	spinlock_t iface_lock;
	size_t chan_max, iface_count;
	struct TCP_Server_Info *server;
	struct client_challenge *ntlmssp;
	struct { unsigned int len; char *response; } auth_key;
};

struct client_context { const char *symlinkroot; };
struct cifs_sb_info { const struct nls_table *local_nls; struct client_context *ctx; };
struct nls_table { int unused; };

static spinlock_t cifs_tcp_ses_lock;
static bool cifsFYI, require_gcm_256;
/* The most that a mount can be told to receive. */
static const unsigned int CIFSMaxBufSize = 1024 * 127;

#define SERVER_IS_CHAN(s) ((s)->primary_server != NULL)
#define CIFS_PORT 445
#define CIFS_CRYPTO_KEY_SIZE 8
#define CIFS_SID_BASE_SIZE (1 + 1 + 6)
#define CIFS_MOUNT_POSIX_PATHS 1
#define cifs_sb_flags(s) 0
#define CIFS_DIR_SEP(s) '/'
#define convert_delimiter(p, c) do {} while (0)
#define strstarts(s, p) (!strncmp(s, p, strlen(p)))
#define PATH_MAX 4096
#define UTF16_LITTLE_ENDIAN 0
#define utf8s_to_utf16s(s, n, e, o, m) (0)
#define cifs_ipaddr_cmp(a, b) memcmp(a, b, sizeof(struct sockaddr_storage))
#define cifsConvertToUTF16(t, s, m, c, r) do {} while (0)
#define cifs_utf16_bytes(s, n, c) (n)
#define free_dfs_info_array(a, n) free(a)
/* The kernel's is 16 bits wide. */
#define wchar_t kernel_wchar

/* How many characters before the first NUL, at most `most`. */
static size_t UniStrnlen(const u16 *text, int most)
{
	int n = 0;

	while (n < most && (((const u8 *)text)[2 * n] || ((const u8 *)text)[2 * n + 1]))
		n++;
	return n;
}

/*
 * Text is not converted here. With none given, the client takes it for lack of memory, and stops
 * with just that error: what it checks before has then passed.
 */
static char *given_text;
#define cifs_strndup_from_utf16(s, n, u, c) (given_text)

#endif
