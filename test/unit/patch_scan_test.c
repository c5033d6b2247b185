/* SPDX-License-Identifier: MIT */
/* The search for libc's system call sites, on made-up code: what is one, and what only looks so. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "preload/patch.h"
#include "test/unit/check.h"

#if defined(__x86_64__) && !defined(__ILP32__)

#include <sys/syscall.h>

#define AT	     300 /* where the code of a case is put */
#define ENABLE_ASYNC 100
#define CODE(s)	     s, sizeof(s) - 1
#define SYSCALL	     "\x0f\x05"
#define CMP	     "\x48\x3d\x00\xf0\xff\xff"

static const struct {
	const char *name, *code;
	size_t len;
	int kind, nr, at; /* at: from the start of the code on */
} cases[] = {
	{ "mov", CODE("\xb8\x01\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 1, 0 },
	{ "mov, cmp", CODE("\xb8\x01\x01\x00\x00" SYSCALL CMP), VOS_SITE_MOV, 257, 0 },
	{ "mov of a number like a jmp", CODE("\xb8\xeb\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 235,
	  0 },
	{ "not wanted", CODE("\xb8\x27\x00\x00\x00" SYSCALL CMP), 0, 0, 0 },
	{ "never: futex", CODE("\xb8\xca\x00\x00\x00" SYSCALL CMP), 0, 0, 0 },
	{ "no such number", CODE("\xb8\x00\x04\x00\x00" SYSCALL), 0, 0, 0 },
	{ "mov to r8d", CODE("\x41\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "mov to r8d, cmp", CODE("\x41\xb8\x01\x00\x00\x00" SYSCALL CMP), VOS_SITE_CMP, -1, 6 },
	{ "movl to -72(%rbp)", CODE("\xc7\x45\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "movl to -72(%rsp)", CODE("\xc7\x44\x24\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "xor, cmp", CODE("\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, 0, 2 },
	{ "cmp, unknown", CODE("\x48\x89\xfe" SYSCALL CMP), VOS_SITE_CMP, -1, 3 },
	{ "cmp, xor of r8d", CODE("\x45\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, -1, 3 },
	{ "cmp, mov before", CODE("\xb8\x01\x00\x00\x00\x48\x89\xfe" SYSCALL CMP), VOS_SITE_CMP, 1,
	  8 },
	{ "cmp, behind ret", CODE("\xb8\x27\x00\x00\x00\xc3\x90" SYSCALL CMP), VOS_SITE_CMP, -1,
	  7 },
	{ "cmp, futex by r8d", CODE("\x41\xb8\xca\x00\x00\x00\x44\x89\xc0" SYSCALL CMP), 0, 0, 0 },
	{ "cmp, read by ebp", CODE("\xbd\x00\x00\x00\x00\x89\xe8" SYSCALL CMP), VOS_SITE_CMP, 0,
	  7 },
	{ "another cmp", CODE("\x48\x89\xfe" SYSCALL "\x48\x3d\x01\xf0\xff\xff"), 0, 0, 0 },
	{ "stack", CODE("\x48\x8b\x44\x24\x10" SYSCALL "\x5b\xc3"), VOS_SITE_STACK, -1, 0 },
	{ "cancel_arch alone", CODE("\x4c\x89\x5c\x24\x08" SYSCALL "\xc3"), 0, 0, 0 },
	/* branches: to the first byte, to syscall behind a mov, and into what is replaced */
	{ "jmp to mov", CODE("\xeb\x00\xb8\x01\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 1, 2 },
	{ "jmp to syscall", CODE("\xeb\x05\xb8\x01\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 1, 2 },
	{ "jmp into mov", CODE("\xeb\x01\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "jcc back into mov", CODE("\xb8\x01\x00\x00\x00" SYSCALL "\x75\xfb"), 0, 0, 0 },
	{ "loop into mov", CODE("\xe2\x04\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "call into mov", CODE("\xe8\x01\x00\x00\x00\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "near jcc into mov", CODE("\x0f\x84\x02\x00\x00\x00\xb8\x01\x00\x00\x00" SYSCALL), 0, 0,
	  0 },
	{ "jmp to syscall, cmp", CODE("\xeb\x02\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, 0, 4 },
	{ "jmp to cmp", CODE("\xeb\x04\x31\xc0" SYSCALL CMP), 0, 0, 0 },
	{ "jcc back to cmp", CODE("\x31\xc0" SYSCALL CMP "\x74\xf8"), 0, 0, 0 },
	{ "jmp behind cmp", CODE("\xeb\x0a\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, 0, 4 },
	/* call of enable_asynccancel() at ENABLE_ASYNC */
	{ "async", CODE("\xe8\x33\xff\xff\xff\x41\x89\xc0\xb8\x01\x00\x00\x00" SYSCALL CMP),
	  VOS_SITE_MOV | 0x100, 1, 8 },
	{ "async, cmp", CODE("\xe8\x33\xff\xff\xff\x41\x89\xc0\x31\xc0" SYSCALL CMP),
	  VOS_SITE_CMP | 0x100, 0, 10 },
	{ "call of another", CODE("\xe8\x34\xff\xff\xff\xb8\x01\x00\x00\x00" SYSCALL CMP),
	  VOS_SITE_MOV, 1, 5 },
};

/* As glibc 2.36 and 2.31 have it; the second as a build for CET starts. */
static const char enable_async[] = "\x64\x48\x8b\x0c\x25\x10\x00\x00\x00\x8b\x91\x08\x03\x00\x00"
				   "\x48\x8d\xb9\x08\x03\x00\x00\x89\xd6\x83\xce\x02\x39\xd6\x74"
				   "\x21\x89\xd0\xf0\x0f\xb1\x37\xc3";
static const char enable_async_old[] = "\xf3\x0f\x1e\xfa\x64\x8b\x04\x25\x08\x03\x00\x00\x41\x89"
				       "\xc3\x41\x83\xcb\x02\x41\x39\xc3\x74\x17\xf0\x64\x44\x0f"
				       "\xb1\x1c\x25\x08\x03\x00\x00\xc3";

static uint8_t code[1024];
static struct vos_site site[VOS_PATCH_NRS];

static int scan(const unsigned long *want, unsigned int flags, struct vos_text *text, int max)
{
	text->start = code;
	text->end = code + sizeof(code);
	return vos_patch_scan(text, want, flags, site, max);
}

static void check_case(size_t i, const unsigned long *want, const char *enable, size_t len)
{
	struct vos_text text;
	bool async = cases[i].kind & 0x100;
	int n;

	memset(code, 0x90, sizeof(code));
	memcpy(code + ENABLE_ASYNC, enable, len);
	memcpy(code + AT, cases[i].code, cases[i].len);
	n = scan(want, 0, &text, 8);
	if (async) {
		CHECK(n == 0);
		n = scan(want, VOS_PATCH_ASYNC, &text, 8);
	}
	if (n == (cases[i].kind != 0) &&
	    (n == 0 || (site[0].kind == (cases[i].kind & 0xff) && site[0].nr == cases[i].nr &&
			site[0].async == async && site[0].at == code + AT + cases[i].at)))
		return;
	fprintf(stderr, "%s: %d sites, the first: kind %d, number %d, at %td\n", cases[i].name, n,
		site[0].kind, site[0].nr, site[0].at - (code + AT));
	failures++;
}

/* glibc 2.41's two functions; the call is in front of the VOS_SITE_STACK, and must be patched. */
static void check_cancel_arch(const unsigned long *want)
{
	static const char arch[] = "\x8b\x07\xf6\x07\x08\x0f\x85\xd5\x4b\xff\xff\x49\x89\xfb\x48"
				   "\x89\xf0\x4c\x8b\x4c\x24\x10\x4c\x89\x5c\x24\x08\x0f\x05\xc3";
	static const char caller[] = "\xe8\xc3\x00\x00\x00\x59\x5e\xc3\x48\x8b\x44\x24\x20\x0f\x05";
	struct vos_text text;

	memset(code, 0x90, sizeof(code));
	memcpy(code + AT, caller, sizeof(caller) - 1);
	memcpy(code + AT + 200, arch, sizeof(arch) - 1);
	CHECK(scan(want, 0, &text, 8) == 2);
	CHECK(site[0].kind == VOS_SITE_STACK && site[0].at == code + AT + 8);
	CHECK(site[1].kind == VOS_SITE_CALL && site[1].at == code + AT);
	CHECK(text.cancel_arch == code + AT + 200 && text.canceled_mask == 8);
	CHECK(scan(want, 0, &text, 1) == -ENOSPC);

	code[AT]++; /* nobody calls it */
	CHECK(scan(want, 0, &text, 8) == 1 && !text.cancel_arch);
}

int main(void)
{
	unsigned long want[VOS_PATCH_WORDS] = { 0 };
	const int wanted[] = { SYS_read, SYS_write, SYS_openat, SYS_utimes, SYS_futex };

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		want[wanted[i] / 64] |= 1UL << wanted[i] % 64;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check_case(i, want, enable_async, sizeof(enable_async) - 1);
		check_case(i, want, enable_async_old, sizeof(enable_async_old) - 1);
	}
	check_cancel_arch(want);
	return failures != 0;
}

#else

int main(void)
{
	puts("skip: patching is for x86-64 glibc");
	return 77;
}

#endif
