/* SPDX-License-Identifier: MIT */
/*
 * Lanes (ring/lane.h) against a service that does no more than it must: it looks at the slot that
 * is next, and at all of them only after a kick. A request that is lost shows at once.
 *
 * Handlers are run at every instruction between claim and post, and of release: the processor stops
 * after each one (trap flag), and the handler of that signal makes calls when it is the chosen one.
 */
#define _GNU_SOURCE
#include "ring/lane.h"
#include "test/unit/ring_check.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#define SLOT_MASK ((1u << VOS_SLOTS) - 1)

/* What the service does when it finds nothing. */
enum rest { POLL_ON, REST };

static struct vos_entry slots[VOS_SLOTS];
static _Atomic uint16_t kick_word;
static struct vos_lane lane;

static struct {
	uint32_t next, busy;
	uint16_t kick;
	bool polled, used, bell;
	enum rest rest;
	unsigned taken, kicks, held;
	uint32_t hold; /* slots whose calls are not answered at once */
} service;

static void reset(enum rest rest, uint32_t number)
{
	memset(slots, 0, sizeof(slots));
	memset(&lane, 0, sizeof(lane));
	memset(&service, 0, sizeof(service));
	kick_word = 0;
	lane.slot = slots;
	lane.kick = &kick_word;
	lane.tail = number;
	service.next = number & 0xffffff;
	service.rest = rest;
}

static bool take(uint32_t s)
{
	uint32_t state = vos_entry_state(&slots[s]);

	if (service.busy & 1u << s || !(state & VOS_POSTED))
		return false;
	vos_lane_taken(state, &service.next);
	service.taken++;
	if (service.hold & 1u << s)
		service.busy |= 1u << s;
	else
		vos_entry_complete(&slots[s], (int64_t)slots[s].arg[0]);
	return true;
}

static void serve(void)
{
	if (service.bell) {
		uint16_t kick = atomic_load(&kick_word);

		service.bell = false;
		if (kick != service.kick) {
			service.kick = kick;
			service.kicks++;
			service.polled = true;
			if (!service.used)
				vos_lane_wake(slots);
			service.used = true;
			for (uint32_t s = 0; s < VOS_SLOTS; s++)
				take(s);
		}
	}
	while (service.polled && take(service.next % VOS_SLOTS))
		;
	if (service.polled && service.rest == REST) {
		vos_entry_sleep(&slots[service.next % VOS_SLOTS]);
		service.polled = false;
	}
}

static void answer(uint32_t s)
{
	service.busy &= ~(1u << s);
	vos_entry_complete(&slots[s], (int64_t)slots[s].arg[0]);
}

static int begin(uint64_t value)
{
	bool skipped;
	int s = vos_lane_claim(&lane, &skipped);

	if (s < 0)
		return s;
	slots[s].arg[0] = value;
	if (vos_lane_post(&lane, s, skipped) == VOS_POSTED_KICK)
		service.bell = true;
	return s;
}

static void end(int s, uint64_t value)
{
	serve();
	CHECK(vos_entry_done(&slots[s])); /* else it was lost */
	CHECK(slots[s].result == (int64_t)value);
	vos_lane_release(&lane, s);
}

static void call(uint64_t value)
{
	int s = begin(value);

	CHECK(s >= 0);
	end(s, value);
}

static void all_quiet(void)
{
	CHECK(lane.depth == 0 && lane.claimed == 0);
	for (int s = 0; s < (int)VOS_SLOTS; s++)
		CHECK(slots[s].state == VOS_IDLE || slots[s].state == VOS_ASLEEP);
}

/* However it got there: after one round, slots that say ASLEEP for no reason among them, no kicks. */
static void back_to_normal(void)
{
	enum rest rest = service.rest;
	unsigned kicks;

	call(1001);
	call(1002);
	service.rest = POLL_ON;
	for (uint64_t i = 0; i < VOS_SLOTS; i++)
		call(1100 + i);
	kicks = service.kicks;
	for (uint64_t i = 0; i < 3 * VOS_SLOTS; i++)
		call(2000 + i);
	CHECK(service.kicks == kicks);
	service.rest = rest;
	serve();
	all_quiet();
}

