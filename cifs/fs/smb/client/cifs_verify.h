/* SPDX-License-Identifier: GPL-2.0 */
/* The verifier, in Rust: see cifs_verify.rs. */
#ifndef CIFS_VERIFY_H
#define CIFS_VERIFY_H

#include <linux/types.h>

/* Why a reply must not be parsed. */
struct cifs_verdict {
	const char *rule;	/* the rule that it breaks, not terminated */
	u32 rule_len;
	u32 offset;		/* where in the reply */
};

static_assert(sizeof(struct cifs_verdict) == 16);

/* Whether the client may go on with a reply; when not, @verdict says why. */
bool cifs_verify(const void *message, size_t len, struct cifs_verdict *verdict);

#endif
