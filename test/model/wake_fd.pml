/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a lane's wake descriptor (ring/wait.c): a thread in a call that any handler ends, and
 * a handler on top of it that makes such a call too. The descriptor is the lane's, so the byte that
 * is meant for the call below may arrive while the handler waits.
 * Shown: whoever is done wakes up.
 */
#define POSTED 2
#define DONE   4
#define FD     8
#define FUTEX  16

byte state[2]; /* slot of the thread, of the handler */
byte bytes;    /* in the socket */
bool asleep[2]; /* in a futex */
byte level;
byte signals = 2;

inline announce(s, how)
{
	d_step {
		ok = state[s] != DONE;
		if
		:: ok -> state[s] = state[s] | how
		:: else
		fi
	}
}

inline sleep_fd()
{
	bytes; /* poll() */
	bytes = 0
}

active proctype thread() provided (level == 0)
{
	bool ok;

	state[0] = POSTED;
	do
	:: announce(0, FD);
		if
		:: !ok -> break
		:: else
		fi;
		/* A handler that runs here does not end the wait. */
		sleep_fd();
		if
		:: state[0] == DONE -> break
		:: else
		fi
	od
}

active proctype handler() provided (level == 1)
{
	bool ok;

end:	do
	:: level == 1 ->
		state[1] = POSTED;
		do
#ifdef BUG_DRAIN /* on the same descriptor as the call below */
		::	announce(1, FD);
			if
			:: !ok -> break
			:: else
			fi;
			sleep_fd()
#else
		::	announce(1, FUTEX);
			if
			:: !ok -> break
			:: else
			fi;
			d_step { asleep[1] = state[1] == (POSTED | FUTEX) }
			!asleep[1]
#endif
		od;
		state[1] = 0;
		level = 0
	od
}

active proctype kernel()
{
end:	do
	:: atomic { signals && !level -> signals--; level = 1 }
	od
}

active proctype service()
{
	byte how, s;

end:	do
	:: d_step { state[0] & POSTED -> s = 0; how = state[0]; state[0] = DONE }
		if
		:: how & FD -> bytes++
		:: else
		fi
	:: d_step { state[1] & POSTED -> s = 1; how = state[1]; state[1] = DONE }
		if
		:: how & FD -> bytes++
		:: else
		fi;
		if
		:: how & FUTEX -> asleep[1] = false
		:: else
		fi
	od
}
