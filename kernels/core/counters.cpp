// What the compiler's calls in the kernels of the emulated target count (counters.h).
//
// The threads of a warp run one after another here, so the lanes of one request are found afterwards: the n-th time that
// a lane comes to a place in the code belongs to the n-th time that the other lanes come there. That is what a GPU does
// where lanes take the same path, and the best that lanes on different paths could do.
#include "core/counters.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "args.h"

namespace {

const uint32_t WARP = 32;
const uint32_t WARPS = GF_BLOCK / WARP;
const uint64_t SECTOR = 32;  // bytes that a GPU's memory moves at least

enum Kind : uint64_t { READ, WRITE, ADD };

/// An access of a lane: which request of its warp it belongs to, and where it goes.
struct Access {
    uint64_t request, where;
    bool operator<(const Access& other) const {
        return request != other.request ? request < other.request : where < other.where;
    }
    bool operator==(const Access& other) const { return request == other.request && where == other.where; }
};

struct Range {
    uintptr_t begin, end;
};

/// How often each thread of the running block has come to each place in the code.
class Visits {
public:
    /// Number of the place, and how often this thread was there before.
    void visit(const void* place, uint32_t thread, uint32_t& number, uint32_t& before) {
        const auto added = numbers_.emplace(place, (uint32_t)counts_.size());
        if (added.second) counts_.emplace_back();
        number = added.first->second;
        before = counts_[number][thread]++;
    }
    void end_block() {
        for (auto& of_threads : counts_) of_threads.fill(0);
    }
    void end_launch() {
        numbers_.clear();
        counts_.clear();
    }
    const std::vector<std::array<uint32_t, GF_BLOCK>>& counts() const { return counts_; }

private:
    std::unordered_map<const void*, uint32_t> numbers_;
    std::vector<std::array<uint32_t, GF_BLOCK>> counts_;
};

struct Counters {
    EmulatedCounts* counts = nullptr;
    std::vector<Range> ignored;
    Visits accesses_by_place, branches_by_place;
    std::vector<Access> accesses, additions;
};

thread_local Counters counters;

extern "C" char __executable_start, _end;

Range stack_of_this_thread() {
    pthread_attr_t attributes;
    void* begin;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {0, 0};
    pthread_attr_getstack(&attributes, &begin, &bytes);
    pthread_attr_destroy(&attributes);
    return {(uintptr_t)begin, (uintptr_t)begin + bytes};
}

bool is_global(uintptr_t address) {
    for (const Range& range : counters.ignored)
        if (address - range.begin < range.end - range.begin) return false;
    return true;
}

/// The request of its warp that this access of the running thread belongs to.
uint64_t request_of(Kind kind, const void* place) {
    const uint32_t thread = gf_emulated_now.thread.x;
    uint32_t number, before;
    counters.accesses_by_place.visit(place, thread, number, before);
    return kind << 62 | (uint64_t)(thread / WARP) << 56 | (uint64_t)number << 32 | before;
}

void access(Kind kind, const void* address, size_t bytes, const void* place) {
    if (!counters.counts || !is_global((uintptr_t)address)) return;
    (kind == READ ? counters.counts->bytes_read : counters.counts->bytes_written) += bytes;
    const uint64_t request = request_of(kind, place);
    const uint64_t last = ((uintptr_t)address + bytes - 1) / SECTOR;
    for (uint64_t sector = (uintptr_t)address / SECTOR; sector <= last; ++sector)
        counters.accesses.push_back({request, sector});
}

}  // namespace

void gf_counters_begin(EmulatedCounts* counts) {
    counters.counts = counts;
    counters.accesses_by_place.end_launch();
    counters.branches_by_place.end_launch();
    if (!counts) return;
    static thread_local const Range stack = stack_of_this_thread();
    // Constants of the program are in its image; a GPU has them in constant memory or in instructions.
    counters.ignored = {stack, {(uintptr_t)&__executable_start, (uintptr_t)&_end}};
    gf_counters_ignore(&gf_emulated_now, sizeof gf_emulated_now);
}

void gf_counters_ignore(const void* begin, size_t bytes) {
    if (counters.counts) counters.ignored.push_back({(uintptr_t)begin, (uintptr_t)begin + bytes});
}

void gf_counters_barrier(bool of_block) {
    if (counters.counts) ++(of_block ? counters.counts->block_barriers : counters.counts->warp_barriers);
}

void gf_counters_end_block() {
    if (!counters.counts) return;
    EmulatedCounts& counts = *counters.counts;
    ++counts.blocks;

    auto& accesses = counters.accesses;
    std::sort(accesses.begin(), accesses.end());
    accesses.erase(std::unique(accesses.begin(), accesses.end()), accesses.end());
    for (const Access& one : accesses) ++(one.request >> 62 == READ ? counts.sectors_read : counts.sectors_written);
    accesses.clear();

    auto& additions = counters.additions;
    counts.additions += additions.size();
    std::sort(additions.begin(), additions.end());
    for (size_t n = 1; n < additions.size(); ++n) counts.collide_in_warp += additions[n] == additions[n - 1];
    std::sort(additions.begin(), additions.end(),
              [](const Access& one, const Access& other) { return one.where < other.where; });
    for (size_t n = 1; n < additions.size(); ++n)
        counts.collide_in_block += additions[n].where == additions[n - 1].where;
    additions.clear();

    for (const auto& of_threads : counters.branches_by_place.counts()) {
        for (uint32_t warp = 0; warp < WARPS; ++warp) {
            const auto begin = of_threads.begin() + warp * WARP, end = begin + WARP;
            counts.warp_steps += *std::max_element(begin, end);
            for (auto lane = begin; lane != end; ++lane) counts.lane_steps += *lane;
        }
    }
    counters.accesses_by_place.end_block();
    counters.branches_by_place.end_block();
}

extern "C" {

void gf_count_addition(const void* address, size_t bytes, const void* place) {
    if (!counters.counts || !is_global((uintptr_t)address)) return;
    counters.counts->bytes_added += bytes;
    counters.additions.push_back({request_of(ADD, place), (uintptr_t)address});
}

// What GCC's and Clang's instrumentation calls.

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_read_range(void* address, size_t bytes) { access(READ, address, bytes, __builtin_return_address(0)); }
void __tsan_write_range(void* address, size_t bytes) { access(WRITE, address, bytes, __builtin_return_address(0)); }

#define GF_COUNT(bytes)                                                                                                \
    void __tsan_read##bytes(void* address) { access(READ, address, bytes, __builtin_return_address(0)); }              \
    void __tsan_write##bytes(void* address) { access(WRITE, address, bytes, __builtin_return_address(0)); }            \
    void __tsan_unaligned_read##bytes(void* address) { access(READ, address, bytes, __builtin_return_address(0)); }    \
    void __tsan_unaligned_write##bytes(void* address) { access(WRITE, address, bytes, __builtin_return_address(0)); }
GF_COUNT(1)
GF_COUNT(2)
GF_COUNT(4)
GF_COUNT(8)
GF_COUNT(16)
#undef GF_COUNT

void __sanitizer_cov_trace_pc() {
    if (!counters.counts) return;
    uint32_t number, before;
    counters.branches_by_place.visit(__builtin_return_address(0), gf_emulated_now.thread.x, number, before);
}

}  // extern "C"
