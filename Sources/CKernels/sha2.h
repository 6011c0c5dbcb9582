// A SHA-2 digest with a message in each lane of vectors. Included once for each algorithm, with WORD, a word;
// SWAP, which turns its bytes round; MOST, the lanes of the widest vectors; COUNT, the number of rounds; their
// constants k and the initial state; and LARGE0, LARGE1, SMALL0 and SMALL1, by how much the four functions of
// FIPS 180-4, 4.1.2 and 4.1.3 rotate and shift.
#include "lanes.h"

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)

enum { BLOCK = 16 * sizeof(WORD) };

// Word i of the state of every lane.
struct states {
  WORD word[8][MOST] __attribute__((aligned(64)));
};

static void start(void* all, int lane) {
  struct states* states = all;
  for (int i = 0; i < 8; i++) states->word[i][lane] = initial[i];
}

// 32 bytes, of SHA-512/256 the first half of the state.
static void store_digest(const void* all, int lane, uint8_t* digest) {
  const struct states* states = all;
  for (size_t i = 0; i < 32 / sizeof(WORD); i++) {
    const WORD word = SWAP(states->word[i][lane]);
    memcpy(digest + i * sizeof word, &word, sizeof word);
  }
}

// One lane, for the end when the others have run out of messages.

#define V WORD
#define TARGET __attribute__((always_inline))
#define ROUNDS rounds1
#include "sha2_rounds.h"

static void compress1(void* all, int lane, const uint8_t* message, size_t blocks) {
  struct states* states = all;
  WORD s[8];
  for (int i = 0; i < 8; i++) s[i] = states->word[i][lane];
  for (; blocks != 0; blocks--, message += BLOCK) {
    WORD w[16], before[8];
    memcpy(w, message, sizeof w);
    memcpy(before, s, sizeof s);
    for (int i = 0; i < 16; i++) w[i] = SWAP(w[i]);
    rounds1(s, w);
    for (int i = 0; i < 8; i++) s[i] += before[i];
  }
  for (int i = 0; i < 8; i++) states->word[i][lane] = s[i];
}

// The function `name` for `width` lanes in vectors of type V: `load` gives the words of a block of each.
#define COMPRESS(name, width, V, attributes, load, rounds)                               \
  attributes static void name(void* all, const uint8_t* const* messages, size_t blocks) { \
    struct states* states = all;                                                         \
    V s[8];                                                                              \
    const uint8_t* at[width];                                                            \
    for (int i = 0; i < width; i++) at[i] = messages[i];                                 \
    for (int i = 0; i < 8; i++) s[i] = *(const V*)states->word[i];                       \
    for (; blocks != 0; blocks--) {                                                      \
      V w[16], before[8];                                                                \
      load(at, w);                                                                       \
      for (int i = 0; i < 8; i++) before[i] = s[i];                                      \
      rounds(s, w);                                                                      \
      for (int i = 0; i < 8; i++) s[i] += before[i];                                     \
      for (int i = 0; i < width; i++) at[i] += BLOCK;                                    \
    }                                                                                    \
    for (int i = 0; i < 8; i++) *(V*)states->word[i] = s[i];                             \
  }

static void run(const struct ck_job* jobs, size_t count, int width, compress_lanes* compress) {
  const struct vector_digest digest = {BLOCK, width, start, compress, compress1, store_digest};
  struct states states;
  run_jobs(&digest, &states, jobs, count);
}
