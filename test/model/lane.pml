/* SPDX-License-Identifier: MIT */
/*
 * One lane: a thread with signal handlers on top of it, the driver of an engine, a thread of the
 * pool. As ring/lane.h, ring/wait.c (futex sleep) and svcd/engine.c, svcd/call.c do it; every access
 * to memory that somebody else may change in between is a step of its own.
 *
 * Shown: no request is lost (nobody waits for ever: spin's search for invalid end states), none is
 * taken twice, no answer goes to another request, no slot is posted while it is in use, and a
 * sleeping thread is woken.
 *
 * BUG_x: a variant that must fail; the comment at each says what was left out.
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef CALLS
#define CALLS 3 /* of the thread itself */
#endif
#ifndef SIGNALS
#define SIGNALS 2
#endif
#ifndef LEVELS
#define LEVELS 1 /* handlers on top of each other */
#endif
#ifndef ABANDONED
#define ABANDONED 0 /* slots given back without having been posted */
#endif

#ifndef POOL
#define POOL 0 /* may calls be completed by another thread than the driver */
#endif

#define IDLE   0
#define ASLEEP 1
#define POSTED 2
#define DONE   4
#define WAIT   8

#define BIT(s) (1 << (s))

/* shared memory */
byte state[SLOTS];
byte request[SLOTS]; /* what was filled in: number of the call */
byte result[SLOTS];
byte kick;	     /* sequence * SLOTS + slot */
bool bell;
bool sleeping[SLOTS]; /* in the futex of that slot */

/* struct vos_lane */
byte tail, claimed, depth;
bool nested, resync;

/* the thread's stack: whose code runs */
byte level;
byte signals = SIGNALS;
byte abandon = ABANDONED;
byte number = 1;
bool attached;

/* the service */
byte next, last_kick, busy, parked, pooled;
bool polled, mail;
byte held[SLOTS];
int taken; /* bit per request */

#define CAS(word, from, to, ok) d_step { ok = (word == (from)); if :: ok -> word = (to) :: else fi }

/* --- the thread -------------------------------------------------------------------------------- */

inline vos_lane_kick()
{
	do
	::	old = kick;
		t = tail; /* nobody but we and handlers: with the next step */
#ifdef BUG_REST /* the service may rest at a slot in use without saying so there */
		resync = false;
		if
		:: claimed & BIT(t)
		:: else -> CAS(state[t], IDLE, ASLEEP, ok)
		fi;
#else
		resync = (claimed & BIT(t)) != 0;
		if
		:: resync
		:: else -> CAS(state[t], IDLE, ASLEEP, ok)
		fi;
#endif
		CAS(kick, old, ((old / SLOTS + 1) % 16) * SLOTS + t, ok);
		if
		:: ok -> break
		:: else
		fi
	od
}

inline vos_lane_claim()
{
	depth++;
	nested = depth > 1;
	atomic {
		s = tail;
		do
		:: claimed & BIT(s) -> s = (s + 1) % SLOTS; skipped = true
		:: else -> break
		od;
		old = claimed
	}
	claimed = old | BIT(s);
	tail = (s + 1) % SLOTS
}

inline vos_lane_post()
{
	d_step {
		old = state[s];
		state[s] = POSTED;
		assert(old == IDLE || old == ASLEEP)
	}
#ifdef BUG_RING /* a handler may run before the doorbell has been rung, and must know */
	depth--;
	if
	:: old == IDLE && !depth && !nested && !resync && !skipped
#else
#ifdef BUG_CLAIM /* a handler ran while the slot was chosen */
	if
	:: old == IDLE && depth == 1 && !resync && !skipped
#else
	if
	:: old == IDLE && depth == 1 && !nested && !resync && !skipped
#endif
#endif
	:: else ->
		vos_lane_kick();
		bell = true
	fi
}

/* vos_chan_wait(): announce, then the futex compares and sleeps in one step. */
inline vos_chan_wait()
{
	do
	:: state[s] == DONE -> break
	:: else ->
#ifdef BUG_WAKE /* announcing is no compare and exchange: done meanwhile */
		state[s] = POSTED | WAIT;
#else
		CAS(state[s], POSTED, POSTED | WAIT, ok);
#endif
		d_step {
			if
			:: state[s] == (POSTED | WAIT) -> sleeping[s] = true
			:: else
			fi
		}
		!sleeping[s]
	od
}

inline vos_lane_release()
{
	if
	:: state[s] == DONE -> state[s] = IDLE
	:: else ->
#ifdef BUG_ABANDON /* the service waits at a slot that was passed over */
		skip
#else
		resync = true
#endif
	fi;
	old = claimed;
	claimed = old & ~BIT(s);
#ifndef BUG_RING
	depth--
#endif
}

inline call()
{
	vos_lane_claim();
	d_step { n = number; number++; request[s] = n }
	if
	:: vos_lane_post();
	   vos_chan_wait();
	   atomic { assert(result[s] == n); n = 0 }
	:: abandon -> abandon--
	fi;
	vos_lane_release();
	atomic { s = 0; old = 0; t = 0; skipped = false; ok = false; n = 0 }
}

