// libFuzzer as a library (llvm compiler-rt, FuzzerDriver.cpp): main stays ours.
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