static void in_order(void)
{
	/* Numbers wrap in the entry (24 bits) and in the lane (32 bits). */
	static const uint32_t from[] = { 0, 5, 0xfffff0, 0xfffffff0 };

	for (size_t k = 0; k < sizeof(from) / sizeof(from[0]); k++) {
		reset(POLL_ON, from[k]);
		for (uint64_t i = 0; i < 5 * VOS_SLOTS; i++)
			call(i);
		CHECK(service.kicks == 1 && service.taken == 5 * VOS_SLOTS);
		all_quiet();
		reset(REST, from[k]);
		for (uint64_t i = 0; i < 5 * VOS_SLOTS; i++)
			call(i);
		CHECK(service.kicks == service.taken);
		back_to_normal();
	}
}

static void overtaken_numbers(void)
{
	uint32_t next = 10;

	vos_lane_taken(10u << VOS_NUMBER_SHIFT, &next);
	CHECK(next == 11);
	vos_lane_taken(9u << VOS_NUMBER_SHIFT, &next);
	CHECK(next == 11);
	vos_lane_taken(17u << VOS_NUMBER_SHIFT, &next);
	CHECK(next == 18);
	next = 0xffffff;
	vos_lane_taken(0xffffffu << VOS_NUMBER_SHIFT, &next);
	vos_lane_taken(0u << VOS_NUMBER_SHIFT, &next);
	CHECK((next & 0xffffff) == 1);
	vos_lane_taken(0xfffffeu << VOS_NUMBER_SHIFT, &next);
	CHECK((next & 0xffffff) == 1);
}

/* A handler makes @n calls while one is waiting that takes its time. */
static void on_top_of_a_waiting_call(enum rest rest, unsigned n)
{
	int s;

	reset(rest, 0);
	call(1);
	service.hold = SLOT_MASK;
	s = begin(2);
	serve();
	CHECK(!vos_entry_done(&slots[s]));
	service.hold = 0;
	for (unsigned i = 0; i < n; i++)
		call(10 + i);
	answer((uint32_t)s);
	end(s, 2);
	back_to_normal();
}

static void every_slot_in_use(void)
{
	int s[VOS_SLOTS];

	reset(REST, 3);
	service.hold = SLOT_MASK;
	for (uint64_t i = 0; i < VOS_SLOTS; i++) {
		s[i] = begin(i);
		CHECK(s[i] >= 0);
		serve();
	}
	CHECK(begin(99) == -1);
	CHECK(lane.depth == VOS_SLOTS && service.taken == VOS_SLOTS);
	for (int i = (int)VOS_SLOTS - 1; i >= 0; i--) {
		answer((uint32_t)s[i]);
		end(s[i], (uint64_t)i);
	}
	service.hold = 0;
	back_to_normal();
}

static void given_back(enum rest rest)
{
	bool skipped;
	int a, b;

	reset(rest, 0);
	call(1);
	/* More than a number in an entry could count. */
	for (int i = 0; i < 1000; i++)
		vos_lane_unclaim(&lane, vos_lane_claim(&lane, &skipped));
	call(2);
	a = vos_lane_claim(&lane, &skipped);
	call(3);
	b = vos_lane_claim(&lane, &skipped);
	vos_lane_unclaim(&lane, b);
	vos_lane_unclaim(&lane, a);
	back_to_normal();
}

static void taken_over(void)
{
	bool skipped;

	reset(POLL_ON, 0);
	call(1);
	/* Its thread ended in a handler on top of a claim. */
	CHECK(vos_lane_claim(&lane, &skipped) >= 0);
	lane.claimed = 0;
	vos_lane_adopt(&lane);
	back_to_normal();
}

