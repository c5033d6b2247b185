/* SPDX-License-Identifier: MIT */
/*
 * One lane: a thread with signal handlers on top of it, the driver of an engine, a thread of the
 * pool. As ring/lane.h, ring/wait.c (futex sleep) and svcd/engine.c, svcd/call.c do it; every access
 * to memory that somebody else may change in between is a step of its own.
 *
 * Shown: no request is lost (nobody waits for ever: spin's search for invalid end states), none is
 * taken twice, no answer goes to another request, no slot is posted while it is in use, a sleeping
 * thread is woken, and a call that would wait for ever ends when it is taken back. Numbers do not wrap here; test/unit/ring_test.c has that.
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

#ifndef CANCELS
#define CANCELS 0 /* calls that would wait for ever, and are taken back by another one */
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

/* requests from here on: take back the call in this slot */
#define CANCEL 16

/* shared memory */
byte state[SLOTS];
byte number[SLOTS];  /* with POSTED: of the claim; in the same word */
byte request[SLOTS]; /* what was filled in: number of the call */
byte result[SLOTS];
bool kick;	     /* differs from what the service saw last */
bool bell;
bool sleeping[SLOTS]; /* in the futex of that slot */

/* struct vos_lane */
byte tail, claimed, depth;
bool nested, resync;
byte claim[SLOTS]; /* .number */

/* the thread's stack: whose code runs */
byte level;
byte signals = SIGNALS;
byte abandon = ABANDONED;
byte cancels = CANCELS;
byte calls_made = 1;
bool attached;

/* the service */
byte next, busy, parked, pooled;
byte kept; /* parked, and never ready */
byte endless; /* the request that is so */
bool polled, scan, mail;
byte held[SLOTS];
int taken; /* bit per request */

#define CAS(word, from, to, ok) d_step { ok = (word == (from)); if :: ok -> word = (to) :: else fi }

/* --- the thread -------------------------------------------------------------------------------- */

inline vos_lane_claim()
{
	assert(claimed != BIT(SLOTS) - 1);
	depth++;
	if
	:: depth > 1 -> nested = true
	:: else
	fi;
	do
#ifdef BUG_REWIND /* a handler between the two takes the same number */
	::	old = tail;
		tail = old + 1;
#else
	::	d_step { old = tail; tail = old + 1 }
#endif
		s = old % SLOTS;
		if
		:: claimed & BIT(s) -> skipped = true; resync = true
		:: else -> break
		fi
	od;
	atomic { s = old % SLOTS; t = claimed }
	claimed = t | BIT(s);
	claim[s] = old
}

inline vos_lane_post()
{
	d_step {
		t = claim[s];
		old = state[s];
		state[s] = POSTED;
		number[s] = t;
		assert(old == IDLE || old == ASLEEP)
	}
#ifdef BUG_RING /* a handler may run before the doorbell has been rung, and must know */
	depth--;
	if
	:: old == IDLE && !depth && !nested && !resync && !skipped
#elif defined(BUG_NESTED) /* a handler ran while the call was being made */
	if
	:: old == IDLE && depth == 1 && !resync && !skipped
#else
	if
	:: old == IDLE && depth == 1 && !nested && !resync && !skipped
#endif
	:: else ->
		resync = false;
#ifndef BUG_GAP /* a handler gave a later claim back */
		if
		:: tail != t + 1 -> resync = true
		:: else
		fi;
#endif
		kick = true;
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

inline vos_lane_leave()
{
	old = claimed;
	claimed = old & ~BIT(s);
	if
	:: depth == 1 -> nested = false
	:: else
	fi;
#ifndef BUG_RING
	depth--
#endif
}

inline vos_lane_unclaim()
{
#ifndef BUG_ABANDON /* the service waits for a number that never comes */
	d_step { ok = tail == claim[s] + 1; if :: ok -> tail = claim[s] :: else fi }
	if
	:: ok
	:: else -> resync = true
	fi;
#endif
	vos_lane_leave()
}

inline vos_lane_release()
{
	state[s] = IDLE;
#ifndef BUG_REST /* the service may have gone to rest at a slot in use */
	if
	:: tail % SLOTS == s -> resync = true
	:: else
	fi;
#endif
	vos_lane_leave()
}

inline call()
{
	vos_lane_claim();
	d_step { n = calls_made; calls_made++; request[s] = n }
	if
	:: vos_lane_post();
	   vos_chan_wait();
	   atomic { assert(result[s] == n); n = 0; result[s] = 0; old = 0; t = 0 }
	   vos_lane_release()
#if CANCELS
	:: atomic { cancels -> cancels--; endless = n }
	   vos_lane_post();
	   atomic { mine = s; old = 0; t = 0; skipped = false }
	   vos_lane_claim();
	   request[s] = CANCEL + mine;
	   vos_lane_post();
	   vos_chan_wait();
	   atomic { assert(result[s] == CANCEL + mine); result[s] = 0; old = 0; t = 0 }
	   vos_lane_release();
	   atomic { s = mine; mine = 0; skipped = false }
	   vos_chan_wait();
	   atomic { assert(result[s] == n); n = 0; result[s] = 0; old = 0; t = 0 }
	   vos_lane_release()
#endif
	:: abandon ->
	   d_step { abandon--; request[s] = 0 }
	   vos_lane_unclaim()
	fi;
	atomic { claim[s] = 0; s = 0; old = 0; t = 0; skipped = false; ok = false; n = 0 }
}

active proctype thread() provided (level == 0)
{
	byte s, old, t, n, calls = CALLS;
#if CANCELS
	byte mine;
#endif
	bool skipped, ok;

	d_step { /* as new memory is */
		do
		:: s < SLOTS -> state[s] = ASLEEP; s++
		:: else -> s = 0; break
		od
	}
	attached = true;
	do
	:: atomic { calls -> calls-- }
		call()
	:: else -> break
	od
}

active [LEVELS] proctype handler() provided (level == _pid)
{
	byte s, old, t, n;
#if CANCELS
	byte mine;
#endif
	bool skipped, ok;

end:	do
	:: level == _pid ->
		call();
		level--
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
		request[s] = 0;
		assert(n);
		if
		:: n < CANCEL -> assert(!(taken & BIT(n))); taken = taken | BIT(n)
		:: else
		fi;
		if
		:: number[s] >= next -> next = number[s] + 1
		:: else
		fi
	}
	if
#if CANCELS
	:: n >= CANCEL ->
		if
		:: kept & BIT(n - CANCEL) ->
			complete(n - CANCEL, held[n - CANCEL]);
			d_step { kept = kept & ~BIT(n - CANCEL); busy = busy & ~BIT(n - CANCEL); held[n - CANCEL] = 0 }
		:: else
		fi;
		complete(s, n)
	:: n == endless -> d_step { busy = busy | BIT(s); kept = kept | BIT(s); held[s] = n; endless = 0 }
#endif
	:: n < CANCEL && n != endless -> complete(s, n) /* at once */
	:: n < CANCEL && n != endless -> d_step { busy = busy | BIT(s); parked = parked | BIT(s); held[s] = n }
#if POOL
	:: n < CANCEL && n != endless -> d_step { busy = busy | BIT(s); pooled = pooled | BIT(s); held[s] = n }
#endif
	fi;
	atomic { n = 0; ok = false }
}

