// Lanes of a multi-buffer digest: which message each is at, its padding, and taking the next one.
#ifndef CK_LANES_H
#define CK_LANES_H

#include <string.h>

#include "CKernels.h"

enum { MOST_LANES = 16 };

struct lane {
  const uint8_t* at;
  // Blocks left at `at`; 0 in a lane that is idle.
  size_t blocks;
  uint8_t* digest;
  // The message's last bytes and its padding, of one or two blocks; 0 once they are under way.
  size_t tail_blocks;
  uint8_t tail[2 * 128];
};

struct lanes {
  const struct ck_job *next, *end;
  // Bytes of a block: 64 with a length of 8 bytes at its end, or 128 with one of 16.
  size_t block;
  struct lane lane[MOST_LANES];
};

// Once the whole blocks of a lane's message are done: on to its padding.
static inline void start_tail(struct lane* lane) {
  lane->at = lane->tail;
  lane->blocks = lane->tail_blocks;
  lane->tail_blocks = 0;
}

// Gives `lane` the next message; 0 when there is none.
static inline int take_job(struct lanes* lanes, struct lane* lane) {
  if (lanes->next == lanes->end) return 0;
  const struct ck_job* job = lanes->next++;
  const size_t block = lanes->block, rest = job->length % block, length_size = block / 8;
  lane->at = job->bytes;
  lane->blocks = job->length / block;
  lane->digest = job->digest;
  lane->tail_blocks = rest + 1 + length_size <= block ? 1 : 2;
  const size_t end = lane->tail_blocks * block;
  memset(lane->tail, 0, end);
  if (rest > 0) memcpy(lane->tail, job->bytes + (job->length - rest), rest);
  lane->tail[rest] = 0x80;
  // The length in bits; a length in memory has no more than 61 bits of bytes.
  const uint64_t bits = (uint64_t)job->length * 8;
  for (int i = 0; i < 8; i++) lane->tail[end - 1 - i] = (uint8_t)(bits >> 8 * i);
  if (lane->blocks == 0) start_tail(lane);
  return 1;
}

// The blocks that all busy lanes have in a row.
static inline size_t common_blocks(const struct lanes* lanes, int count) {
  size_t least = SIZE_MAX;
  for (int i = 0; i < count; i++) {
    if (lanes->lane[i].blocks != 0 && lanes->lane[i].blocks < least) least = lanes->lane[i].blocks;
  }
  return least;
}

// Moves a busy lane on by `blocks`; whether its message is now done.
static inline int advance(struct lanes* lanes, struct lane* lane, size_t blocks) {
  lane->at += blocks * lanes->block;
  lane->blocks -= blocks;
  if (lane->blocks != 0) return 0;
  if (lane->tail_blocks == 0) return 1;
  start_tail(lane);
  return 0;
}

// `blocks` blocks of a message in each lane.
typedef void compress_lanes(void* states, const uint8_t* const* messages, size_t blocks);

// A digest whose lanes are the lanes of vectors, with what it keeps of them in `states`.
struct vector_digest {
  // Bytes of a block.
  size_t block;
  // The number of lanes.
  int width;
  void (*start)(void* states, int lane);
  compress_lanes* compress;
  // `blocks` blocks of the message in one lane.
  void (*compress_one)(void* states, int lane, const uint8_t* message, size_t blocks);
  void (*store)(const void* states, int lane, uint8_t* digest);
};

// Runs the jobs. An idle lane works on the message of a busy one, for nothing.
static inline void run_jobs(const struct vector_digest* digest, void* states, const struct ck_job* jobs,
                            size_t count) {
  struct lanes lanes = {.next = jobs, .end = jobs + count, .block = digest->block};
  int busy = 0;
  for (int i = 0; i < digest->width; i++) {
    digest->start(states, i);
    lanes.lane[i].blocks = 0;
    if (take_job(&lanes, &lanes.lane[i])) busy++;
  }
  while (busy > 0) {
    const uint8_t* at[MOST_LANES];
    int last = 0;
    for (int i = 0; i < digest->width; i++) {
      if (lanes.lane[i].blocks != 0) last = i;
    }
    for (int i = 0; i < digest->width; i++) at[i] = lanes.lane[lanes.lane[i].blocks != 0 ? i : last].at;
    const size_t blocks = common_blocks(&lanes, digest->width);
    if (busy == 1) {
      digest->compress_one(states, last, at[last], blocks);
    } else {
      digest->compress(states, at, blocks);
    }
    for (int i = 0; i < digest->width; i++) {
      struct lane* lane = &lanes.lane[i];
      if (lane->blocks == 0 || !advance(&lanes, lane, blocks)) continue;
      digest->store(states, i, lane->digest);
      digest->start(states, i);
      if (!take_job(&lanes, lane)) busy--;
    }
  }
}

#endif
