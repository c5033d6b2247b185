/* SPDX-License-Identifier: MIT */
/*
 * Will the dynamic loader preload a library into this ELF image, and will that library see the
 * image's system calls? Every offset comes from the file and is checked before it is used.
 */
#include <elf.h>
#include <string.h>

#include "tools/virtuos.h"

#define LOADER "ld-linux-x86-64.so.2"

struct elf {
	const unsigned char *data;
	size_t size;
	Elf64_Ehdr eh;
};

/* @len bytes at @off, or NULL when they are not all in the file. */
static const void *at(const struct elf *elf, uint64_t off, uint64_t len)
{
	if (off > elf->size || len > elf->size - off)
		return NULL;
	return elf->data + off;
}

/* A string that ends inside the file and before @end bytes, or NULL. */
static const char *string_at(const struct elf *elf, uint64_t off, uint64_t end)
{
	uint64_t max = end < elf->size ? end : elf->size;

	if (off >= max || !memchr(elf->data + off, 0, max - off))
		return NULL;
	return (const char *)elf->data + off;
}

static bool program_header(const struct elf *elf, int i, Elf64_Phdr *ph)
{
	const void *p = at(elf, elf->eh.e_phoff + (uint64_t)i * sizeof(*ph), sizeof(*ph));

	if (p)
		memcpy(ph, p, sizeof(*ph));
	return p;
}

static bool section_header(const struct elf *elf, int i, Elf64_Shdr *sh)
{
	const void *p = at(elf, elf->eh.e_shoff + (uint64_t)i * sizeof(*sh), sizeof(*sh));

	if (p)
		memcpy(sh, p, sizeof(*sh));
	return p;
}

static bool find_segment(const struct elf *elf, uint32_t type, Elf64_Phdr *ph)
{
	for (int i = 0; i < elf->eh.e_phnum && program_header(elf, i, ph); i++)
		if (ph->p_type == type)
			return true;
	return false;
}

/* The Go toolchain's mark: a note of its own, or the section that holds the build's description. */
static bool is_go(const struct elf *elf)
{
	Elf64_Shdr names, sh;
	Elf64_Phdr ph;

	for (int i = 0; i < elf->eh.e_phnum && program_header(elf, i, &ph); i++) {
		const void *note = at(elf, ph.p_offset, 16);

		if (ph.p_type == PT_NOTE && note && !memcmp((const char *)note + 12, "Go\0", 4))
			return true;
	}
	if (!section_header(elf, elf->eh.e_shstrndx, &names))
		return false;
	for (int i = 0; i < elf->eh.e_shnum && section_header(elf, i, &sh); i++) {
		const char *name = string_at(elf, names.sh_offset + sh.sh_name,
					     names.sh_offset + names.sh_size);

		if (name && (!strcmp(name, ".go.buildinfo") || !strcmp(name, ".note.go.buildid")))
			return true;
	}
	return false;
}

/* Where the file has what is loaded at @addr; past its end when nowhere. */
static uint64_t offset_of(const struct elf *elf, uint64_t addr)
{
	Elf64_Phdr ph;

	for (int i = 0; i < elf->eh.e_phnum && program_header(elf, i, &ph); i++)
		if (ph.p_type == PT_LOAD && addr >= ph.p_vaddr && addr - ph.p_vaddr < ph.p_filesz)
			return ph.p_offset + (addr - ph.p_vaddr);
	return elf->size;
}

/*
 * Sanitizer runtimes stop a program in which another library comes before them. A program that
 * has its runtime linked in statically does not name one.
 */
static void find_sanitizer(struct target *t, const struct elf *elf)
{
	static const char *const runtimes[] = { "libasan.so", "libtsan.so", "liblsan.so",
						"libhwasan.so" };
	uint64_t strings = elf->size;
	Elf64_Phdr ph;
	Elf64_Dyn dyn;

	if (!find_segment(elf, PT_DYNAMIC, &ph))
		return;
	for (int names = 0; names < 2; names++) {
		for (uint64_t off = 0; off + sizeof(dyn) <= ph.p_filesz; off += sizeof(dyn)) {
			const void *p = at(elf, ph.p_offset + off, sizeof(dyn));
			const char *name;

			if (!p)
				return;
			memcpy(&dyn, p, sizeof(dyn));
			if (dyn.d_tag == DT_NULL)
				break;
			if (dyn.d_tag == DT_STRTAB && !names)
				strings = offset_of(elf, dyn.d_un.d_ptr);
			if (dyn.d_tag != DT_NEEDED || !names)
				continue;
			name = string_at(elf, strings + dyn.d_un.d_val, elf->size);
			for (size_t i = 0; name && i < sizeof(runtimes) / sizeof(runtimes[0]); i++)
				if (!strncmp(name, runtimes[i], strlen(runtimes[i])) &&
				    strlen(name) < sizeof(t->sanitizer))
					strcpy(t->sanitizer, name);
		}
	}
}

static void judge_interpreter(struct target *t, const struct elf *elf)
{
	const char *self = strrchr(t->image, '/');
	const char *interp, *base;
	Elf64_Phdr ph;

	if (!find_segment(elf, PT_INTERP, &ph)) {
		t->preloadable = self && !strcmp(self + 1, LOADER);
		snprintf(t->why, sizeof(t->why), "%s",
			 t->preloadable
				 ? "is the dynamic loader, given what to load"
				 : "statically linked: no loader that could preload a library");
		return;
	}
	interp = string_at(elf, ph.p_offset, ph.p_offset + ph.p_filesz);
	if (!interp) {
		snprintf(t->why, sizeof(t->why), "damaged ELF file: no name of a loader");
		return;
	}
	base = strrchr(interp, '/') ? strrchr(interp, '/') + 1 : interp;
	if (!strncmp(base, "ld-musl", 7)) {
		snprintf(t->why, sizeof(t->why), "linked with musl (%.100s): glibc is needed",
			 interp);
	} else if (strcmp(base, LOADER)) {
		snprintf(t->why, sizeof(t->why), "unknown loader %.100s: glibc's is needed",
			 interp);
	} else {
		t->preloadable = true;
		snprintf(t->why, sizeof(t->why), "dynamically linked with glibc (%.100s)", interp);
	}
}

void target_examine_elf(struct target *t, const unsigned char *data, size_t size)
{
	struct elf elf = { .data = data, .size = size };
	const void *eh = at(&elf, 0, sizeof(elf.eh));

	if (eh)
		memcpy(&elf.eh, eh, sizeof(elf.eh));
	if (!eh || elf.eh.e_ident[EI_CLASS] != ELFCLASS64 || elf.eh.e_machine != EM_X86_64) {
		snprintf(t->why, sizeof(t->why), "not a 64-bit x86-64 program");
		return;
	}
	if (elf.eh.e_phentsize != sizeof(Elf64_Phdr)) {
		snprintf(t->why, sizeof(t->why), "damaged ELF file: bad program headers");
		return;
	}
	if (is_go(&elf)) {
		snprintf(t->why, sizeof(t->why),
			 "built by Go, which makes its system calls itself, not through libc");
		return;
	}
	judge_interpreter(t, &elf);
	if (t->preloadable)
		find_sanitizer(t, &elf);
}
