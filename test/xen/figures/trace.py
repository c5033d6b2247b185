#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trace.py FILE DOMAIN...: how many hypercalls of each kind these domains (by number) have made, as
a file of xentrace says: a line for each, "DOMAIN all N KIND N KIND N ...".

Records (xen/include/public/trace.h) say what, not who: a domain's processor is on that CPU for which
the scheduler's records have named it last.
"""
import collections
import struct
import sys

CPU_CHANGE, LOST = 0x1F003, 0x1F001
RUNSTATE, RUNSTATE_MASK, NEW_STATE, RUNNING = 0x21001, 0xFFFFFC0F, 0x30, 0
HYPERCALL = 0x20100D
KINDS = {1: "mmu_update", 3: "set_gdt", 5: "fpu_taskswitch", 12: "memory_op", 13: "multicall",
         14: "update_va_mapping", 20: "grant_table_op", 23: "iret", 24: "vcpu_op",
         25: "set_segment_base", 26: "mmuext_op", 29: "sched_op", 32: "event_channel_op",
         33: "physdev_op"}


def records(data):
    """What each record is: CPU, event, first word that it carries."""
    at, cpu = 0, 0
    while at + 4 <= len(data):
        header, = struct.unpack_from("<I", data, at)
        event, words, stamped = header & 0xFFFFFFF, header >> 28 & 7, header >> 31
        extra = at + (12 if stamped else 4)
        first = struct.unpack_from("<I", data, extra)[0] if words else 0
        if event == CPU_CHANGE:
            cpu = first
        else:
            yield cpu, event, first
        at = extra + 4 * words


def main():
    made = collections.defaultdict(collections.Counter)
    on = {}
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    for cpu, event, first in records(data):
        if event == LOST:
            sys.exit("xentrace has lost records")
        if event & RUNSTATE_MASK == RUNSTATE and event & NEW_STATE == RUNNING << 4:
            on[cpu] = first >> 16
        elif event == HYPERCALL and cpu in on:
            made[on[cpu]][first & 0xFFFFF] += 1
    for domain in map(int, sys.argv[2:]):
        kinds = made[domain]
        each = (f" {KINDS.get(k, k)} {n}" for k, n in kinds.most_common())
        print(f"{domain} all {sum(kinds.values())}{''.join(each)}")


main()
