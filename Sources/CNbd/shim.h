// Like CLinux: the system headers below must look the same in both modules.
#define _GNU_SOURCE
#include <libnbd.h>
