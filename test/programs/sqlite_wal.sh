#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# sqlite3 in WAL mode with an exclusive lock, which needs no shared memory.
. "$(dirname "$0")/prog.sh"

sqlite3 wal 'pragma locking_mode = exclusive; pragma journal_mode = wal; create table t (x);
	insert into t values (1), (2), (3); pragma wal_checkpoint; select sum (x) from t;'
sqlite3 wal 'pragma locking_mode = exclusive; select count (*) from t; pragma journal_mode = delete;'
ls
