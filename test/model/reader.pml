/* SPDX-License-Identifier: MIT */
/*
 * One thread collects the events of a channel for all that sleep on it (ring/vchan_wait.c): who is
 * woken, and how the role of the reader passes from one to the next. A signal takes a thread out of
 * its sleep for a while; the looks now and then, which are there for readers that do not come back,
 * are left out.
 * LONG: the calls of thread 0 take until all others have ended. What it does for them, and they for
 * each other, must not depend on its own being done.
 * Shown: no thread sleeps on when its call is done, whatever the order.
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef CALLS
#define CALLS 2
#endif
#ifndef SIGNALS
#define SIGNALS 1
#endif

#define POSTED	1
#define ASLEEP	2 /* with POSTED: the thread has announced its sleep */
#define DONE	4
#define NOBODY	THREADS

byte state[THREADS];
bool ready[THREADS]; /* the lane is in the ready queue */
bool event;	     /* the descriptor is ready for reading */
bool asleep[THREADS];
bool nudged[THREADS]; /* the word has been counted up since the thread has read it */
bool blocked[THREADS]; /* in the futex */
byte reader = NOBODY;
byte signals = SIGNALS;
byte running = THREADS - 1;

inline wake(t)
{
	nudged[t] = true;
	if
	:: asleep[t] -> blocked[t] = false
	:: else
	fi
}

inline take_ready()
{
	i = 0;
	do
	:: i < THREADS ->
		d_step { hit = ready[i]; ready[i] = false }
		if
		:: hit && i != me -> wake(i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	atomic { i = 0; hit = false }
}

/* Of those who sleep, one. */
inline pass_on()
{
	i = 0;
	do
	:: i < THREADS ->
		if
		:: i != me && asleep[i] -> wake(i); break
		:: else -> i++
		fi
	:: else -> break
	od;
	atomic { i = 0; hit = false }
}

inline awake()
{
	asleep[me] = false;
	d_step {
		if
		:: reader == me -> reader = NOBODY
		:: else
		fi;
		hit = reader == NOBODY
	}
#ifdef BUG_PASS /* only who was the reader passes the role on */
	if
	:: hit && was -> pass_on()
	:: else -> hit = false
	fi;
#else
	if
	:: hit -> pass_on()
	:: else
	fi;
#endif
	was = false
}

proctype thread(byte me)
{
	byte i, calls = CALLS;
	bool hit, was, out;

	do
	:: calls == 0 ->
		if
		:: me -> running--
		:: else
		fi;
		break
	:: else ->
		state[me] = POSTED;
		do
		:: d_step {
			out = state[me] == DONE;
			if
			:: !out -> state[me] = POSTED | ASLEEP
			:: else
			fi
		   }
			if
			:: out -> break
			:: else
			fi;
#ifdef BUG_NUDGE /* looks, then reads the word that it will sleep on */
			asleep[me] = true;
			if
			:: state[me] == DONE -> goto look
			:: else
			fi;
			nudged[me] = false;
#else
#ifndef BUG_ASLEEP
			asleep[me] = true;
#endif
			nudged[me] = false;
			if
			:: state[me] == DONE -> goto look
			:: else
			fi;
#endif
			d_step {
				if
				:: reader == NOBODY -> reader = me
				:: else
				fi;
				was = reader == me
			}
#ifdef BUG_ASLEEP /* says so when it has found the role taken */
			asleep[me] = true;
#endif
			if
			:: was ->
				take_ready();
				if
				:: state[me] == DONE -> goto look
				:: else
				fi;
				if
				:: event -> event = false; take_ready()
				:: d_step { signals -> signals-- } awake()
				fi
			:: else ->
				blocked[me] = !nudged[me]
				if
				:: !blocked[me]
				:: d_step { blocked[me] && signals -> signals--; blocked[me] = false }
					awake()
				fi
			fi;
look:			skip
		od;
		awake();
		calls--
	od
}

active proctype service()
{
	byte t, old;

end:	do
	:: atomic {
		if
#ifdef LONG
		:: state[0] & POSTED && !running -> t = 0
#else
		:: state[0] & POSTED -> t = 0
#endif
		:: state[1] & POSTED -> t = 1
#if THREADS > 2
		:: state[2] & POSTED -> t = 2
#endif
		fi;
		old = state[t];
		state[t] = DONE
	   }
		if
		:: old & ASLEEP -> d_step { ready[t] = true; event = true }
		:: else
		fi;
		d_step { t = 0; old = 0 }
	od
}

init
{
	byte t;

	atomic {
		do
		:: t < THREADS -> run thread(t); t++
		:: else -> break
		od
	}
}
