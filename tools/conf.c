/* SPDX-License-Identifier: MIT */
/* Finding and loading the configuration for the subcommands. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "ring/raw.h"
#include "tools/virtuos.h"

int conf_inside(char file[PATH_MAX])
{
	const char *env = getenv("VIRTUOS_CONFIG");

	snprintf(file, PATH_MAX, "%s", env ? env : "");
	return 0;
}

int conf_find(const char *option, char file[PATH_MAX])
{
	const char *env = getenv("VIRTUOS_CONFIG");
	const char *name = option ? option : env && *env ? env : VOS_CONFIG_DEFAULT;

	/* Absolute, because the program may change its directory and start others. */
	if (realpath(name, file))
		return 0;
	say("%s: %s", name, strerror(errno));
	return -1;
}

static void say_error(const char *file, int ret, const struct vos_config_error *err)
{
	if (err->line)
		fprintf(stderr, "%s:%d: %s\n", file, err->line, err->text);
	else if (ret != -EINVAL)
		fprintf(stderr, "%s: %s: %s\n", file, err->text, strerror(-ret));
	else
		fprintf(stderr, "%s: %s\n", file, err->text);
}

int conf_load(struct vos_config *cfg, const char *file, const char *base, const char *path,
	      bool env)
{
	struct vos_config_error err;
	int ret = vos_config_load(cfg, file, base, path, &err);

	if (ret) {
		say_error(file, ret, &err);
		return -1;
	}
	if (env && vos_config_env(cfg, &err)) {
		say("%s", err.text);
		return -1;
	}
	return 0;
}

int conf_all(struct vos_config *cfg, const char *file, vos_config_use *use, void *arg)
{
	struct vos_config_error err;
	int ret = vos_config_all(cfg, file, use, arg, &err);

	if (ret)
		say_error(file, ret, &err);
	return ret ? -1 : 0;
}

void conf_section(const char *file, int line, char *section, size_t size)
{
	CLEANUP(free) char *text = NULL;
	/* Here, whatever prefix it may lie below. */
	int fd = (int)vos_raw4(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
	CLEANUP(fclose) FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	size_t room = 0;

	*section = '\0';
	for (int n = 1; f && n <= line && getline(&text, &room, f) >= 0; n++) {
		const char *start = text + strspn(text, " \t"), *end;
		char *comment = strstr(text, " ;");

		if (comment)
			*comment = '\0';
		end = strrchr(start, ']');
		if (n == 1 && !strncmp(start, "\xef\xbb\xbf", 3))
			start += 3;
		if (*start == '[' && end)
			snprintf(section, size, "%.*s", (int)(end - start + 1), start);
	}
}
