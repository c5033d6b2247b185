/* SPDX-License-Identifier: MIT */
/*
 * The stacks of free blocks in ring/pool.c: two threads that take and give back, one that only gives
 * back what it holds. Shown: no block is held twice, none is lost.
 *
 * TAGS: values of the tag. What a tag is good for shows with too few of them.
 */
#ifndef TAGS
#define TAGS 16
#endif
#define BLOCKS 3
#ifndef ROUNDS
#define ROUNDS 2
#endif

byte head = 1; /* block + 1 */
byte tag;
byte next[BLOCKS + 1];
bool held[BLOCKS + 1];
byte holding; /* the giver's */

inline vos_pool_put(b)
{
	held[b] = false;
	d_step { h = head; g = tag }
	do
	::	next[b] = h;
		d_step {
			ok = head == h && tag == g;
			if
			:: ok -> head = b; tag = (g + 1) % TAGS
			:: else -> h = head; g = tag
			fi
		}
		if
		:: ok -> break
		:: else
		fi
	od
}

inline pop()
{
	d_step { h = head; g = tag }
	do
	:: !h -> break
	:: else ->
		n = next[h];
		d_step {
			ok = head == h && tag == g;
			if
			:: ok -> head = n; tag = (g + 1) % TAGS
			:: else -> h = head; g = tag
			fi
		}
		if
		:: ok -> break
		:: else
		fi
	od
}

proctype taker()
{
	byte h, g, n, b, i;
	bool ok;

	do
	:: i < ROUNDS ->
		i++;
		pop();
		b = h;
		if
		:: b ->
			d_step { assert(!held[b]); held[b] = true }
			vos_pool_put(b)
		:: else
		fi
	:: else -> break
	od
}

proctype giver()
{
	byte h, g, b = holding;
	bool ok;

	vos_pool_put(b)
}

init {
	byte b, n;

	atomic {
		/* 1 -> 2 in the stack, 3 held */
		next[1] = 2;
		holding = 3;
		held[3] = true;
		run taker();
		run taker();
		run giver()
	}
	_nr_pr == 1;
	/* All are back, each once. */
	b = head;
	do
	:: b -> n++; assert(n <= BLOCKS); b = next[b]
	:: else -> break
	od;
	assert(n == BLOCKS)
}
