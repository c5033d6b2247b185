#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In the application domain: the same program, labworker, with its files and sockets forwarded, and
with those of netfront and blkfront. Batches of both alternate, so that what the machine does
otherwise meets both; what counts is the median over the rounds of the ratios within each round.

  compare.py [--rounds N] [--ms N] [--least RATIO] [--only REGEX] OURS-DIR USUAL-DIR PEER

The program that forwards gets the environment of LD_PRELOAD and VIRTUOS_CONFIG in OURS (a list of
NAME=VALUE, by commas). Exit status 1: a ratio is less than that of --least.
"""
import argparse
import os
import re
import subprocess
import sys

# Kind of calls, what it is called, bytes or operations of one.
FIGURES = [
    ("bulk_out", "send much, 64 K a write", 65536),
    ("bulk_in", "receive much", 65536),
    ("ask", "requests of 64 B", 0),
    ("ask_many", "the same, 16 connections", 0),
    ("stat", "fstat", 0),
    ("read_1", "cached read 1 B", 0),
    ("read_4k", "cached read 4 K", 4096),
    ("read_64k", "cached read 64 K", 65536),
    ("write_4k", "cached write 4 K", 4096),
    ("write_64k", "cached write 64 K", 65536),
    ("sync_4k", "write 4 K, fdatasync", 0),
    ("direct_read_4k", "O_DIRECT read 4 K", 4096),
    ("direct_write_4k", "O_DIRECT write 4 K", 4096),
    ("direct_read_256k", "O_DIRECT read 256 K", 262144),
    ("direct_write_256k", "O_DIRECT write 256 K", 262144),
]


worker = os.path.join(os.path.dirname(os.path.realpath(__file__)), "labworker")


class Worker:
    def __init__(self, directory, peer, env):
        self.process = subprocess.Popen([worker, directory, peer], text=True, bufsize=1,
                                        env={**os.environ, **env},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def batch(self, kind, count):
        self.process.stdin.write(f"{kind} {count}\n")
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            sys.exit(f"{kind}: labworker has ended")
        return int(answer[1])

    def end(self):
        self.process.stdin.close()
        if self.process.wait():
            sys.exit("labworker has failed")


def enough(workers, kind, wanted_ns):
    """How many calls take that long, on the slower of the ways."""
    count = 2
    for w in workers:
        w.batch(kind, 0)
    while True:
        took = max(w.batch(kind, count) for w in workers)
        if took >= wanted_ns / 4 or count > 1000000:
            return max(2, int(count * wanted_ns / took))
        count *= 4


def quantile(values, part):
    return sorted(values)[round((len(values) - 1) * part)]


def rate(size, count, ns):
    if size:
        return f"{size * count / ns * 1e3:.1f} MB/s"
    return f"{count / ns * 1e9:.0f} /s"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--ms", type=int, default=100)
    p.add_argument("--least", type=float, default=0)
    p.add_argument("--only", default="")
    p.add_argument("ours")
    p.add_argument("usual")
    p.add_argument("peer")
    a = p.parse_args()
    env = dict(x.split("=", 1) for x in os.environ["OURS"].split(","))
    ours, usual = Worker(a.ours, a.peer, env), Worker(a.usual, a.peer, {})
    behind = 0

    print(f"{'':26} {'forwarded':>12} {'front/back':>12} {'ratio':>6}  (25-75 %)", flush=True)
    for kind, name, size in FIGURES:
        if not re.search(a.only, kind):
            continue
        count = enough((ours, usual), kind, a.ms * 1e6)
        took = []
        for i in range(a.rounds):
            if i % 2:
                first = usual.batch(kind, count)
                took.append((ours.batch(kind, count), first))
            else:
                first = ours.batch(kind, count)
                took.append((first, usual.batch(kind, count)))
        ratios = [u / o for o, u in took]
        ratio = quantile(ratios, 0.5)
        behind += ratio < a.least
        print(f"{name:26} {rate(size, count, quantile([o for o, _ in took], 0.5)):>12} "
              f"{rate(size, count, quantile([u for _, u in took], 0.5)):>12} {ratio:6.2f}  "
              f"({quantile(ratios, 0.25):.2f}-{quantile(ratios, 0.75):.2f})"
              f"{'' if ratio >= 1 else '  behind'}", flush=True)
    ours.end()
    usual.end()
    return behind > 0


sys.exit(main())
