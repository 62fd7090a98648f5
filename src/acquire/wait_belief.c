/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/wait_belief.h"

#include "lease/lease_held.h"

int64_t lh_beats_add(lh_beats *beats, int64_t now)
{
    beats->sent[beats->next % LH_BEATS_KEPT] = now;
    return beats->next++;
}

int64_t lh_beats_deadline(const lh_beats *beats, int64_t beat, int64_t ttl_ms, int64_t claim_ms)
{
    if (beat < 0 || beat >= beats->next || beat + LH_BEATS_KEPT < beats->next)
        return 0;
    int64_t ms = ttl_ms < claim_ms ? ttl_ms : claim_ms;
    return beats->sent[beat % LH_BEATS_KEPT] + ms - LH_DRIFT_MS(ms);
}
