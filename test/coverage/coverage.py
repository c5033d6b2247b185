#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare what libc exports with what libvirtuos.so wraps.

usage: coverage.py LIBVIRTUOS CALLS_DEF LOCAL_LIST [LIBC]

Every function that libc exports and whose own code makes a system call of the call table must be
exported by the library too, or stand in the list of deliberately local ones with a reason. So must
every exported name that differs from a wrapped one only by its decoration (64, __, _chk), and every
system call that libc makes anywhere and that the table does not have: lines that begin with "=".
Exit status 0, or 1 with the names that are missing or listed in vain.
"""
import re
import subprocess
import sys


def run(*cmd):
	return subprocess.run(cmd, check=True, capture_output=True, text=True).stdout


def exports(lib):
	"""name -> (address, size, version)"""
	out = {}
	for line in run("nm", "-D", "-S", "--defined-only", lib).splitlines():
		f = line.split()
		if len(f) == 4 and f[2] in "TWi":
			name, _, version = f[3].partition("@")
			out[name] = (int(f[0], 16), int(f[1], 16), version.lstrip("@"))
	return out


def syscall_sites(lib):
	"""(address, number) of each system call instruction whose number is set right before it."""
	nr = None
	for line in run("objdump", "-d", "--no-show-raw-insn", lib).splitlines():
		m = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
		if not m:
			nr = None
			continue
		addr, op, args = int(m[1], 16), m[2], m[3]
		if op == "mov" and (n := re.match(r"\$0x([0-9a-f]+),%eax", args)):
			nr = int(n[1], 16)
		elif op == "xor" and args.startswith("%eax,%eax"):
			nr = 0
		elif op == "syscall":
			if nr is not None:
				yield addr, nr
			nr = None


def numbers():
	text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
			      check=True, capture_output=True, text=True).stdout
	return {int(m[2]): m[1] for m in re.finditer(r"#define __NR_(\w+) (\d+)", text)}


def table(path):
	text = open(path).read()
	return set(re.findall(r"^VOS_(?:FD|AT|SYS)\((\w+)\)", text, re.M))


def listed_names(path):
	"""The functions and the system calls that stay local, with the line that says why."""
	functions, syscalls = {}, {}
	for i, line in enumerate(open(path), 1):
		line = line.split("#")[0].rstrip()
		if not line:
			continue
		names, _, reason = line.partition("\t")
		if not reason.strip():
			sys.exit(f"{path}:{i}: {names} has no reason")
		for name in names.lstrip("=").split():
			(syscalls if line[0] == "=" else functions)[name] = i
	return functions, syscalls


def plain(name):
	name = re.sub(r"^_+", "", name)
	return re.sub(r"(64v2|64|_chk|_2)$", lambda m: "v2" if m[1] == "64v2" else "", name)


def main():
	lib, calls, local = sys.argv[1:4]
	libc = sys.argv[4] if len(sys.argv) > 4 else "/lib/x86_64-linux-gnu/libc.so.6"
	wrapped, theirs, nrs, calls = exports(lib), exports(libc), numbers(), table(calls)
	made = [(a, nrs[n]) for a, n in syscall_sites(libc) if n in nrs]
	sites = [(a, n) for a, n in made if n in calls]
	io = {name for name, (addr, size, _) in theirs.items()
	      if any(addr <= a < addr + size for a, _ in sites)}
	io |= {n for n in theirs if plain(n) in {plain(w) for w in wrapped} and n not in wrapped}
	listed, left = listed_names(local)
	unknown = sorted({n for _, n in made} - calls - set(left))
	for n in unknown:
		print(f"missing: system call {n} is neither in the table nor in {local}")
	for n in sorted(set(left) & calls):
		print(f"{local}:{left[n]}: system call {n} is listed as local, but in the table")
	missing = sorted(n for n in io if n not in wrapped and n not in listed)
	for n in missing:
		print(f"missing: {n} ({theirs[n][2]}) does I/O, is not wrapped and not in {local}")
	both = sorted(n for n in listed if n in wrapped)
	for n in both:
		print(f"listed as local but wrapped: {n}")
	print(f"{len(io)} functions of libc do I/O directly: {len(io & set(wrapped))} wrapped, "
	      f"{len(io - set(wrapped)) - len(missing)} local with a reason, {len(missing)} missing; "
	      f"{len({n for _, n in made} - calls)} system calls are not in the table")
	return 1 if missing or both or unknown or set(left) & calls or len(io) < 100 else 0


if __name__ == "__main__":
	sys.exit(main())
