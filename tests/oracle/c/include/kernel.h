/* SPDX-License-Identifier: GPL-2.0 */
/* As much of the kernel as the SMB client's parsing functions want to see, for a program. */
#ifndef KERNEL_H
#define KERNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/types.h>

typedef uint8_t u8, __u8;
typedef uint16_t u16, __u16, __le16, __be16;
typedef uint32_t u32, __u32, __le32, __be32;
typedef uint64_t u64, __u64, __le64;
typedef int32_t __s32;
typedef unsigned short umode_t;
typedef struct { u8 b[16]; } guid_t;
typedef u16 kernel_wchar;

/* This runs on the processor that the test runs on, and that is little-endian. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian only");
#define le16_to_cpu(x) (x)
#define le32_to_cpu(x) (x)
#define le64_to_cpu(x) (x)
#define cpu_to_le16(x) (x)
#define cpu_to_le32(x) (x)
#define cpu_to_le64(x) (x)
#define cpu_to_be16(x) __builtin_bswap16(x)

#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __counted_by_le(m)
#define __counted_by(m)
#define __nonstring
#define fallthrough __attribute__((fallthrough))
#define unlikely(x) __builtin_expect(!!(x), 0)
#define likely(x) __builtin_expect(!!(x), 1)
#define static_assert _Static_assert
#define BIT(n) (1UL << (n))
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define IS_ENABLED(x) 0
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define min_t(t, a, b) ((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d) __builtin_sub_overflow(a, b, d)
#define struct_group(name, members...) union { struct { members }; struct { members } name; }
#define struct_group_attr(name, attr, members...) \
	union { struct { members } attr; struct { members } attr name; }
#define struct_group_tagged(tag, name, members...) \
	union { struct { members }; struct tag { members } name; }
#define DECLARE_FLEX_ARRAY(t, n) struct { struct {} __empty_##n; t n[]; }
#define container_of(p, t, m) ((t *)((char *)(p) - offsetof(t, m)))
#define get_unaligned_le32(p) (*(const u32 __attribute__((aligned(1))) *)(p))
#define ERR_PTR(e) ((void *)(long)(e))
#define PTR_ERR(p) ((long)(p))
#define IS_ERR(p) ((unsigned long)(p) >= (unsigned long)-4095)
#define WARN_ON(x) (x)

#define pr_warn(...) do {} while (0)
#define pr_warn_once(...) do {} while (0)
#define cifs_dbg(...) do {} while (0)
#define cifs_server_dbg(...) do {} while (0)
#define cifs_dump_mem(...) do {} while (0)
#define smb_EIO(t) (-EIO)
#define smb_EIO1(t, a) (-EIO)
#define smb_EIO2(t, a, b) (-EIO)

#define GFP_KERNEL 0
#define kmalloc(n, f) malloc(n)
#define kzalloc(n, f) calloc(1, n)
#define kmemdup(p, n, f) kernel_memdup(p, n)
#define kmalloc_obj(o) malloc(sizeof(o))
#define kzalloc_objs(t, n) calloc(n, sizeof(t))
#define kfree free
#define kfree_sensitive free
static inline void *kernel_memdup(const void *from, size_t n)
{
	void *to = malloc(n ? n : 1);

	return to ? memcpy(to, from, n) : NULL;
}

struct kvec {
	void *iov_base;
	size_t iov_len;
};

/* Lists and counts; nobody else looks, so locks do nothing. */
typedef struct {} spinlock_t;
#define spin_lock(l) do {} while (0)
#define spin_unlock(l) do {} while (0)
struct list_head { struct list_head *next, *prev; };
struct kref { int n; };
#define kref_init(k) ((k)->n = 1)
#define kref_get(k) ((k)->n++)
#define kref_put(k, release) do { if (!--(k)->n) release(k); } while (0)
#define list_entry(p, t, m) container_of(p, t, m)
#define list_for_each_entry(e, h, m) \
	for (e = list_entry((h)->next, __typeof__(*e), m); &e->m != (h); \
	     e = list_entry(e->m.next, __typeof__(*e), m))
#define list_for_each_entry_safe(e, n, h, m) \
	for (e = list_entry((h)->next, __typeof__(*e), m), \
	     n = list_entry(e->m.next, __typeof__(*e), m); \
	     &e->m != (h); e = n, n = list_entry(n->m.next, __typeof__(*n), m))
#define list_entry_is_head(e, h, m) (&e->m == (h))
static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
	new->prev = head->prev;
	new->next = head;
	head->prev->next = new;
	head->prev = new;
}
static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
}

#endif
