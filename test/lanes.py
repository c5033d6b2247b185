#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a program has under way: the entries in use of each of its channels, from outside, as
ring/abi.h lays them out. Usage: lanes.py PID"""
import os, re, struct, sys

LINE, PAGE, SLOTS, LANES_MAX, READY_SLOTS = 64, 4096, 8, 1024, 2048
MAGIC = 0x736F7476
STATES = {2: "POSTED", 4: "DONE", 8: "WAIT_FUTEX", 16: "WAIT_FD"}


def up(n):
    return (n + PAGE - 1) & ~(PAGE - 1)


def ops():
    top = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    with open(os.path.join(top, "ring", "calls.def")) as f:
        return re.findall(r"^VOS_OP\((\w+)", f.read(), re.M)


def show(mem, start, names):
    magic, version, lanes, pool = mem(start, 16)
    if magic != MAGIC:
        return
    program = up(LINE + 2 * LANES_MAX) + up(lanes * 2048) + pool
    service = start + program
    guard, cpu = mem(service, 4)[0], mem(service + LINE, 4)[0]
    print(f"channel at {start:#x}: guard {guard:#x}, engine on CPU {cpu}")
    first = service + up(2 * LINE + 4 * READY_SLOTS)
    for n in range(lanes):
        for s in range(SLOTS):
            e = mem(first + (n * SLOTS + s) * LINE, LINE)
            state = e[0]
            if not state & 6:
                continue
            op = e[1] & 0xFFFF
            bits = "|".join(name for bit, name in STATES.items() if state & bit)
            args = struct.unpack("<q6Q", struct.pack("<14I", *e[2:]))
            print(f"  lane {n} slot {s}: {bits}, number {state >> 8},",
                  names[op] if op < len(names) else op,
                  *(hex(a) for a in args[1:]), "result", args[0])
        kick = mem(start + LINE + 2 * (n & ~1), 4)[0] >> 16 * (n & 1) & 0xFFFF
        if kick:
            print(f"  lane {n}: kicked {kick} times")


def main(pid):
    names = ops()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
        def mem(at, n):
            return struct.unpack(f"<{n // 4}I", os.pread(f.fileno(), n, at))
        with open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                # The program's mapping is one; the service's are two, of which one is the memory.
                m = re.match(r"([0-9a-f]+)-\S+ \S+ 0+ .*/memfd:virtuos ", line)
                if m:
                    show(mem, int(m[1], 16), names)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except OSError as e:
        sys.exit(f"{sys.argv[1]}: {e.strerror}")
