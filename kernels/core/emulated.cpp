// The scheduler of the emulated target: runs the threads of a block as fibers that switch at barriers.
//
// Between two barriers, each fiber runs without interruption, in order or in reverse order. A warp runs until all of
// its threads wait at the block barrier (or have ended) before the next warp starts. Threads that exchange data without
// a barrier between write and read therefore read different data in the two orders.
//
// A fiber is started by ucontext and from then on switched by setjmp and longjmp, which do not save the signal mask:
// saving it takes two system calls per switch.
#undef _FORTIFY_SOURCE  // its longjmp treats a jump to another stack as an error
#include "core/emulated.h"

#include "args.h"
#if defined(GF_COUNTED)
#include "core/counters.h"
#endif

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <memory>
#include <vector>

__thread EmulatedNow gf_emulated_now;

namespace {

const uint32_t THREADS = GF_BLOCK;
const uint32_t WARP = 32;
const size_t STACK_BYTES = 128 * 1024;

enum State { READY, AT_WARP_BARRIER, AT_BLOCK_BARRIER, ENDED };

struct Fiber {
    ucontext_t begin;
    jmp_buf at;  // where it resumes
    bool has_begun;
    State state;
    const char* file;  // source location of the barrier it waits at
    int line;
};

struct Scheduler {
    jmp_buf at;
    std::vector<Fiber> fibers;
    std::unique_ptr<char[]> stacks;  // of all fibers
    uint64_t slots[THREADS / WARP][GF_EMULATED_SLOTS * WARP];
    std::vector<unsigned char> shared;
    const EmulatedLaunch* launch;
    const EmulatedOptions* options;
    uint32_t running;
    bool in_fiber;
    char message[512];
};

thread_local std::unique_ptr<Scheduler> scheduler;

/// Switches from the running fiber to the scheduler, until the fiber is run again.
void leave_fiber(Scheduler& s, State state) {
    Fiber& fiber = s.fibers[s.running];
    fiber.state = state;
    if (_setjmp(fiber.at) == 0) _longjmp(s.at, 1);
}

/// Body of a fiber: runs its thread for one block after another.
void enter_fiber() {
    for (;;) {
        scheduler->launch->thread(scheduler->launch->arguments, scheduler->launch->n_items);
        leave_fiber(*scheduler, ENDED);
    }
}

/// Resets all fibers to the state before their first run.
void make_fibers(Scheduler& s) {
    for (size_t n = 0; n < s.fibers.size(); ++n) {
        Fiber& fiber = s.fibers[n];
        getcontext(&fiber.begin);
        fiber.begin.uc_stack.ss_sp = &s.stacks[n * STACK_BYTES];
        fiber.begin.uc_stack.ss_size = STACK_BYTES;
        fiber.begin.uc_link = nullptr;  // it never returns
        makecontext(&fiber.begin, enter_fiber, 0);
        fiber.has_begun = false;
    }
}

void wait(State state, const char* file, int line) {
    Scheduler& s = *scheduler;
    if (!s.in_fiber) {
        fprintf(stderr, "kernel %s: an item kernel has no barriers (%s:%d)\n", s.launch->kernel, file, line);
        abort();
    }
    s.fibers[s.running].file = file;
    s.fibers[s.running].line = line;
    leave_fiber(s, state);
}

void run_fiber(Scheduler& s, uint32_t thread) {
    s.running = thread;
    s.in_fiber = true;
    gf_emulated_now.thread = {thread, 0, 0};
    if (_setjmp(s.at) == 0) {
        Fiber& fiber = s.fibers[thread];
        if (fiber.has_begun) _longjmp(fiber.at, 1);
        fiber.has_begun = true;
        setcontext(&fiber.begin);
    }
    s.in_fiber = false;
}

/// Describes the state of a thread; returns the number of characters.
int describe(const Scheduler& s, uint32_t thread, char* text, size_t size) {
    const Fiber& fiber = s.fibers[thread];
    if (fiber.state == ENDED) return snprintf(text, size, "thread %u has ended", thread);
    const char* kind = fiber.state == AT_WARP_BARRIER ? "warp" : "block";
    return snprintf(text, size, "thread %u waits for its %s at %s:%d", thread, kind, fiber.file, fiber.line);
}

bool divergence(Scheduler& s, uint32_t one, uint32_t other) {
    size_t used = (size_t)snprintf(s.message, sizeof s.message, "kernel %s, block (%u, %u): ", s.launch->kernel,
                                   gf_emulated_now.block.x, gf_emulated_now.block.y);
    used += (size_t)describe(s, one, s.message + used, sizeof s.message - used);
    used += (size_t)snprintf(s.message + used, sizeof s.message - used, " while ");
    describe(s, other, s.message + used, sizeof s.message - used);
    return false;
}

/// Returns whether threads [begin, end) are all in the same place as the first of them; otherwise sets `other` to the
/// first that is not.
bool together(const Scheduler& s, uint32_t begin, uint32_t end, uint32_t& other) {
    const Fiber& first = s.fibers[begin];
    for (other = begin + 1; other < end; ++other) {
        const Fiber& fiber = s.fibers[other];
        if (fiber.state != first.state) return false;
        if (fiber.state != ENDED && (fiber.line != first.line || strcmp(fiber.file, first.file) != 0)) return false;
    }
    return true;
}

// Without the feature `counters`, nothing is counted.

void begin_counting([[maybe_unused]] const Scheduler& s) {
#if defined(GF_COUNTED)
    gf_counters_begin(s.options->counts);
    gf_counters_ignore(&s, sizeof s);
    gf_counters_ignore(s.shared.data(), s.shared.size());
    gf_counters_ignore(s.stacks.get(), THREADS * STACK_BYTES);
#endif
}

void count_barrier([[maybe_unused]] bool of_block) {
#if defined(GF_COUNTED)
    gf_counters_barrier(of_block);
#endif
}

void count_block() {
#if defined(GF_COUNTED)
    gf_counters_end_block();
#endif
}

void release(Scheduler& s, uint32_t begin, uint32_t end) {
    for (uint32_t thread = begin; thread < end; ++thread) s.fibers[thread].state = READY;
}

/// Runs a warp until its threads wait at the block barrier or have ended. Returns false if some wait at a barrier that
/// the others do not reach.
bool run_warp(Scheduler& s, uint32_t begin) {
    const uint32_t end = begin + WARP;
    for (;;) {
        for (uint32_t n = 0; n < WARP; ++n) {
            const uint32_t thread = s.options->reverse ? end - 1 - n : begin + n;
            if (s.fibers[thread].state == READY) run_fiber(s, thread);
        }
        uint32_t other;
        if (!together(s, begin, end, other)) return divergence(s, begin, other);
        if (s.fibers[begin].state != AT_WARP_BARRIER) return true;
        count_barrier(false);
        release(s, begin, end);
    }
}

bool run_block_of_fibers(Scheduler& s) {
    release(s, 0, THREADS);
    for (;;) {
        for (uint32_t n = 0; n < THREADS; n += WARP) {
            if (!run_warp(s, s.options->reverse ? THREADS - WARP - n : n)) return false;
        }
        uint32_t other;
        if (!together(s, 0, THREADS, other)) return divergence(s, 0, other);
        if (s.fibers[0].state == ENDED) return true;
        count_barrier(true);
        release(s, 0, THREADS);
    }
}

void run_block_of_loops(Scheduler& s) {
    for (uint32_t n = 0; n < THREADS; ++n) {
        gf_emulated_now.thread = {s.options->reverse ? THREADS - 1 - n : n, 0, 0};
        s.launch->thread(s.launch->arguments, s.launch->n_items);
    }
}

}  // namespace

