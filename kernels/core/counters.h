// Counts what launches on the emulated target do: accesses to global memory, atomic additions, barriers, and how many
// lanes of a warp work at a time. Built with the feature `counters`, where the compiler puts a call before each access
// to memory and each basic block of the kernels (-fsanitize=thread, -fsanitize-coverage=trace-pc); the functions that it
// calls are in counters.cpp, not in a sanitizer.
#pragma once
#include "core/emulated.h"

/// Begins to count a launch into `counts`; null counts nothing until the next launch.
void gf_counters_begin(EmulatedCounts* counts);

/// Says that memory is not global until the next launch: stacks, shared memory, the scheduler's own.
void gf_counters_ignore(const void* begin, size_t bytes);

/// Adds up the accesses of a block that has ended.
void gf_counters_end_block();

/// A barrier that all threads of a block, or of a warp, have reached.
void gf_counters_barrier(bool of_block);
