// The hot loops of CasyncChunking that Swift cannot express: it has no per-function target attribute.
//
// Every kernel has a twin in Swift (Sources/CasyncChunking/*+Portable.swift) that gives the same result on
// any CPU. A kernel may only be called on a CPU that ck_cpu_tier() says has it. None allocates, blocks, or
// keeps a pointer; none reads or writes outside the ranges its arguments name.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// What this CPU has: 0 none of the below, 1 AVX2, 2 AVX-512 (F, BW, DQ, VL, VBMI, VNNI) as well.
int ck_cpu_tier(void);

// Whether this CPU has the SHA extensions (SHA-NI).
int ck_cpu_has_sha(void);

// The 256 words of casync's rolling hash (docs/formats/buzhash.md), by byte.
const uint32_t *ck_buzhash_table(void);

#endif
