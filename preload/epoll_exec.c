/* SPDX-License-Identifier: MIT */
/*
 * Epoll descriptors over exec. The kernel keeps the real one with its local members; the companions
 * are handles like others, which the ticket keeps. What the next image has to learn is which
 * companions there are, and which members: by number, with the program's data for each.
 */
#define _GNU_SOURCE
#include "preload/epoll.h"
#include "preload/state.h"

#define AT_ONCE 64 /* members written together */

/* --- before ----------------------------------------------------------------------------------- */

struct writer {
	int fd;
	uint32_t total, n;
	struct vos_state_member m[AT_ONCE];
};

static long flush(struct writer *w)
{
	long r = vos_state_put(w->fd, w->m, w->n * sizeof(w->m[0]));

	w->total += w->n;
	w->n = 0;
	return r;
}

static long put_member(struct writer *w, const struct vos_member *m, uint32_t fd, uint32_t epoll)
{
	/* Acquire: pairs with vos_epoll_note(). */
	uint64_t word = atomic_load_explicit(&m->word, memory_order_acquire);

	if (!word)
		return 0;
	w->m[w->n++] = (struct vos_state_member){ word, m->data, m->events, m->told, fd, epoll };
	return w->n == AT_ONCE ? flush(w) : 0;
}

static long put_members(struct writer *w, struct vos_epoll *e, uint32_t epoll)
{
	long r = 0;

	for (uint32_t c = 0; c < VOS_EPOLL_CHUNKS; c++) {
		const struct vos_member *m =
			atomic_load_explicit(&e->chunk[c], memory_order_acquire);

		for (uint32_t i = 0; m && i < VOS_EPOLL_CHUNK && !r; i++)
			r = put_member(w, &m[i], c * VOS_EPOLL_CHUNK + i, epoll);
	}
	return r;
}

static long put_epoll(int fd, const struct vos_state_number *k)
{
	struct vos_state_epoll s = { .word = k->word, .fd = k->fd };
	struct vos_epoll *e = vos_epoll_get(k->word);

	for (unsigned d = 0; e && d < VOS_MAX_DOMAINS; d++)
		s.companion[d] = VOS_WORD_HANDLE(vos_epoll_companion(e, d));
	s.nested = e && e->nested;
	return vos_state_put(fd, &s, sizeof(s));
}

long vos_epoll_save(int fd, const struct vos_state_number *k, size_t n, uint32_t *nmembers)
{
	struct writer w = { .fd = fd };
	long r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = put_epoll(fd, &k[i]);
	for (size_t i = 0; i < n && !r; i++) {
		struct vos_epoll *e = vos_epoll_get(k[i].word);

		r = e ? put_members(&w, e, (uint32_t)i) : 0;
	}
	if (!r)
		r = flush(&w);
	*nmembers = w.total;
	return r;
}

/* --- after ------------------------------------------------------------------------------------ */

static struct vos_epoll *record_of(const struct vos_state_epoll *s)
{
	return vos_epoll_get(vos_fd((long)s->fd));
}

/* Another number of one that came before has its record already. */
static void restore(const struct vos_state_epoll *s, const int domain_here[VOS_MAX_DOMAINS])
{
	struct vos_epoll *e;

	if (vos_epoll_adopt((long)s->fd, &e))
		return;
	e->nested = s->nested;
	e->dead = true; /* perhaps: whoever waits finds out */
	for (int d = 0; d < VOS_MAX_DOMAINS; d++) {
		int here = domain_here[d];

		if (s->companion[d] && here >= 0)
			e->companion[here] = VOS_WORD(s->companion[d] & VOS_HANDLE_MASK, here,
						      VOS_FD_EPOLL, vos_domain[here].inc);
	}
}

void vos_epoll_restore(const struct vos_state_epoll *s, size_t n, const struct vos_state_member *m,
		       size_t nmembers, const int domain_here[VOS_MAX_DOMAINS])
{
	for (size_t i = 0; i < n; i++)
		restore(&s[i], domain_here);
	for (size_t i = 0; i < nmembers; i++) {
		struct epoll_event ev = { .events = m[i].events, .data.u64 = m[i].data };
		struct vos_epoll *e = m[i].epoll < n ? record_of(&s[m[i].epoll]) : NULL;
		uint64_t word = 0;
		struct vos_member was;

		if (VOS_WORD_KIND(m[i].word) == VOS_FD_EPOLL) {
			for (size_t j = 0; j < n && !word; j++)
				if (s[j].word == m[i].word && record_of(&s[j]))
					word = vos_fd((long)s[j].fd);
		} else {
			word = vos_state_word(m[i].word, domain_here);
		}
		if (!e || !word || vos_epoll_note(e, EPOLL_CTL_ADD, m[i].fd, word, &ev, &was))
			continue;
		vos_epoll_member(e, m[i].fd)->told = m[i].told;
	}
}
