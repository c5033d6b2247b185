/* SPDX-License-Identifier: MIT */
/*
 * Who drives an engine: svcd/turn.c and what svcd/engine.c does around it. One engine, the watchdog,
 * as many drivers as calls get stuck. Calls may take any time, some never end.
 *
 * Shown: no two threads are in the engine at once, each call is completed once, and calls that do
 * end are completed although others do not: the watchdog does not sleep while a driver is stuck, and
 * what the stuck one had found is not lost with it. (Waiting for ever is an invalid end state.)
 */
#define GOOD 3 /* calls that end */
#ifndef BAD
#define BAD 2 /* calls that do not */
#endif

byte turns;	     /* odd while the driver may be stuck */
bool awake;
bool watching = true;
bool bell;
byte good, bad;	     /* posted */
#ifndef BUG_LOCAL    /* what was found is kept on the driver's stack */
byte f_good, f_bad;  /* found: collected from epoll, not yet looked at */
#endif
byte done;
byte adopted;	     /* the turn from which the last driver to take over has adopted the stuck call */
byte in_engine;	     /* threads */

inline wake_watchdog()
{
	if
	:: !watching -> watching = true
	:: else
	fi
}

inline turn_engine_awake()
{
#ifdef BUG_ORDER /* the load before the store, as without a fence */
	old = watching;
	awake = true;
	if
	:: !old -> watching = true
	:: else
	fi
#else
	awake = true;
	wake_watchdog()
#endif
}

inline turn_enter()
{
	entered = turns + 1;
	d_step { in_engine--; turns = entered }
}

inline turn_leave()
{
#ifdef BUG_LEAVE /* without compare and exchange */
	d_step { turns = entered + 1; in_engine++; assert(in_engine == 1) }
#else
	d_step {
		mine = turns == entered;
		if
		:: mine -> turns = entered + 1; in_engine++; assert(in_engine == 1)
		:: else
		fi
	}
#endif
}

proctype driver()
{
	byte entered;
	bool mine = true, old;
#ifdef BUG_LOCAL
	byte f_good, f_bad;
#endif

	d_step { in_engine++; assert(in_engine == 1); adopted = turns }
	turn_engine_awake();
end:	do
	:: !mine -> break
	:: mine && f_good ->
		f_good--;
		turn_enter();
		/* any time passes */
		turn_leave();
		if
		:: mine
		:: !mine -> adopted >= entered + 1 /* its references have been taken */
		fi;
		d_step { done++; assert(done <= GOOD) }
	:: mine && f_bad ->
		f_bad--;
		turn_enter();
end_stuck:	false
	:: mine && !f_good && !f_bad && bell ->
		bell = false;
		d_step { f_good = good; good = 0; f_bad = bad; bad = 0 }
	:: mine && !f_good && !f_bad && !bell ->
		awake = false;
end_asleep:	bell;
		turn_engine_awake()
	od
}

inline tick()
{
	now = turns;
	up = awake;
	if
	:: now % 2 && now == seen ->
		d_step {
			took = turns == now;
			if
			:: took -> turns = now + 1
			:: else
			fi
		}
		if
		:: took -> run driver(); took = false
		:: else
		fi
	:: else
	fi;
	seen = now
}

active proctype watchdog()
{
	byte seen, now;
	bool up, took;

	do
	:: tick();
		if
		:: up
		:: else ->
			watching = false;
			tick();
			if
			:: up -> watching = true
			:: else ->
end:				watching
			fi
		fi
	od
}

active proctype client()
{
	byte i;

	run driver();
	do
	:: i < GOOD -> good++; bell = true; i++
	:: else -> break
	od;
	done == GOOD
}

active proctype hostile()
{
	byte i;

	do
	:: i < BAD -> bad++; bell = true; i++
	:: else -> break
	od
}