static void sleepers(void)
{
	struct vos_entry e = { .state = VOS_POSTED | 77u << VOS_NUMBER_SHIFT };

	CHECK(vos_entry_announce(&e, VOS_WAIT_FUTEX));
	CHECK(e.state == (VOS_POSTED | VOS_WAIT_FUTEX | 77u << VOS_NUMBER_SHIFT));
	CHECK(vos_entry_announce(&e, VOS_WAIT_FD));
	CHECK(vos_entry_complete(&e, 5) == (VOS_WAIT_FUTEX | VOS_WAIT_FD));
	CHECK(vos_entry_done(&e) && !vos_entry_announce(&e, VOS_WAIT_FUTEX));
	CHECK(!vos_entry_sleep(&e));
}

/* --- a handler at every instruction --------------------------------------------------------- */

#if defined(__x86_64__)

static volatile unsigned step, chosen, nested;
static volatile bool back; /* the handler claims and gives back instead */

static void trap(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)si, (void)uc;
	if (++step != chosen)
		return;
	for (unsigned i = 0; i < nested; i++) {
		bool skipped;

		if (back)
			vos_lane_unclaim(&lane, vos_lane_claim(&lane, &skipped));
		else
			call(500 + i);
	}
}

#define TRAP_FLAG(change)                                                                       \
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\t" change " (%%rsp)\n\tpopfq\n\t" \
			 "leaq 128(%%rsp), %%rsp" ::                                            \
				 : "memory", "cc")
#define STEP_ON()  TRAP_FLAG("orq $0x100,")
#define STEP_OFF() TRAP_FLAG("andq $~0x100,")

/* One call, its claim and post or its release in single steps. Returns how many steps. */
__attribute__((noinline)) static unsigned stepped_call(bool at_release)
{
	int s;

	step = 0;
	if (at_release) {
		s = begin(42);
		serve();
		CHECK(vos_entry_done(&slots[s]) && slots[s].result == 42);
		STEP_ON();
		vos_lane_release(&lane, s);
		STEP_OFF();
	} else {
		STEP_ON();
		s = begin(42);
		STEP_OFF();
		end(s, 42);
	}
	return step;
}

static unsigned long every_instruction(enum rest rest, bool at_release)
{
	static const unsigned calls[] = { 1, 2, VOS_SLOTS - 1, VOS_SLOTS, VOS_SLOTS + 1 };
	unsigned long tried = 0;

	for (size_t i = 0; i < 2 * sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned steps = 1;

		nested = calls[i / 2];
		back = i % 2;
		for (chosen = 1; chosen <= steps; chosen++, tried++) {
			unsigned n;

			reset(rest, chosen);
			call(1);
			n = stepped_call(at_release);
			if (chosen == 1)
				steps = n;
			back_to_normal();
		}
	}
	return tried;
}

static void handlers_anywhere(void)
{
	struct sigaction sa = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };
	unsigned long n = 0;

	sigaction(SIGTRAP, &sa, NULL);
	for (int rest = POLL_ON; rest <= REST; rest++)
		for (int r = 0; r < 2; r++)
			n += every_instruction((enum rest)rest, r);
	printf("handlers at %lu places\n", n);
	CHECK(n > 1000);
}

#else

static void handlers_anywhere(void)
{
	printf("handlers at every instruction: on x86-64 only\n");
}

#endif

int main(void)
{
	in_order();
	overtaken_numbers();
	for (unsigned n = 1; n <= 2 * VOS_SLOTS + 1; n++) {
		on_top_of_a_waiting_call(POLL_ON, n);
		on_top_of_a_waiting_call(REST, n);
	}
	every_slot_in_use();
	given_back(POLL_ON);
	given_back(REST);
	taken_over();
	sleepers();
	handlers_anywhere();
	return 0;
}
