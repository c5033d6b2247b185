/* SPDX-License-Identifier: MIT */
/*
 * The ready queue (ring/ready.h): two threads of the service put lanes in, one taker takes them out.
 * Two slots and laps that wrap, so that cursors and laps come round. A lane is put in again only
 * after it has been taken out, so there are never more than slots.
 * Shown: what is put in comes out, once.
 */
#define SLOTS 2
#define LAPS  4
#define PUSHES 5 /* by each */

byte slot_lap[SLOTS];
byte slot_lane[SLOTS]; /* lane + 1, 0: never used */
byte tail;	       /* modulo SLOTS * LAPS */
byte waiting[3];       /* put in, not yet out */

#define LAP(cursor) (((cursor) / SLOTS + 1) % LAPS)

proctype pusher(byte lane)
{
	byte t, i;

	do
	:: i < PUSHES ->
		!waiting[lane];
		waiting[lane] = 1;
		d_step { t = tail; tail = (tail + 1) % (SLOTS * LAPS) }
		d_step { slot_lap[t % SLOTS] = LAP(t); slot_lane[t % SLOTS] = lane }
		i++
	:: else -> break
	od
}

active proctype taker()
{
	byte head, lap, lane, n;

	run pusher(1);
	run pusher(2);
	do
	:: n == 2 * PUSHES -> break
	:: else ->
		d_step { lap = slot_lap[head % SLOTS]; lane = slot_lane[head % SLOTS] }
		if
#ifdef BUG_LAP /* what was there a lap ago */
		:: lane ->
#else
		:: lap == LAP(head) && lane ->
#endif
			assert(waiting[lane]);
			waiting[lane] = 0;
			head = (head + 1) % (SLOTS * LAPS);
			n++
		:: else -> /* empty: until something is put in */
			slot_lap[head % SLOTS] != lap || slot_lane[head % SLOTS] != lane
		fi
	od
}