active proctype thread() provided (level == 0)
{
	byte s, old, t, n, calls = CALLS;
	bool skipped, ok;

	state[0] = ASLEEP; /* by the service, before it answers the attach */
	attached = true;
	do
	:: calls -> calls--; call()
	:: else -> break
	od
}

active [LEVELS] proctype handler() provided (level == _pid)
{
	byte s, old, t, n;
	bool skipped, ok;

end:	do
	:: level == _pid -> call(); level--
	od
}

/* At any time, on top of whatever runs. */
active proctype kernel()
{
	attached;
end:	do
	:: atomic { signals && level < LEVELS -> signals--; level++ }
	od
}

/* --- the service ------------------------------------------------------------------------------- */

inline complete(s, n)
{
	d_step {
		result[s] = n;
		how = state[s];
		state[s] = DONE;
		assert(how & POSTED)
	}
	if
	:: how & WAIT -> d_step { sleeping[s] = false; how = 0 }
	:: else -> how = 0
	fi
}

inline call_take(s)
{
	d_step {
		n = request[s];
		assert(n && !(taken & BIT(n)));
		taken = taken | BIT(n);
		if
		:: s == next -> next = (s + 1) % SLOTS
		:: else
		fi
	}
	if
	:: complete(s, n) /* at once */
	:: d_step { busy = busy | BIT(s); parked = parked | BIT(s); held[s] = n }
#if POOL
	:: d_step { busy = busy | BIT(s); pooled = pooled | BIT(s); held[s] = n }
#endif
	fi;
	atomic { n = 0; ok = false }
}

/* posted() and call_take() of the service. Without a pool busy is the driver's own: one step. */
inline take_if_posted(s)
{
#if POOL
#ifdef BUG_TWICE /* the answer comes between the two looks */
	ok = state[s] & POSTED;
	atomic {
		if
		:: ok && !(busy & BIT(s)) -> call_take(s)
#else
	ok = !(busy & BIT(s));
	atomic {
		if
		:: ok && state[s] & POSTED -> call_take(s)
#endif
		:: else -> ok = false
		fi
	}
#else
	atomic {
		if
		:: !(busy & BIT(s)) && state[s] & POSTED -> call_take(s)
		:: else
		fi
	}
#endif
}

/* take_posted() of engine.c */
inline take_posted()
{
	at = next;
	do
	:: i < SLOTS ->
		take_if_posted(at);
		atomic { i++; at = (at + 1) % SLOTS }
	:: else -> break
	od;
	atomic { i = 0; at = 0 }
}

inline scan_lane()
{
	k = kick;
	if
	:: k == last_kick
	:: else ->
		take_posted();
		atomic {
			last_kick = k;
#ifdef BUG_STALE /* a kick seen late sends the service back */
			ok = true;
#else
			CAS(state[k % SLOTS], ASLEEP, IDLE, ok);
#endif
			if
			:: ok || !polled -> next = k % SLOTS
			:: else
			fi;
			polled = true
		}
	fi;
	atomic { k = 0; ok = false }
}

/* An idle slot says that the lane rests; one in use does not need to, unless it is to be taken. */
inline rest_lane()
{
#if POOL
	d_step {
		ok = state[next] == IDLE || state[next] == ASLEEP;
		if :: ok -> state[next] = ASLEEP; polled = false :: else fi
	}
	if
	:: ok
	:: else ->
		ok = !(busy & BIT(next));
		atomic {
			if
			:: ok && state[next] & POSTED
			:: else -> polled = false
			fi
		}
	fi;
	ok = false
#else
	d_step {
		if
		:: state[next] == IDLE || state[next] == ASLEEP -> state[next] = ASLEEP; polled = false
		:: else ->
			if
			:: state[next] & POSTED && !(busy & BIT(next))
			:: else -> polled = false
			fi
		fi
	}
#endif
}

active proctype driver()
{
	byte n, how, i, at, k;
	bool ok;

end:	do
	:: atomic { polled -> at = next }
		take_if_posted(at);
		at = 0
	:: polled -> rest_lane()
	:: atomic { bell -> bell = false }
		scan_lane()
	:: atomic { mail -> mail = false }
		take_posted();
		polled = true
	:: atomic {
		parked ->
		do
		:: parked & BIT(at) -> break
		:: parked >> (at + 1) -> at++ /* any may be first */
		od;
		parked = parked & ~BIT(at)
	   }
		complete(at, held[at]);
		atomic { busy = busy & ~BIT(at); at = 0 }
	od
}

#if POOL
active proctype pool()
{
	byte at, how;

end:	do
	:: atomic {
		pooled ->
		do
		:: pooled & BIT(at) -> break
		:: pooled >> (at + 1) -> at++ /* any may be first */
		od;
		pooled = pooled & ~BIT(at)
	   }
#ifdef BUG_TWICE
		busy = busy & ~BIT(at);
		complete(at, held[at]);
#else
		complete(at, held[at]);
		busy = busy & ~BIT(at);
#endif
#ifndef BUG_MAIL /* posted again before busy was cleared: the driver passed it over */
		atomic {
			if
			:: state[at] & POSTED -> mail = true
			:: else
			fi
		}
#endif
		at = 0
	od
}
#endif
