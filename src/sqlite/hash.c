/*
** xxh64 of pages, seeded with their numbers; included by live.c. The algorithm is xxHash's own header.
*/
#define XXH_INLINE_ALL
#define XXH_NO_XXH3
#include "xxhash.h"

/* xxh64 of n bytes, seeded with two words; aHash gets the high and the low word. */
LIVE_API void live_hash(const unsigned char *a, int n, u32 high, u32 low, u32 *aHash){
  XXH64_hash_t hash = XXH64(a, (size_t)n, ((u64)high<<32) | low);
  aHash[0] = (u32)(hash>>32);
  aHash[1] = (u32)hash;
}

/* Of nPage pages that stand side by side, the first of them page pgno: two words of each. */
LIVE_API void live_hash_pages(const unsigned char *a, int szPage, int nPage, u32 pgno, u32 *aHash){
  int i;
  for(i=0; i<nPage; i++) live_hash(a + (size_t)i*szPage, szPage, 0, pgno+i, aHash + 2*i);
}