/* Which is to be taken now that there is one in @s: what is taken back goes first. */
inline cancelled_first(s)
{
	which = s;
#if CANCELS
#ifndef BUG_CANCEL /* a scan may come to the later one first */
	if
	:: request[s] >= CANCEL && state[request[s] - CANCEL] & POSTED &&
	   !(busy & BIT(request[s] - CANCEL)) -> which = request[s] - CANCEL
	:: else
	fi
#endif
#endif
}

/* posted() and call_take() of the service. Without a pool busy is the driver's own: one step. */
inline take_if_posted(s)
{
#if POOL
#ifdef BUG_TWICE /* the answer comes between the two looks */
	ok = (state[s] & POSTED) != 0;
	atomic {
		if
		:: ok && !(busy & BIT(s)) -> cancelled_first(s); call_take(which); which = 0; took = true
#else
	ok = !(busy & BIT(s));
	atomic {
		if
		:: ok && state[s] & POSTED -> cancelled_first(s); call_take(which); which = 0; took = true
#endif
		:: else -> ok = false
		fi
	}
#else
	atomic {
		if
		:: !(busy & BIT(s)) && state[s] & POSTED -> cancelled_first(s); call_take(which); which = 0; took = true
		:: else
		fi
	}
#endif
}

/* Every slot, until none is left. */
inline scan_lane()
{
	do
	:: at < SLOTS ->
		took = false;
		take_if_posted(at);
		at++;
		if
		:: took -> break
		:: else
		fi
	:: else -> scan = false; break
	od;
	atomic { at = 0; took = false }
}

/* An idle slot says that the lane rests; one in use does not need to, unless it is to be taken. */
inline rest_lane()
{
#if POOL
	d_step {
		ok = state[next % SLOTS] == IDLE || state[next % SLOTS] == ASLEEP;
		if :: ok -> state[next % SLOTS] = ASLEEP; polled = false :: else fi
	}
	if
	:: ok
	:: else ->
		ok = !(busy & BIT(next % SLOTS));
		atomic {
			if
			:: ok && state[next % SLOTS] & POSTED
			:: else -> polled = false
			fi
		}
	fi;
	ok = false
#else
	d_step {
		if
		:: state[next % SLOTS] == IDLE || state[next % SLOTS] == ASLEEP -> state[next % SLOTS] = ASLEEP; polled = false
		:: else ->
			if
			:: state[next % SLOTS] & POSTED && !(busy & BIT(next % SLOTS))
			:: else -> polled = false
			fi
		fi
	}
#endif
}

/* Before the lane is polled for the first time. */
inline vos_lane_wake()
{
	do
	:: at < SLOTS ->
		atomic {
			if
			:: state[at] == ASLEEP -> state[at] = IDLE
			:: else
			fi;
			at++
		}
	:: else -> at = 0; break
	od
}

active proctype driver()
{
	byte n, how, at, which;
	bool ok, took, used;

end:	do
	:: polled && scan -> scan_lane()
	:: atomic { polled && !scan -> at = next % SLOTS }
		take_if_posted(at);
		atomic { at = 0; took = false }
	:: polled && !scan -> rest_lane()
	:: atomic { bell -> bell = false }
		if
		:: atomic { kick -> kick = false; scan = true; polled = true }
			if
			:: !used -> used = true; vos_lane_wake()
			:: else
			fi
		:: else
		fi
	:: atomic { mail -> mail = false; scan = true; polled = true }
	:: atomic {
		parked ->
		do
		:: parked & BIT(at) -> break
		:: parked >> (at + 1) -> at++ /* any may be first */
		od;
		parked = parked & ~BIT(at)
	   }
		d_step { n = held[at]; held[at] = 0 }
		complete(at, n);
		n = 0;
		atomic { busy = busy & ~BIT(at); at = 0 }
	od
}

#if POOL
active proctype pool()
{
	byte at, how, n;

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
		d_step { n = held[at]; held[at] = 0 }
		complete(at, n);
		n = 0;
#else
		d_step { n = held[at]; held[at] = 0 }
		complete(at, n);
		n = 0;
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
