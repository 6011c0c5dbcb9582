#include "CKernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

int ck_cpu_tier(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) return 0;
  int wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
  return wide ? 2 : 1;
}

int ck_cpu_has_sha(void) {
  unsigned a, b, c, d;
  // Leaf 7, EBX bit 29; the instructions work on XMM registers, which every x86-64 system saves.
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

#else

int ck_cpu_tier(void) { return 0; }
int ck_cpu_has_sha(void) { return 0; }

#endif
