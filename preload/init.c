/* SPDX-License-Identifier: MIT */
/*
 * Start. Until vos_init() is done every handler makes the plain system call, so that nothing can
 * recurse into us: not the dynamic linker, not an allocator that reads a file in its first malloc.
 * The constructor runs vos_init(); a constructor of another library that calls us first runs it
 * earlier.
 */
#define _GNU_SOURCE
#include "preload/patch.h"
#include "preload/process.h"
#include "preload/vos.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

void vos_dispatch_wanted(unsigned long *bitmap) HIDDEN;
void vos_process_init(void) HIDDEN;
void vos_resolver_init(void) HIDDEN;

void vos_say(const char *first, ...)
{
	char line[512] = "virtuos: ";
	size_t n = strlen(line);
	va_list ap;

	va_start(ap, first);
	for (const char *s = first; s; s = va_arg(ap, const char *)) {
		size_t k = strnlen(s, sizeof(line) - 2 - n);

		memcpy(line + n, s, k);
		n += k;
	}
	va_end(ap);
	line[n++] = '\n';
	vos_raw3(SYS_write, 2, (long)line, (long)n);
}

void vos_die(int status)
{
	for (;;)
		vos_raw1(SYS_exit_group, status);
}

/*
 * libc's environ is set by libc's own constructor, and a program's preinit functions run before it.
 * Then the kernel's copy does until libc puts the real one in place.
 */
static void early_environ(void)
{
	static char *strings[1024];
	static char text[64 << 10];
	long fd, n = 0, r = 0;
	size_t k = 0;

	if (environ)
		return;
	fd = vos_raw3(SYS_open, (long)"/proc/self/environ", O_RDONLY | O_CLOEXEC, 0);
	while (fd >= 0 && n < (long)sizeof(text) - 1 &&
	       (r = vos_raw3(SYS_read, fd, (long)text + n, (long)sizeof(text) - 1 - n)) > 0)
		n += r;
	if (fd >= 0)
		vos_raw1(SYS_close, fd);
	for (char *p = text; p < text + n && k < 1023; p += strlen(p) + 1)
		strings[k++] = p;
	environ = strings;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *decimal(char buf[16], int n)
{
	char *p = buf + 15;

	*p = 0;
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	return p;
}

static void config_error(const char *file, const struct vos_config_error *e, int error)
{
	char digits[16];

	if (e->line > 0)
		vos_say(file, ":", decimal(digits, e->line), ": ", e->text, NULL);
	else if (error == -ENOENT)
		vos_say(file, ": ", e->text, ": there is none", NULL);
	else if (error == -EACCES)
		vos_say(file, ": ", e->text, ": permission denied", NULL);
	else if (error != -EINVAL)
		vos_say(file, ": ", e->text, ": error ", decimal(digits, -error), NULL);
	else
		vos_say(file, ": ", e->text, NULL);
	vos_die(127);
}

/* The name of a program that lies in a domain: @exe is that of its copy (exec_remote.c). NULL: it does
 * not. */
static const char *copied_program(const char *started_as, char *exe)
{
	static const char fd[] = "/dev/fd/", memfd[] = "/memfd:", end[] = " (deleted)";
	size_t n = strlen(exe);

	if (strncmp(started_as, fd, sizeof(fd) - 1) || strncmp(exe, memfd, sizeof(memfd) - 1))
		return NULL;
	if (n >= sizeof(end) && !strcmp(exe + n - (sizeof(end) - 1), end))
		exe[n - (sizeof(end) - 1)] = 0;
	return exe + sizeof(memfd) - 1;
}

/* False: there is no configuration, everything is local. */
static bool load_config(bool secure)
{
	const char *file = secure ? NULL : getenv("VIRTUOS_CONFIG");
	const char *name = (const char *)getauxval(AT_EXECFN), *copied;
	struct vos_config_error err = { 0 };
	char exe[VOS_PATH_MAX];
	bool asked = file && *file;
	long n = vos_raw3(SYS_readlink, (long)"/proc/self/exe", (long)exe, sizeof(exe) - 1);
	int r;

	exe[n > 0 ? n : 0] = 0;
	if (!asked)
		file = VOS_CONFIG_DEFAULT;
	copied = name ? copied_program(name, exe) : NULL;
	if (copied)
		r = vos_config_load(&vos_config, file, copied, "", &err);
	else
		r = vos_config_load(&vos_config, file, name ? base_name(name) : "", exe, &err);
	if (r == -ENOENT && !asked && (secure || !getenv("VIRTUOS_REQUIRE")))
		return false;
	if (!r && !secure) {
		r = vos_config_env(&vos_config, &err);
		if (r)
			file = "environment";
	}
	if (r)
		config_error(file, &err, r);
	return true;
}

static bool anything_remote(void)
{
	for (int i = 0; i < VOS_NCLASSES; i++)
		if (vos_config.class_to[i] != VOS_TO_LOCAL)
			return true;
	return vos_files_remote;
}

static void patch_libc(void)
{
	unsigned long want[8] = { 0 };
	char digits[16];
	int r;

	if (vos_config.libc_patch == VOS_PATCH_OFF)
		return;
	vos_dispatch_wanted(want);
	r = vos_libc_patch_flags(want, VOS_PATCH_ASYNC);
	if (r > 0 || vos_config.libc_patch == VOS_PATCH_AUTO)
		return;
	vos_say("libc_patch = require, but libc cannot be patched: error ", decimal(digits, -r),
		NULL);
	vos_die(127);
}

static int hide_fd(int fd)
{
	return vos_fd_hide(fd);
}

static void close_fd(int fd)
{
	vos_fd_set(fd, 0);
	vos_raw1(SYS_close, fd);
}

bool vos_begin_remote(void)
{
	if (vos_fdtab.n)
		return true;
	if (vos_fdtab_init())
		return false;
	vos_chan_hide_fd = hide_fd;
	vos_chan_close_fd = close_fd;
	patch_libc();
	vos_resolver_init();
	return true;
}

/* Programs that define it are not served: svcd, which would call itself if it were. */
extern const char virtuos_not_here __attribute__((weak, visibility("default")));

void vos_init(void)
{
	bool served = !&virtuos_not_here, configured = false;

	if (vos_stage != VOS_STAGE_RAW)
		return;
	vos_stage = VOS_STAGE_STARTING;
	early_environ();
	for (int i = 0; i < VOS_NCLASSES; i++)
		vos_config.class_to[i] = VOS_TO_LOCAL;
	if (served)
		configured = load_config(getauxval(AT_SECURE));
	if (configured)
		vos_route_init();
	if (anything_remote() && !vos_begin_remote()) {
		vos_say("no memory for the descriptor table", NULL);
		vos_die(127);
	}
	vos_left_init();
	vos_process_init();
	if (vos_files_remote && vos_cwd == VOS_CWD_LOCAL) /* no inherited one */
		vos_cwd_look();
	/* Preloaded and forgotten: whoever believes that his calls are forwarded should know. */
	if (served && !configured && vos_env_unconfigured())
		vos_say("nothing is forwarded: VIRTUOS_CONFIG is not set, and there is no " VOS_CONFIG_DEFAULT,
			NULL);
	vos_stage = VOS_STAGE_READY;
}

__attribute__((constructor(101))) static void start(void)
{
	vos_init();
}
