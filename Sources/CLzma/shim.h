#include <lzma.h>

// Macros that Swift does not import.
static const lzma_vli casync_lzma_filter_lzma2 = LZMA_FILTER_LZMA2;
static const lzma_vli casync_lzma_filter_end = LZMA_VLI_UNKNOWN;
