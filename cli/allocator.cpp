// jemalloc's settings, which it reads at the program's start: what is freed is kept for the next step, as the
// page faults of getting it back from the system cost as much as the arithmetic (a decay of -1), and large
// tensors share one arena, where they fill each other's gaps.

extern "C" {
// The name is jemalloc's.
extern const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,narenas:1";  // NOLINT
}
