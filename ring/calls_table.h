/* SPDX-License-Identifier: MIT */
/* The descriptions of all ops; static, so that marshalling with a constant op folds away. */
#ifndef VOS_CALLS_TABLE_H
#define VOS_CALLS_TABLE_H

#include "ring/calls.h"

static const struct vos_op_desc vos_ops[VOS_NOPS] __attribute__((unused)) = {
#define VOS_OP(name, nr, run, a, b, c, d, e, f) \
	[VOS_OP_##                              \
		name] = { #name,                \
			  nr,                   \
			  VOS_RUN_##run,        \
			  { VOS_A_##a, VOS_A_##b, VOS_A_##c, VOS_A_##d, VOS_A_##e, VOS_A_##f } },
#include "ring/calls.def"
};

#endif