extern "C" const char* gf_emulated_launch(const EmulatedLaunch* launch, const EmulatedOptions* options) {
    if (!scheduler) {
        scheduler = std::make_unique<Scheduler>();
        scheduler->fibers.resize(THREADS);
        scheduler->stacks.reset(new char[THREADS * STACK_BYTES]);
        make_fibers(*scheduler);
    }
    Scheduler& s = *scheduler;
    s.launch = launch;
    s.options = options;
    const size_t alignment = 128;
    s.shared.resize(launch->shared_bytes + alignment);
    gf_emulated_now.shared = s.shared.data() + (alignment - (uintptr_t)s.shared.data() % alignment) % alignment;
    gf_emulated_now.block_size = {THREADS, 1, 1};
    begin_counting(s);
    const uint32_t n_blocks = launch->blocks * launch->rows;
    for (uint32_t n = 0; n < n_blocks; ++n) {
        const uint32_t block = options->reverse ? n_blocks - 1 - n : n;
        gf_emulated_now.block = {block % launch->blocks, block / launch->blocks, 0};
        memset(s.shared.data(), 0xff, s.shared.size());  // NaN in fp16, fp32 and fp64
        if (!launch->has_barriers)
            run_block_of_loops(s);
        else if (!run_block_of_fibers(s)) {
            make_fibers(s);  // abandon the fibers that can never resume
            return s.message;
        }
        count_block();
    }
    return nullptr;
}

extern "C" void gf_emulated_block_barrier(const char* file, int line) { wait(AT_BLOCK_BARRIER, file, line); }

extern "C" void gf_emulated_warp_barrier(const char* file, int line) { wait(AT_WARP_BARRIER, file, line); }

extern "C" uint64_t* gf_emulated_slots() { return scheduler->slots[scheduler->running / WARP]; }
