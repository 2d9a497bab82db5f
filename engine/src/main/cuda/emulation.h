// CUDA on the CPU: the same kernel text as on a GPU, every thread of a block a fiber.
//
// IDEA. A kernel is compiled by g++ as an ordinary function. A launch shares its blocks between the calling thread
// and a few others; such a worker runs one block at a time and gives each CUDA thread a stack of its own. A thread
// runs until it has to wait for others (a barrier, a shuffle, a warp's matrix product), puts itself in the list of
// whoever will wake it and switches to the next thread that can run: a dozen instructions, no system call, no lock.
// What a warp does together is done once, by the lane that arrives last, for all lanes: each lane leaves a pointer to
// its operands (they lie on its stack, which does not move), so that mma16816 costs 31 switches and one small matrix
// product.
//
// INVARIANTS
//  - Everything of one block happens on one worker; only global memory and the launch's counters are shared between
//    workers. So the state of a block needs no atomics, and `static thread_local` is shared memory.
//  - A thread is in exactly one place: not started, running, ready, in the list of what it waits for, or finished.
//  - Nothing polls. When nobody is ready, bulk copies that are still due are carried out, oldest first; when none is
//    due either, the block can never go on: the launch fails and says how many threads wait where.
//  - Warps start in order and a warp runs on until all its lanes wait for something outside it, unless a seed draws
//    the order and who goes on after a barrier. Results must not depend on it.
//  - A worker's stacks lie in one region aligned to its size, the worker's own record at its bottom: the stack
//    pointer alone tells who runs, without thread-local lookups. A stack is reused as soon as its thread returns, so
//    that a kernel without barriers runs a whole block on one.
//  - Shared memory is filled with 0xff (NaN as float, bf16 and fp8) before each block. Dynamic shared memory ends at
//    an inaccessible page, to within the rounding up of its size to 1024 bytes; the rounding is checked after the
//    block.
//
// WHAT IT IS STRICT ABOUT, because a GPU would fail or be silently wrong: lanes missing from mma16816, wgmma and
// ldmatrix; a lane outside its own mask; shuffles from lanes that take no part (garbage); barriers nobody completes;
// alignment and memory space of asynchronous copies; an mbarrier used before mbar_init; wgmma without a fence since
// the latest wait; copies and products that outlive their block. Asynchronous copies and wgmma take effect, by turns,
// at once or as late as the program allows, a copy's destination garbage until then: a missing wait shows as wrong
// numbers here too. A thread that has returned no longer counts, neither at __syncthreads nor in a mask.
//
// WHAT IT CANNOT SHOW
//  - Races. Threads switch only where they wait, memory is sequentially consistent; a missing __syncthreads shows
//    only if the order of threads makes it visible (run with several seeds), a missing __threadfence never does.
//  - The rounding of tensor cores. Matrix products here are f32 fused multiply-adds in ascending k, one after
//    another, the same for mma16816 and wgmma; hardware adds groups of products with truncated alignment.
//    Transcendental functions are libm's, not ex2.approx.
//  - Contraction: nvcc makes fma of a*b+c where it likes, g++ is told not to. Spell fmaf where bits matter.
//  - Time, registers, bank conflicts, occupancy; proxies (fence_async_proxy does nothing here); misaligned loads
//    through plain pointers (build the test with -fsanitize=alignment); the NaN payloads and subnormals of fast
//    arithmetic.
//  - Waiting for another block, or spinning on memory: a thread is never preempted, such a kernel hangs.
//
// ENVIRONMENT
//   VERDIER_EMULATED_THREADS  workers, the caller included, default 2; read once
//   VERDIER_EMULATED_SEED     0 (default): warps in order; otherwise warps and lanes start in an order drawn from it
//   VERDIER_EMULATED_ASYNC    mixed (default), early or late: when asynchronous copies and wgmma take effect
//
// Compile with -ffp-contract=off. An exported verdier_launch_<kernel> takes what cuLaunchKernel takes, returns when the
// kernel is done, with 0, or with 1 and the reason in verdier_emulated_error(). Launches of several threads take turns.
//
// Measured by emulation_test (best of 15, one core of a Xeon whose other cores were busy): a switch 10 ns, mma16816
// 0.7 us, wgmma 0.4 us for each 16x8x16 in it, a thread that only stores 12 ns, a launch 0.6 us.
#pragma once

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <link.h>
#endif
#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(VERDIER_UCONTEXT)
#define VERDIER_UCONTEXT  // may be defined to try it
#endif
#ifdef VERDIER_UCONTEXT
#include <ucontext.h>
#endif

#pragma GCC diagnostic ignored "-Wunknown-pragmas"  // #pragma unroll

// From here to the end of the library nothing is exported but what says so: two libraries in one process must not share
// workers or shared memory.
#pragma GCC visibility push(hidden)

// ---------------------------------------------------------------------------------------------------------------------
// The language: qualifiers, vector types
// ---------------------------------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define CUDART_INF_F __builtin_inff()
#define CUDART_NAN_F __builtin_nanf("")

#define VERDIER_VECTORS(T, name, bytes)                  \
  struct __align__(sizeof(T)) name##1 { T x; };          \
  struct __align__(2 * sizeof(T)) name##2 { T x, y; };   \
  struct name##3 { T x, y, z; };                         \
  struct __align__(bytes) name##4 { T x, y, z, w; };     \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VERDIER_VECTORS(float, float, 16)
VERDIER_VECTORS(int, int, 16)
VERDIER_VECTORS(unsigned, uint, 16)
VERDIER_VECTORS(unsigned short, ushort, 8)
VERDIER_VECTORS(unsigned char, uchar, 4)
VERDIER_VECTORS(long long, longlong, 16)
VERDIER_VECTORS(unsigned long long, ulonglong, 16)
VERDIER_VECTORS(double, double, 16)
#undef VERDIER_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct bf16 {
  uint16_t bits;
};

typedef uint64_t mbarrier;

#define VERDIER_HAS_BULK 1
#define VERDIER_HAS_WGMMA 1

// ---------------------------------------------------------------------------------------------------------------------
// Switching stacks
// ---------------------------------------------------------------------------------------------------------------------

namespace verdier_emulated {

constexpr uintptr_t STACK_BYTES = 64 * 1024;  // aligned to their size; the lowest page is inaccessible
constexpr uintptr_t PAGE_BYTES = 4096;

#ifndef VERDIER_UCONTEXT
// A context that does not run is its stack pointer; the registers a call preserves lie on the stack, above them the
// address to go on at. The floating-point control words are the same everywhere and stay.
struct Context {
  void* stack_pointer;
};

extern "C" void verdier_switch_context(Context* from, const Context* to);

#if defined(__x86_64__)
// `ret`, not a jump: lanes mostly wait at the same place, so that the return-address predictor is right here and at the
// returns that follow (a switch took 8.2 ns by `jmp`, 6.1 to 7.3 this way).
asm(R"(
  .pushsection .text
  .weak verdier_switch_context
  .hidden verdier_switch_context
  .type verdier_switch_context, @function
  .p2align 5
verdier_switch_context:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq (%rsi), %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size verdier_switch_context, .-verdier_switch_context
  .popsection
)");

// `top` is 16-byte aligned; entry finds the stack as after a call, with 0 as the address to return to.
inline void prepare(Context& context, char* top, void (*entry)()) {
  void** words = reinterpret_cast<void**>(top - 64);
  for (int i = 0; i < 8; i++) words[i] = nullptr;
  words[6] = reinterpret_cast<void*>(entry);
  context.stack_pointer = words;
}
#else
asm(R"(
  .pushsection .text
  .weak verdier_switch_context
  .hidden verdier_switch_context
  .type verdier_switch_context, %function
  .p2align 5
verdier_switch_context:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  ldr x9, [x1]
  mov sp, x9
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size verdier_switch_context, .-verdier_switch_context
  .popsection
)");

inline void prepare(Context& context, char* top, void (*entry)()) {
  void** words = reinterpret_cast<void**>(top - 160);
  for (int i = 0; i < 20; i++) words[i] = nullptr;
  words[11] = reinterpret_cast<void*>(entry);  // x30
  context.stack_pointer = words;
}
#endif
#else
struct Context {
  ucontext_t state;
};

inline void verdier_switch_context(Context* from, const Context* to) { swapcontext(&from->state, &to->state); }

inline void prepare(Context& context, char* top, void (*entry)()) {
  getcontext(&context.state);
  size_t size = reinterpret_cast<uintptr_t>(top) % STACK_BYTES - PAGE_BYTES;
  context.state.uc_stack.ss_sp = top - size;
  context.state.uc_stack.ss_size = size;
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}
#endif

// ---------------------------------------------------------------------------------------------------------------------
// A block's threads and what they wait for
// ---------------------------------------------------------------------------------------------------------------------

constexpr unsigned THREADS_MAX = 1024;
constexpr unsigned WARPS_MAX = THREADS_MAX / 32;
constexpr unsigned BARRIERS = 16;
constexpr uintptr_t REGION_BYTES = uintptr_t(128) << 20;  // power of two; the worker's record, then the stacks
constexpr uintptr_t RECORD_BYTES = uintptr_t(2) << 20;
constexpr unsigned SHARED_BYTES_MAX = 227 * 1024;
constexpr unsigned SHARED_REGION_BYTES = 228 * 1024;

struct Worker;
struct Warp;

// An asynchronous copy that is still to happen.
struct Copy {
  void* to;
  const void* from;  // null: zeros
  uint32_t bytes;
  uint32_t group;  // cp.async: number of the thread's group; bulk: unused
  mbarrier* bar;   // bulk
};

struct Thread {
  Context context;
  Thread* next;  // in whichever list it is
  Warp* warp;
  unsigned lane;
  uint3 index;
  const char* waits_at;
  char* stack;             // bottom of its slot
  const mbarrier* bar;     // waited for, with this parity
  uint32_t parity;
  int result;              // of a counting barrier
  bool fenced;             // wgmma_fence since the latest wgmma_wait
  std::vector<Copy> copies;  // cp.async
  uint32_t groups;           // cp.async groups committed
  uint64_t products;         // wgmma issued
  uint32_t product_groups;   // wgmma groups committed
  uint64_t marks[8];         // products issued at the latest commits, by group number modulo 8
};

struct List {
  Thread* first = nullptr;
  Thread* last = nullptr;

  void add(Thread* thread) {
    thread->next = nullptr;
    (first ? last->next : first) = thread;
    last = thread;
  }

  void add_all(List& other) {
    if (!other.first) return;
    (first ? last->next : first) = other.first;
    last = other.last;
    other = List();
  }

  void put_in_front(List& other) {
    if (!other.first) return;
    other.last->next = first;
    if (!first) last = other.last;
    first = other.first;
    other = List();
  }

  Thread* take() {
    Thread* thread = first;
    first = thread->next;
    return thread;
  }
};

// Something the lanes of a warp do together: the last lane to arrive does it for all in `lanes`.
struct Operation {
  const char* name;
  void (*work)(Warp& warp, uint32_t lanes);
  bool whole_warp;
};

// Lanes of `mask` gathering for one operation.
struct Meeting {
  const Operation* operation;
  uint32_t mask;
  uint32_t arrived;
  List waiting;
};

// One wgmma, its operands as they were when it was issued.
struct Product {
  uint64_t number;
  uint64_t descriptor;
  int columns;
  float* d[128];
  uint32_t a[128][4];
};

// Four warps; gathers their threads for wgmma and keeps the products that are under way, in order.
struct Warpgroup {
  unsigned arrived;
  int columns;
  uint64_t descriptor;
  List waiting;
  std::vector<Product> products;
};

struct Warp {
  unsigned number;
  uint32_t live;  // lanes that exist and have not returned
  unsigned meetings_open;
  void* deposits[32];
  Warpgroup* group;
  Meeting meetings[32];
};

struct Barrier {
  unsigned arrived;
  unsigned expected;  // 0: all live threads
  int nonzero;        // arrivals with a predicate that held
  List waiting;
};

// When an asynchronous operation takes effect.
enum class Async { MIXED, EARLY, LATE };

struct Launch {
  const char* name;
  void (*call)(void (*function)(), void** params);
  void (*function)();
  dim3 grid, block;
  unsigned shared_bytes;
  void** params;
  uint64_t seed;
  Async async;
  uint64_t blocks;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex error_lock;
  char error[2048] = {};
};

inline thread_local char tls_anchor;  // names this module's thread-local block, which holds the static shared memory

// Lies at the bottom of its region of stacks. Owned by one thread at a time.
struct Worker {
  Thread* current;
  List ready;
  unsigned started, thread_count, live;
  Launch* launch;
  uint3 block_index;
  unsigned char* dynamic_shared;
  uint64_t random;
  std::vector<char*> free_stacks;
  Context main;
  std::vector<Copy> bulk;
  List mbar_waiting;
  Barrier barriers[BARRIERS];
  uint16_t order[THREADS_MAX];
  Warpgroup groups[WARPS_MAX / 4];
  Warp warps[WARPS_MAX];
  Thread threads[THREADS_MAX];
  unsigned char* shared_region;
  char* anchor;  // tls_anchor of the thread that ran latest
  char* static_shared;
  size_t static_shared_bytes;

  static Worker* create();
  void find_static_shared();
  void destroy();
  void run(Launch& work);
  void run_block(uint64_t number);
  void reset(uint64_t number);
  void shuffle_order();
  void retire();
  [[noreturn]] void thread_main();
  void leave(const char* where);
  Thread* next_thread();
  void meet(const Operation& operation, uint32_t mask, void* deposit);
  void close(Warp& warp, Meeting& meeting);
  int barrier(unsigned id, unsigned expected, bool waits, bool predicate, const char* where);
  void release(Barrier& barrier);
  void finish_copy(const Copy& copy);
  void finish_products(Warpgroup& group, uint64_t below);
  void mbar_settle(mbarrier* bar);
  uint64_t draw();
  bool now();
  void perhaps_yield(const char* where);
  bool in_shared(const void* p, size_t bytes) const;
  void expect_spaces(const char* what, const void* shared, const void* global, size_t bytes);
  void report(const char* text);
  [[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 2, 3)));
  [[noreturn]] void deadlock();
};

// Who runs here. Only on a fiber's stack, that is: in kernels.
inline __attribute__((always_inline)) Worker& worker() {
  uintptr_t stack_pointer;
#if defined(__x86_64__)
  asm("movq %%rsp, %0" : "=r"(stack_pointer));
#elif defined(__aarch64__)
  asm("mov %0, sp" : "=r"(stack_pointer));
#else
  stack_pointer = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
#endif
  return *reinterpret_cast<Worker*>(stack_pointer & ~(REGION_BYTES - 1));
}

static_assert(sizeof(Worker) <= RECORD_BYTES && RECORD_BYTES + THREADS_MAX * STACK_BYTES <= REGION_BYTES,
              "the record and the stacks fit in the region");

inline Worker* Worker::create() {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  char* raw = static_cast<char*>(mmap(nullptr, 2 * REGION_BYTES, PROT_NONE, flags, -1, 0));
  if (raw == MAP_FAILED) abort();
  char* region = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(raw) + REGION_BYTES - 1) & ~(REGION_BYTES - 1));
  if (region > raw) munmap(raw, region - raw);
  munmap(region + REGION_BYTES, raw + REGION_BYTES - region);
  mprotect(region, RECORD_BYTES, PROT_READ | PROT_WRITE);
  Worker* worker = new (region) Worker();
  for (unsigned i = THREADS_MAX; i-- > 0;) {
    char* stack = region + RECORD_BYTES + i * STACK_BYTES;
    mprotect(stack + PAGE_BYTES, STACK_BYTES - PAGE_BYTES, PROT_READ | PROT_WRITE);
    worker->free_stacks.push_back(stack);
  }
  char* shared =
      static_cast<char*>(mmap(nullptr, SHARED_REGION_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0));
  if (shared == MAP_FAILED) abort();
  mprotect(shared + SHARED_REGION_BYTES, PAGE_BYTES, PROT_NONE);
  worker->shared_region = reinterpret_cast<unsigned char*>(shared);
  return worker;
}

// The thread-local block of this module on this thread, static shared memory and little else. In a program that is
// linked statically the C library's own variables lie there too: then it is left alone, and not filled with garbage.
// A program that contains kernels (a test) must not keep thread-local variables of its own.
inline void Worker::find_static_shared() {
  if (anchor == &tls_anchor) return;
  anchor = &tls_anchor;
  tls_anchor = 0;  // touched, so that the block exists
  static_shared = nullptr;
#if defined(__linux__)
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        Worker& worker = *static_cast<Worker*>(data);
        char* start = static_cast<char*>(info->dlpi_tls_data);
        if (!start) return 0;
        bool dynamic = info->dlpi_name[0] != 0;
        size_t bytes = 0;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          if (info->dlpi_phdr[i].p_type == PT_INTERP) dynamic = true;
          if (info->dlpi_phdr[i].p_type == PT_TLS) bytes = info->dlpi_phdr[i].p_memsz;
        }
        if (!dynamic || &tls_anchor < start || &tls_anchor >= start + bytes) return 0;
        worker.static_shared = start;
        worker.static_shared_bytes = bytes;
        return 1;
      },
      this);
#endif
}

inline void Worker::destroy() {
  munmap(shared_region, SHARED_REGION_BYTES + PAGE_BYTES);
  this->~Worker();
  munmap(this, REGION_BYTES);
}

inline uint64_t mix(uint64_t x) {  // splitmix64's finalizer
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The next of the block's random numbers.
inline uint64_t Worker::draw() { return mix(random += 0x9e3779b97f4a7c15u); }

// Whether an asynchronous operation takes effect at once.
inline bool Worker::now() {
  if (launch->async != Async::MIXED) return launch->async == Async::EARLY;
  return draw() & 1;
}

// Who completes a barrier goes on first; with a seed, sometimes last.
inline void Worker::perhaps_yield(const char* where) {
  if (!launch->seed || !ready.first || draw() & 1) return;
  ready.add(current);
  leave(where);
}

inline bool Worker::in_shared(const void* p, size_t bytes) const {
  uintptr_t at = reinterpret_cast<uintptr_t>(p), dynamic = reinterpret_cast<uintptr_t>(dynamic_shared);
  if (at >= dynamic && at + bytes <= dynamic + launch->shared_bytes) return true;
  uintptr_t fixed = reinterpret_cast<uintptr_t>(static_shared);
  return !static_shared || (at >= fixed && at + bytes <= fixed + static_shared_bytes);
}

inline void Worker::expect_spaces(const char* what, const void* shared, const void* global, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 || reinterpret_cast<uintptr_t>(global) % 16)
    fail("%s not aligned to 16 bytes: to %p from %p", what, shared, global);
  if (!in_shared(shared, bytes)) fail("%s: %p and %zu bytes on are not shared memory", what, shared, bytes);
  if (global && static_shared && in_shared(global, bytes)) fail("%s: from shared memory", what);
}

// Leaves the block where it stands.
inline void Worker::fail(const char* format, ...) {
  char text[1536];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  report(text);
  Context abandoned;
  verdier_switch_context(&abandoned, &main);
  __builtin_unreachable();
}

// The first report of a launch is the one that is kept.
inline void Worker::report(const char* text) {
  Launch& work = *launch;
  std::lock_guard<std::mutex> guard(work.error_lock);
  if (work.failed) return;
  char thread[64] = "";
  if (current)
    snprintf(thread, sizeof thread, ", thread (%u,%u,%u)", current->index.x, current->index.y, current->index.z);
  snprintf(work.error, sizeof work.error, "kernel %s, block (%u,%u,%u)%s: %s", work.name, block_index.x, block_index.y,
           block_index.z, thread, text);
  work.failed = true;
}

inline void Worker::deadlock() {
  char text[1024] = "";
  size_t length = 0;
  for (unsigned i = 0; i < thread_count; i++) {
    const char* where = threads[i].waits_at;
    if (!where) continue;
    unsigned count = 0;  // of threads that wait there too; each place is told once, at its first thread
    for (unsigned j = i; j < thread_count; j++) {
      if (threads[j].waits_at != where) continue;
      count++;
      threads[j].waits_at = nullptr;
    }
    length += size_t(snprintf(text + length, sizeof text - length, "%s%u at %s (first: thread %u)", length ? ", " : "",
                              count, where, i));
    if (length >= sizeof text) break;
  }
  current = nullptr;
  fail("deadlock, %u of %u threads returned and the others wait: %s", thread_count - live, thread_count, text);
}

// The next thread to run, null if there is none. A thread that starts gets a stack.
inline Thread* Worker::next_thread() {
  while (!ready.first && started == thread_count && !bulk.empty()) {
    Copy copy = bulk.front();
    bulk.erase(bulk.begin());
    finish_copy(copy);
    mbar_settle(copy.bar);
  }
  if (ready.first) return ready.take();
  if (started == thread_count) return nullptr;
  Thread* thread = &threads[order[started++]];
  thread->stack = free_stacks.back();
  free_stacks.pop_back();
  // Tops of stacks are spread over the sets of the first-level cache: all are page aligned.
  char* top = thread->stack + STACK_BYTES - 64 - (thread->lane * 128 + thread->warp->number % 2 * 64);
  prepare(thread->context, top, [] { worker().thread_main(); });
  return thread;
}

// The running thread is in somebody's list (or has returned); another goes on.
inline void Worker::leave(const char* where) {
  Thread* from = current;
  from->waits_at = where;
  Thread* to = next_thread();
  if (!to) deadlock();
  to->waits_at = nullptr;
  if (to == from) return;
  current = to;
  verdier_switch_context(&from->context, &to->context);
}

// Runs threads of the block on this stack, one after another as long as nobody is ready.
inline void Worker::thread_main() {
  while (true) {
    launch->call(launch->function, launch->params);
    retire();
    if (live == 0) break;
    if (!ready.first && started < thread_count) {
      Thread* next = &threads[order[started++]];
      next->stack = current->stack;
      current = next;
      continue;
    }
    // Nobody gets this stack before the switch: no thread starts while others are ready or when all have started.
    free_stacks.push_back(current->stack);
    Thread* to = next_thread();
    if (!to) deadlock();
    Context done;
    current = to;
    to->waits_at = nullptr;
    verdier_switch_context(&done, &to->context);
  }
  free_stacks.push_back(current->stack);
  Context done;
  verdier_switch_context(&done, &main);
  __builtin_unreachable();
}

// A thread that has returned no longer counts: whatever waited for it alone goes on.
inline void Worker::retire() {
  Thread* thread = current;
  Warp& warp = *thread->warp;
  for (const Copy& copy : thread->copies) finish_copy(copy);
  thread->copies.clear();
  if (thread->products && !warp.group->products.empty() && warp.group->products[0].number < thread->products)
    fail("returned with wgmma under way");
  live--;
  warp.live &= ~(1u << thread->lane);
  for (unsigned i = 0; i < warp.meetings_open;) {
    Meeting& meeting = warp.meetings[i];
    if (meeting.arrived == (meeting.mask & warp.live)) {
      if (meeting.operation->whole_warp)
        fail("returned while other lanes of its warp are at %s", meeting.operation->name);
      close(warp, meeting);
    } else {
      i++;
    }
  }
  Barrier& all = barriers[0];
  if (all.arrived && all.arrived == live) release(all);
}

inline void Worker::meet(const Operation& operation, uint32_t mask, void* deposit) {
  Thread* thread = current;
  Warp& warp = *thread->warp;
  uint32_t bit = 1u << thread->lane;
  if (!(mask & bit)) fail("%s with a mask (%08x) without the calling lane %u", operation.name, mask, thread->lane);
  if (operation.whole_warp && warp.live != 0xffffffffu)
    fail("%s needs the whole warp, of which only lanes %08x are there", operation.name, warp.live);
  warp.deposits[thread->lane] = deposit;
  Meeting* meeting = nullptr;
  for (unsigned i = 0; i < warp.meetings_open; i++)
    if (warp.meetings[i].operation == &operation && warp.meetings[i].mask == mask) meeting = &warp.meetings[i];
  if (!meeting) {
    meeting = &warp.meetings[warp.meetings_open++];
    *meeting = {&operation, mask, 0, List()};
  }
  meeting->arrived |= bit;
  if (meeting->arrived == (mask & warp.live)) {
    close(warp, *meeting);
    perhaps_yield(operation.name);
    return;
  }
  meeting->waiting.add(thread);
  leave(operation.name);
}

inline void Worker::close(Warp& warp, Meeting& meeting) {
  if (meeting.operation->work) meeting.operation->work(warp, meeting.arrived);
  ready.put_in_front(meeting.waiting);
  Meeting& last = warp.meetings[--warp.meetings_open];
  if (&last != &meeting) meeting = last;
}

inline int Worker::barrier(unsigned id, unsigned expected, bool waits, bool predicate, const char* where) {
  if (id >= BARRIERS) fail("%s: barrier %u of %u", where, id, BARRIERS);
  if (id != 0 && (expected == 0 || expected % 32 != 0)) fail("%s: %u threads are not whole warps", where, expected);
  Barrier& barrier = barriers[id];
  if (barrier.arrived && barrier.expected != expected)
    fail("%s: barrier %u expects %u threads, others said %u", where, id, expected, barrier.expected);
  barrier.expected = expected;
  barrier.arrived++;
  barrier.nonzero += predicate;
  Thread* thread = current;
  if (barrier.arrived == (expected ? expected : live)) {
    thread->result = barrier.nonzero;
    release(barrier);
    perhaps_yield(where);
  } else if (waits) {
    barrier.waiting.add(thread);
    leave(where);
  }
  return thread->result;
}

inline void Worker::release(Barrier& barrier) {
  for (Thread* thread = barrier.waiting.first; thread; thread = thread->next) thread->result = barrier.nonzero;
  barrier.arrived = 0;
  barrier.nonzero = 0;
  ready.add_all(barrier.waiting);
}

inline void Worker::finish_copy(const Copy& copy) {
  if (copy.from)
    memcpy(copy.to, copy.from, copy.bytes);
  else
    memset(copy.to, 0, copy.bytes);
  if (copy.bar) {
    int32_t due;
    memcpy(&due, copy.bar, 4);
    due -= int32_t(copy.bytes);
    memcpy(copy.bar, &due, 4);
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Blocks and launches
// ---------------------------------------------------------------------------------------------------------------------

inline void Worker::run_block(uint64_t number) {
  reset(number);
  unsigned room = (launch->shared_bytes + 1023) / 1024 * 1024;
  dynamic_shared = shared_region + SHARED_REGION_BYTES - room;
  memset(dynamic_shared, 0xff, room);
  if (static_shared) memset(static_shared, 0xff, static_shared_bytes);

  current = next_thread();
  verdier_switch_context(&main, &current->context);

  if (launch->failed) return;
  current = nullptr;
  if (!bulk.empty()) report("the block ended with a bulk copy under way");
  for (unsigned i = launch->shared_bytes; i < room; i++)
    if (dynamic_shared[i] != 0xff) report("wrote past the end of dynamic shared memory");
}

// Everything of the block before.
inline void Worker::reset(uint64_t number) {
  const dim3 grid = launch->grid, block = launch->block;
  block_index = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y), unsigned(number / grid.x / grid.y)};
  random = mix(launch->seed * 0x9e3779b97f4a7c15u + number);
  current = nullptr;
  thread_count = live = block.x * block.y * block.z;
  started = 0;
  ready = mbar_waiting = List();
  bulk.clear();
  for (Barrier& barrier : barriers) barrier = Barrier();
  for (unsigned i = 0; i * 32 < thread_count; i++) {
    Warp& warp = warps[i];
    warp.number = i;
    unsigned lanes = thread_count - 32 * i;
    warp.live = lanes >= 32 ? 0xffffffffu : (1u << lanes) - 1;
    warp.meetings_open = 0;
    warp.group = &groups[i / 4];
    warp.group->arrived = 0;
    warp.group->waiting = List();
    warp.group->products.clear();
  }
  uint3 index = {0, 0, 0};
  for (unsigned i = 0; i < thread_count; i++) {
    Thread& thread = threads[i];
    thread.warp = &warps[i / 32];
    thread.lane = i % 32;
    thread.index = index;
    thread.waits_at = nullptr;
    thread.fenced = false;
    thread.copies.clear();
    thread.groups = 0;
    thread.products = 0;
    thread.product_groups = 0;
    order[i] = uint16_t(i);
    if (++index.x == block.x) {
      index.x = 0;
      if (++index.y == block.y) index.y = 0, index.z++;
    }
  }
  if (launch->seed) shuffle_order();
}

// Warps in a drawn order, the lanes of each turned and perhaps reversed.
inline void Worker::shuffle_order() {
  unsigned warp_count = (thread_count + 31) / 32;
  uint16_t drawn[WARPS_MAX] = {};
  for (unsigned i = 0; i < warp_count; i++) {
    unsigned other = draw() % (i + 1);
    drawn[i] = drawn[other];
    drawn[other] = uint16_t(i);
  }
  unsigned place = 0;
  for (unsigned i = 0; i < warp_count; i++) {
    uint64_t turn = draw();
    for (unsigned j = 0; j < 32; j++) {
      unsigned lane = (j + (turn & 31)) % 32;
      if (turn & 32) lane = 31 - lane;
      unsigned thread = drawn[i] * 32u + lane;
      if (thread < thread_count) order[place++] = uint16_t(thread);
    }
  }
}

inline void Worker::run(Launch& work) {
  launch = &work;
  find_static_shared();
  while (!work.failed) {
    uint64_t number = work.next++;
    if (number >= work.blocks) break;
    run_block(number);
  }
  if (work.failed) {  // threads were left where they stood
    free_stacks.clear();
    char* region = reinterpret_cast<char*>(this);
    for (unsigned i = THREADS_MAX; i-- > 0;) free_stacks.push_back(region + RECORD_BYTES + i * STACK_BYTES);
  }
}

// The workers of the process: the calling thread is one, the others are started with the first launch and end when the
// library is unloaded. Thread-safe: one launch at a time.
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  int launch(Launch& work) {
    std::lock_guard<std::mutex> one(turn_);
    unsigned helpers = unsigned(work.blocks < count_ ? work.blocks : count_) - 1;
    {
      std::lock_guard<std::mutex> guard(lock_);
      while (threads_.size() < helpers) threads_.emplace_back([this] { serve(); });
      work_ = &work;
      wanted_ = running_ = helpers;
    }
    for (unsigned i = 0; i < helpers; i++) wake_.notify_one();
    callers_->run(work);
    std::unique_lock<std::mutex> guard(lock_);
    running_ -= wanted_;  // who has not come yet finds nothing left to do
    wanted_ = 0;
    done_.wait(guard, [this] { return running_ == 0; });
    if (work.failed) memcpy(error_, work.error, sizeof error_);
    return work.failed ? 1 : 0;
  }

  int refuse(const char* name, const char* what, uint64_t value, uint64_t limit) {
    std::lock_guard<std::mutex> one(turn_);
    snprintf(error_, sizeof error_, "kernel %s: %llu %s, of 1 to %llu", name, (unsigned long long)value, what,
             (unsigned long long)limit);
    return 1;
  }

  const char* error() const { return error_; }

 private:
  Pool() : callers_(Worker::create()) {
    const char* text = getenv("VERDIER_EMULATED_THREADS");
    int count = text ? atoi(text) : 2;
    count_ = count < 1 ? 1 : count > 256 ? 256 : unsigned(count);
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> guard(lock_);
      ending_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    callers_->destroy();
  }

  void serve() {
    sigset_t all;  // the process's signals are for its own threads, whose stacks are larger
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    Worker* worker = Worker::create();
    std::unique_lock<std::mutex> guard(lock_);
    while (true) {
      wake_.wait(guard, [this] { return ending_ || wanted_ > 0; });
      if (ending_) break;
      wanted_--;
      Launch* work = work_;
      guard.unlock();
      worker->run(*work);
      guard.lock();
      if (--running_ == 0) done_.notify_one();
    }
    worker->destroy();
  }

  std::mutex turn_, lock_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  Worker* callers_;  // whichever thread launches
  Launch* work_ = nullptr;
  unsigned count_, wanted_ = 0, running_ = 0;
  bool ending_ = false;
  char error_[sizeof(Launch::error)] = {};
};

template <class... A, size_t... I>
void call_with(void (*function)(A...), void** params, std::index_sequence<I...>) {
  (void)params;
  function(*static_cast<std::remove_reference_t<A>*>(params[I])...);
}

template <class... A>
int launch(const char* name, void (*function)(A...), unsigned threads_max, dim3 grid, dim3 block, unsigned shared_bytes,
           void** params) {
  static_assert((std::is_scalar_v<A> && ...), "kernels take pointers, ints, longs and floats");
  uint64_t threads = uint64_t(block.x) * block.y * block.z;
  uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  Pool& pool = Pool::instance();
  if (threads == 0 || threads > threads_max) return pool.refuse(name, "threads in a block", threads, threads_max);
  if (blocks == 0) return pool.refuse(name, "blocks", blocks, INT32_MAX);
  if (grid.x > INT32_MAX) return pool.refuse(name, "blocks along x", grid.x, INT32_MAX);
  if (grid.y > 65535) return pool.refuse(name, "blocks along y", grid.y, 65535);
  if (grid.z > 65535) return pool.refuse(name, "blocks along z", grid.z, 65535);
  if (shared_bytes > SHARED_BYTES_MAX)
    return pool.refuse(name, "bytes of dynamic shared memory", shared_bytes, SHARED_BYTES_MAX);
  Launch work;
  work.name = name;
  work.function = reinterpret_cast<void (*)()>(function);
  work.call = [](void (*function)(), void** params) {
    call_with(reinterpret_cast<void (*)(A...)>(function), params, std::index_sequence_for<A...>());
  };
  work.grid = grid;
  work.block = block;
  work.shared_bytes = shared_bytes;
  work.params = params;
  work.blocks = blocks;
  const char* seed = getenv("VERDIER_EMULATED_SEED");
  work.seed = seed ? strtoull(seed, nullptr, 10) : 0;
  const char* async = getenv("VERDIER_EMULATED_ASYNC");
  work.async = !async ? Async::MIXED : async[0] == 'e' ? Async::EARLY : async[0] == 'l' ? Async::LATE : Async::MIXED;
  return pool.launch(work);
}

// The names of all kernels of the library, in the order of their definition.
struct Registry {
  std::vector<const char*> names;
  static Registry& instance() {
    static Registry registry;
    return registry;
  }
};

struct Registration {
  explicit Registration(const char* name) { Registry::instance().names.push_back(name); }
};

}  // namespace verdier_emulated

#define VERDIER_EXPORT extern "C" __attribute__((visibility("default"), used))

#define KERNEL_BOUNDS(name, threadsMax, blocksMin, ...)                                                               \
  static void name(__VA_ARGS__);                                                                                      \
  VERDIER_EXPORT int verdier_launch_##name(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,           \
                                           unsigned bz, unsigned shared_bytes, void** params) {                       \
    dim3 grid(gx, gy, gz), block(bx, by, bz);                                                                         \
    return verdier_emulated::launch(#name, name, threadsMax, grid, block, shared_bytes, params);                      \
  }                                                                                                                   \
  static const verdier_emulated::Registration verdier_registration_##name(#name);                                     \
  static void name(__VA_ARGS__)
#define KERNEL(name, ...) KERNEL_BOUNDS(name, verdier_emulated::THREADS_MAX, 1, __VA_ARGS__)

// Why the latest launch that returned 1 failed.
VERDIER_EXPORT inline const char* verdier_emulated_error() { return verdier_emulated::Pool::instance().error(); }
VERDIER_EXPORT inline int verdier_kernel_count() { return int(verdier_emulated::Registry::instance().names.size()); }
VERDIER_EXPORT inline const char* verdier_kernel_name(int i) { return verdier_emulated::Registry::instance().names[i]; }

// ---------------------------------------------------------------------------------------------------------------------
// What kernels see: indices, shared memory, barriers
// ---------------------------------------------------------------------------------------------------------------------

#define threadIdx (verdier_emulated::worker().current->index)
#define blockIdx (verdier_emulated::worker().block_index)
#define blockDim (verdier_emulated::worker().launch->block)
#define gridDim (verdier_emulated::worker().launch->grid)
static constexpr int warpSize = 32;

#define SHARED static thread_local __attribute__((aligned(128)))
#define DYNAMIC_SHARED(name) unsigned char* name = verdier_emulated::worker().dynamic_shared
#define DEVICE_ASSERT(condition)                                                                   \
  ((condition) ? (void)0                                                                           \
               : verdier_emulated::worker().fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition))

inline void __syncthreads() { verdier_emulated::worker().barrier(0, 0, true, false, "__syncthreads"); }
inline int __syncthreads_count(int predicate) {
  return verdier_emulated::worker().barrier(0, 0, true, predicate != 0, "__syncthreads_count");
}
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
inline int __syncthreads_and(int predicate) { return __syncthreads_count(predicate == 0) == 0; }
inline void barrier_sync(int id, int threads) {
  verdier_emulated::worker().barrier(unsigned(id), unsigned(threads), true, false, "barrier_sync");
}
inline void barrier_arrive(int id, int threads) {
  verdier_emulated::worker().barrier(unsigned(id), unsigned(threads), false, false, "barrier_arrive");
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() {}
inline void __threadfence_system() { __threadfence(); }

// ---------------------------------------------------------------------------------------------------------------------
// Warps: shuffles and votes
// ---------------------------------------------------------------------------------------------------------------------

namespace verdier_emulated {

struct Exchange {
  uint64_t value;
  unsigned source;
  uint64_t result;
};

inline void exchange(Warp& warp, uint32_t lanes) {
  for (unsigned lane = 0; lane < 32; lane++) {
    if (!(lanes >> lane & 1)) continue;
    Exchange& mine = *static_cast<Exchange*>(warp.deposits[lane]);
    bool there = lanes >> mine.source & 1;
    mine.result = there ? static_cast<Exchange*>(warp.deposits[mine.source])->value : ~uint64_t(0);
  }
}

struct Vote {
  bool predicate;
  uint32_t result;
};

inline void vote(Warp& warp, uint32_t lanes) {
  uint32_t result = 0;
  for (unsigned lane = 0; lane < 32; lane++)
    if (lanes >> lane & 1 && static_cast<Vote*>(warp.deposits[lane])->predicate) result |= 1u << lane;
  for (unsigned lane = 0; lane < 32; lane++)
    if (lanes >> lane & 1) static_cast<Vote*>(warp.deposits[lane])->result = result;
}

struct Gathering {
  uint64_t value;
  uint32_t lanes;
  uint64_t all[32];
};

inline void gather(Warp& warp, uint32_t lanes) {
  uint64_t all[32];
  for (unsigned lane = 0; lane < 32; lane++)
    all[lane] = lanes >> lane & 1 ? static_cast<Gathering*>(warp.deposits[lane])->value : 0;
  for (unsigned lane = 0; lane < 32; lane++) {
    if (!(lanes >> lane & 1)) continue;
    Gathering& mine = *static_cast<Gathering*>(warp.deposits[lane]);
    mine.lanes = lanes;
    memcpy(mine.all, all, sizeof all);
  }
}

inline constexpr Operation SYNCWARP = {"__syncwarp", nullptr, false};
inline constexpr Operation SHUFFLE = {"a shuffle", exchange, false};
inline constexpr Operation VOTE = {"a vote", vote, false};
inline constexpr Operation GATHER = {"__reduce or __match", gather, false};

template <class T>
T shuffle(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  Exchange exchange = {0, source, 0};
  memcpy(&exchange.value, &value, sizeof(T));
  worker().meet(SHUFFLE, mask, &exchange);
  memcpy(&value, &exchange.result, sizeof(T));
  return value;
}

inline unsigned lane() { return worker().current->lane; }

}  // namespace verdier_emulated

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  verdier_emulated::worker().meet(verdier_emulated::SYNCWARP, mask, nullptr);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  unsigned base = verdier_emulated::lane() & ~unsigned(width - 1);
  return verdier_emulated::shuffle(mask, value, base + (unsigned(source) & unsigned(width - 1)));
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  unsigned lane = verdier_emulated::lane(), last = lane | unsigned(width - 1), source = lane ^ unsigned(lanes);
  return verdier_emulated::shuffle(mask, value, source <= last ? source : lane);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  unsigned lane = verdier_emulated::lane(), first = lane & ~unsigned(width - 1);
  return verdier_emulated::shuffle(mask, value, lane >= first + delta ? lane - delta : lane);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  unsigned lane = verdier_emulated::lane(), last = lane | unsigned(width - 1);
  return verdier_emulated::shuffle(mask, value, lane + delta <= last ? lane + delta : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  verdier_emulated::Vote vote = {predicate != 0, 0};
  verdier_emulated::worker().meet(verdier_emulated::VOTE, mask, &vote);
  return vote.result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }

namespace verdier_emulated {
template <class T, class F>
T reduce(unsigned mask, T value, F combine) {
  Gathering gathering;
  gathering.value = uint64_t(value);
  worker().meet(GATHER, mask, &gathering);
  bool first = true;
  T result = value;
  for (unsigned i = 0; i < 32; i++) {
    if (!(gathering.lanes >> i & 1)) continue;
    result = first ? T(gathering.all[i]) : combine(result, T(gathering.all[i]));
    first = false;
  }
  return result;
}
}  // namespace verdier_emulated

#define VERDIER_REDUCE(name, T, expression)                                                  \
  inline T name(unsigned mask, T value) {                                                    \
    return verdier_emulated::reduce(mask, value, [](T a, T b) -> T { return expression; });  \
  }
VERDIER_REDUCE(__reduce_add_sync, unsigned, a + b)
VERDIER_REDUCE(__reduce_add_sync, int, int(unsigned(a) + unsigned(b)))
VERDIER_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
VERDIER_REDUCE(__reduce_min_sync, int, a < b ? a : b)
VERDIER_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
VERDIER_REDUCE(__reduce_max_sync, int, a > b ? a : b)
VERDIER_REDUCE(__reduce_and_sync, unsigned, a & b)
VERDIER_REDUCE(__reduce_or_sync, unsigned, a | b)
VERDIER_REDUCE(__reduce_xor_sync, unsigned, a ^ b)
#undef VERDIER_REDUCE

template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  verdier_emulated::Gathering gathering;
  gathering.value = 0;
  memcpy(&gathering.value, &value, sizeof(T));
  verdier_emulated::worker().meet(verdier_emulated::GATHER, mask, &gathering);
  unsigned same = 0;
  for (unsigned i = 0; i < 32; i++)
    if (gathering.lanes >> i & 1 && gathering.all[i] == gathering.value) same |= 1u << i;
  return same;
}

// ---------------------------------------------------------------------------------------------------------------------
// Arithmetic of a thread
// ---------------------------------------------------------------------------------------------------------------------

inline unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
inline int __float_as_int(float x) { int y; memcpy(&y, &x, 4); return y; }
inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fdividef(float a, float b) { return a / b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline long long __double_as_longlong(double x) { long long y; memcpy(&y, &x, 8); return y; }
inline double __longlong_as_double(long long x) { double y; memcpy(&y, &x, 8); return y; }
inline long long __double2ll_ru(double x) { return (long long)ceil(x); }
inline double __ll2double_rn(long long x) { return double(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
inline float __frsqrt_rn(float a) { return float(1.0 / __builtin_sqrt(double(a))); }
inline float rsqrtf(float a) { return float(1.0 / __builtin_sqrt(double(a))); }
inline float __expf(float a) { return expf(a); }
inline float __exp2f(float a) { return exp2f(a); }
inline float __logf(float a) { return logf(a); }
inline float __log2f(float a) { return log2f(a); }
inline float __sinf(float a) { return sinf(a); }
inline float __cosf(float a) { return cosf(a); }
inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1) : 0; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int i = 0; i < 32; i++) y |= (x >> i & 1u) << (31 - i);
  return y;
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  uint64_t bytes = uint64_t(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) {
    unsigned pick = selector >> (4 * i) & 15;
    unsigned byte = unsigned(bytes >> (8 * (pick & 7))) & 255;
    if (pick & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * i);
  }
  return result;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned shift) {
  return unsigned((uint64_t(hi) << 32 | lo) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned shift) {
  return unsigned((uint64_t(hi) << 32 | lo) >> (shift & 31));
}

#define VERDIER_MIN_MAX(T)                             \
  inline T min(T a, T b) { return b < a ? b : a; }     \
  inline T max(T a, T b) { return a < b ? b : a; }
VERDIER_MIN_MAX(int)
VERDIER_MIN_MAX(unsigned)
VERDIER_MIN_MAX(long)
VERDIER_MIN_MAX(unsigned long)
VERDIER_MIN_MAX(long long)
VERDIER_MIN_MAX(unsigned long long)
#undef VERDIER_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }

#define VERDIER_ATOMIC(T)                                                                              \
  inline T atomicAdd(T* p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }                 \
  inline T atomicSub(T* p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }                 \
  inline T atomicAnd(T* p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }                 \
  inline T atomicOr(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }                   \
  inline T atomicXor(T* p, T v) { return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED); }                 \
  inline T atomicExch(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }               \
  inline T atomicCAS(T* p, T expected, T v) {                                                          \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);           \
    return expected;                                                                                   \
  }                                                                                                    \
  inline T atomicMax(T* p, T v) {                                                                      \
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                      \
    while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {} \
    return old;                                                                                        \
  }                                                                                                    \
  inline T atomicMin(T* p, T v) {                                                                      \
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                      \
    while (v < old && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {} \
    return old;                                                                                        \
  }
VERDIER_ATOMIC(int)
VERDIER_ATOMIC(unsigned)
VERDIER_ATOMIC(unsigned long long)
#undef VERDIER_ATOMIC
inline float atomicAdd(float* p, float v) {
  unsigned* bits = reinterpret_cast<unsigned*>(p);
  unsigned old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &old, __float_as_uint(__uint_as_float(old) + v), false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {}
  return __uint_as_float(old);
}
inline unsigned atomicInc(unsigned* p, unsigned limit) {
  unsigned old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(p, &old, old >= limit ? 0 : old + 1, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {}
  return old;
}

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class T> void __stcs(T* p, T v) { *p = v; }
inline long long clock64() { return 0; }

// ---------------------------------------------------------------------------------------------------------------------
// Twins of verdier.cuh: numbers
// ---------------------------------------------------------------------------------------------------------------------

inline float to_float(bf16 x) { return __uint_as_float(unsigned(x.bits) << 16); }
inline bf16 bf16_from_bits(uint16_t bits) { return {bits}; }
inline uint16_t bf16_bits(bf16 x) { return x.bits; }

inline bf16 from_float_rn(float x) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline uint32_t pack2(float lo, float hi) { return from_float_rn(lo).bits | uint32_t(from_float_rn(hi).bits) << 16; }

/// Sums of the kinds that kernels form are exact in float64, and short enough for the second rounding to be none.
inline uint32_t bf16x2_fma(uint32_t a, uint32_t b, uint32_t c) {
  double low = double(__uint_as_float(a << 16)) * __uint_as_float(b << 16) + __uint_as_float(c << 16);
  double high = double(__uint_as_float(a & 0xffff0000u)) * __uint_as_float(b & 0xffff0000u) + __uint_as_float(c & 0xffff0000u);
  return pack2(static_cast<float>(low), static_cast<float>(high));
}

inline float exp2_fast(float x) {
  float y = exp2f(x);
  return y < 0x1p-126f ? 0 : y;
}

// ---------------------------------------------------------------------------------------------------------------------
// Twins: tensor cores
// ---------------------------------------------------------------------------------------------------------------------

namespace verdier_emulated {

typedef float Float4 __attribute__((vector_size(16)));
typedef double Double2 __attribute__((vector_size(16)));

// Two lanes' pairs of neighbouring columns as one vector, and back.
inline Float4 load_pairs(const float* first, const float* second) {
  double a, b;
  memcpy(&a, first, 8);
  memcpy(&b, second, 8);
  return reinterpret_cast<Float4>(Double2{a, b});
}

inline void store_pairs(float* first, float* second, Float4 v) {
  double a = reinterpret_cast<Double2>(v)[0], b = reinterpret_cast<Double2>(v)[1];
  memcpy(first, &a, 8);
  memcpy(second, &b, 8);
}

// d[16][8] += a[16][16] * b[16][8], d[lane] the four values of each lane: each output one chain of fused
// multiply-adds in ascending k. A product of two bf16 is exact in f32 (16 bits of significand), so that multiplying
// and adding apart is the fused operation, unless the product falls below the normal range.
inline void product_16x8x16(float* const* d, const float (*a)[16], const Float4 (*b)[2]) {
  for (int g = 0; g < 8; g++) {
    float* const* row = d + 4 * g;
    Float4 upper_left = load_pairs(row[0], row[1]), upper_right = load_pairs(row[2], row[3]);
    Float4 lower_left = load_pairs(row[0] + 2, row[1] + 2), lower_right = load_pairs(row[2] + 2, row[3] + 2);
    for (int k = 0; k < 16; k++) {
      upper_left += a[g][k] * b[k][0];
      upper_right += a[g][k] * b[k][1];
      lower_left += a[g + 8][k] * b[k][0];
      lower_right += a[g + 8][k] * b[k][1];
    }
    store_pairs(row[0], row[1], upper_left);
    store_pairs(row[2], row[3], upper_right);
    store_pairs(row[0] + 2, row[1] + 2, lower_left);
    store_pairs(row[2] + 2, row[3] + 2, lower_right);
  }
}

inline float low(uint32_t x) { return __uint_as_float(x << 16); }
inline float high(uint32_t x) { return __uint_as_float(x & 0xffff0000u); }

// Spreads one lane's four registers of A over a[16][16].
inline void spread_a(float (*a)[16], unsigned lane, const uint32_t* r) {
  unsigned g = lane / 4, t = lane % 4 * 2;
  a[g][t] = low(r[0]), a[g][t + 1] = high(r[0]);
  a[g + 8][t] = low(r[1]), a[g + 8][t + 1] = high(r[1]);
  a[g][t + 8] = low(r[2]), a[g][t + 9] = high(r[2]);
  a[g + 8][t + 8] = low(r[3]), a[g + 8][t + 9] = high(r[3]);
}

struct Mma {
  float* d;
  const uint32_t* a;
  uint32_t b0, b1;
};

inline void mma(Warp& warp, uint32_t) {
  float a[16][16];
  Float4 b[16][2];
  float* d[32];
  float* columns = reinterpret_cast<float*>(b);  // [k][column]
  for (unsigned lane = 0; lane < 32; lane++) {
    const Mma& mine = *static_cast<Mma*>(warp.deposits[lane]);
    float* column = columns + lane % 4 * 16 + lane / 4;
    spread_a(a, lane, mine.a);
    column[0] = low(mine.b0), column[8] = high(mine.b0);
    column[64] = low(mine.b1), column[72] = high(mine.b1);
    d[lane] = mine.d;
  }
  product_16x8x16(d, a, b);
}

struct Ldmatrix {
  uint32_t* r;
  const unsigned char* row;
};

inline void ldmatrix(Warp& warp, uint32_t) {
  for (unsigned lane = 0; lane < 32; lane++)
    for (unsigned i = 0; i < 4; i++) {
      const unsigned char* row = static_cast<Ldmatrix*>(warp.deposits[8 * i + lane / 4])->row;
      memcpy(static_cast<Ldmatrix*>(warp.deposits[lane])->r + i, row + lane % 4 * 4, 4);
    }
}

inline constexpr Operation MMA = {"mma16816", mma, true};
inline constexpr Operation LDMATRIX = {"ldmatrix_x4", ldmatrix, true};

// One product of a warpgroup. Row n of B, two bytes per k: the start address of the descriptor, plus n/8 strides, plus
// n%8 rows of 128 bytes; then bits 4-6 of the address are exchanged with bits 7-9, as the hardware does.
inline void multiply(const Worker& worker, const Product& product) {
  uint32_t start = uint32_t(product.descriptor & 0x3fff) << 4;
  uint32_t stride = uint32_t(product.descriptor >> 32 & 0x3fff) << 4;
  float a[4][16][16];
  for (unsigned i = 0; i < 128; i++) spread_a(a[i / 32], i % 32, product.a[i]);
  for (int column = 0; column < product.columns; column += 8) {
    Float4 b[16][2];
    float* columns = reinterpret_cast<float*>(b);  // [k][column]
    for (unsigned n = 0; n < 8; n++)
      for (unsigned piece = 0; piece < 2; piece++) {
        uint32_t address = start + unsigned(column) / 8 * stride + n * 128 + piece * 16;
        address ^= address >> 3 & 0x70;
        uint16_t bits[8];
        memcpy(bits, worker.dynamic_shared + address, 16);
        for (unsigned k = 0; k < 8; k++) columns[(piece * 8 + k) * 8 + n] = low(bits[k]);
      }
    for (unsigned warp = 0; warp < 4; warp++) {
      float* d[32];
      for (unsigned lane = 0; lane < 32; lane++) d[lane] = product.d[32 * warp + lane] + column / 2;
      product_16x8x16(d, a[warp], b);
    }
  }
}

// All products of the group numbered below `below`, in order.
inline void Worker::finish_products(Warpgroup& group, uint64_t below) {
  size_t done = 0;
  while (done < group.products.size() && group.products[done].number < below) multiply(*this, group.products[done++]);
  group.products.erase(group.products.begin(), group.products.begin() + long(done));
}

// The d and a of each thread of the group, left at its warp's deposits.
struct Wgmma {
  float* d;
  const uint32_t* a;
};

inline void wgmma(float* d, const uint32_t* a, int columns, uint64_t descriptor) {
  Worker& worker = verdier_emulated::worker();
  Thread* thread = worker.current;
  Warpgroup& group = *thread->warp->group;
  unsigned first = thread->warp->number / 4 * 4;
  if (!thread->fenced) worker.fail("wgmma without a wgmma_fence since the latest wgmma_wait");
  if (worker.thread_count < (first + 4) * 32) worker.fail("wgmma in a warpgroup that is not whole");
  for (unsigned i = 0; i < 4; i++)
    if (worker.warps[first + i].live != 0xffffffffu) worker.fail("wgmma in a warpgroup of which threads returned");
  if (descriptor >> 62 != 1 || (descriptor >> 32 & 0x3fff) != 64)
    worker.fail("wgmma with a descriptor not of our layout");
  uint32_t start = uint32_t(descriptor & 0x3fff) << 4;
  if (start / 1024 * 1024 + uint32_t(columns) * 128 > worker.launch->shared_bytes)
    worker.fail("wgmma reads past the end of dynamic shared memory");
  if (group.arrived && (group.columns != columns || group.descriptor != descriptor))
    worker.fail("wgmma with different shapes or descriptors in one warpgroup");
  Wgmma mine = {d, a};
  thread->warp->deposits[thread->lane] = &mine;
  thread->products++;
  group.columns = columns;
  group.descriptor = descriptor;
  if (++group.arrived < 128) {
    group.waiting.add(thread);
    worker.leave("wgmma");
    return;
  }
  group.arrived = 0;
  group.products.emplace_back();
  Product& product = group.products.back();
  product.number = thread->products - 1;
  product.descriptor = descriptor;
  product.columns = columns;
  for (unsigned i = 0; i < 128; i++) {
    const Wgmma& other = *static_cast<Wgmma*>(worker.warps[first + i / 32].deposits[i % 32]);
    product.d[i] = other.d;
    memcpy(product.a[i], other.a, 16);
  }
  if (group.products.size() == 1 && worker.now()) worker.finish_products(group, ~uint64_t(0));
  worker.ready.put_in_front(group.waiting);
}

}  // namespace verdier_emulated

inline void mma16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  verdier_emulated::Mma mma = {d, a, b0, b1};
  verdier_emulated::worker().meet(verdier_emulated::MMA, 0xffffffffu, &mma);
}

inline void mma16816_first(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  d[0] = d[1] = d[2] = d[3] = 0;
  mma16816(d, a, b0, b1);
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  verdier_emulated::worker().expect_spaces("ldmatrix_x4", row, nullptr, 16);
  verdier_emulated::Ldmatrix ldmatrix = {r, static_cast<const unsigned char*>(row)};
  verdier_emulated::worker().meet(verdier_emulated::LDMATRIX, 0xffffffffu, &ldmatrix);
}

inline uint64_t wgmma_descriptor(const void* tile, int step) {
  verdier_emulated::Worker& worker = verdier_emulated::worker();
  uintptr_t offset = uintptr_t(static_cast<const unsigned char*>(tile) - worker.dynamic_shared);
  if (offset >= worker.launch->shared_bytes || offset % 1024)
    worker.fail("wgmma_descriptor of a tile that is not 1024-byte aligned in dynamic shared memory");
  uint64_t start = uint64_t(offset >> 4) + 2 * unsigned(step);
  return start | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

template <int N>
void wgmma_rs(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b) {
  static_assert(N == 8 || N == 16 || N == 32 || N == 64 || N == 128 || N == 256, "a shape verdier.cuh has");
  verdier_emulated::wgmma(d, a, N, b);
}

inline void wgmma_fence() { verdier_emulated::worker().current->fenced = true; }

inline void wgmma_commit() {
  verdier_emulated::Thread* thread = verdier_emulated::worker().current;
  thread->marks[thread->product_groups++ % 8] = thread->products;
}

template <int N>
void wgmma_wait() {
  static_assert(N < 8, "at most 7 groups under way");
  verdier_emulated::Worker& worker = verdier_emulated::worker();
  verdier_emulated::Thread* thread = worker.current;
  thread->fenced = false;
  if (thread->product_groups > unsigned(N))
    worker.finish_products(*thread->warp->group, thread->marks[(thread->product_groups - 1 - N) % 8]);
}

template <int M>
void wgmma_settled(float (&)[M]) {}

template <int COUNT> void registers_raise() {}
template <int COUNT> void registers_lower() {}

// ---------------------------------------------------------------------------------------------------------------------
// Twins: copies and their barriers
// ---------------------------------------------------------------------------------------------------------------------

inline uint4 ldg_stream(const uint4* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16) verdier_emulated::worker().fail("ldg_stream not aligned to 16 bytes");
  return *p;
}

inline uint4 load_stream(const uint4* p) { return ldg_stream(p); }

inline uint2 load_stream(const uint2* p) {
  if (reinterpret_cast<uintptr_t>(p) % 8) verdier_emulated::worker().fail("load_stream not aligned to 8 bytes");
  return *p;
}

inline void cp_async16_or_zero(void* shared, const void* global, bool valid) {
  verdier_emulated::Worker& worker = verdier_emulated::worker();
  worker.expect_spaces("cp_async16", shared, global, 16);
  verdier_emulated::Copy copy = {shared, valid ? global : nullptr, 16, worker.current->groups, nullptr};
  if (worker.now()) {
    worker.finish_copy(copy);
  } else {
    memset(shared, 0xff, 16);
    worker.current->copies.push_back(copy);
  }
}

inline void cp_async16(void* shared, const void* global) { cp_async16_or_zero(shared, global, true); }

inline void cp_async_commit() { verdier_emulated::worker().current->groups++; }

template <int N>
void cp_async_wait() {
  verdier_emulated::Worker& worker = verdier_emulated::worker();
  verdier_emulated::Thread* thread = worker.current;
  size_t done = 0;
  while (done < thread->copies.size() && thread->copies[done].group + N < thread->groups)
    worker.finish_copy(thread->copies[done++]);
  thread->copies.erase(thread->copies.begin(), thread->copies.begin() + long(done));
}

namespace verdier_emulated {
// An mbarrier's 64 bits.
struct Phase {
  int32_t due;              // bytes expected and not yet come
  uint16_t pending;         // arrivals missing
  uint16_t arrivals : 15;   // of each phase
  uint16_t parity : 1;      // of the phase that runs
};
static_assert(sizeof(Phase) == sizeof(mbarrier), "");

inline Phase phase_of(const mbarrier* bar) {
  Phase phase;
  memcpy(&phase, bar, sizeof phase);
  if (reinterpret_cast<uintptr_t>(bar) % 8 || phase.arrivals == 0x7fff)
    worker().fail("mbarrier misaligned or used before mbar_init");
  return phase;
}

// Completes the phase if nothing is missing, and wakes who waited for it.
inline void Worker::mbar_settle(mbarrier* bar) {
  Phase phase;
  memcpy(&phase, bar, sizeof phase);
  if (phase.pending || phase.due) return;
  phase.parity ^= 1;
  phase.pending = phase.arrivals;
  memcpy(bar, &phase, sizeof phase);
  List still;
  while (mbar_waiting.first) {
    Thread* thread = mbar_waiting.take();
    (thread->bar == bar && thread->parity != phase.parity ? ready : still).add(thread);
  }
  mbar_waiting = still;
}

inline void arrive(mbarrier* bar, uint32_t bytes) {
  Worker& worker = verdier_emulated::worker();
  Phase phase = phase_of(bar);
  if (phase.pending == 0) worker.fail("more arrivals at an mbarrier than it was initialised for");
  if (bytes > 0xfffff) worker.fail("mbar_expect_tx of %u bytes, more than an mbarrier counts", bytes);
  phase.pending--;
  phase.due += int32_t(bytes);
  memcpy(bar, &phase, sizeof phase);
  worker.mbar_settle(bar);
}
}  // namespace verdier_emulated

inline void mbar_init(mbarrier* bar, uint32_t arrivals) {
  if (!verdier_emulated::worker().in_shared(bar, 8)) verdier_emulated::worker().fail("mbar_init outside shared memory");
  if (arrivals == 0 || arrivals > 1024) verdier_emulated::worker().fail("mbar_init for %u arrivals", arrivals);
  verdier_emulated::Phase phase = {0, uint16_t(arrivals), uint16_t(arrivals & 0x7fff), 0};
  memcpy(bar, &phase, sizeof phase);
}

inline void mbar_arrive(mbarrier* bar) { verdier_emulated::arrive(bar, 0); }
inline void mbar_arrive_if(mbarrier* bar, bool wanted) {
  if (wanted) mbar_arrive(bar);
}
inline void mbar_expect_tx(mbarrier* bar, uint32_t bytes) { verdier_emulated::arrive(bar, bytes); }

inline void mbar_expect_more(mbarrier* bar, uint32_t bytes) {
  verdier_emulated::Phase phase = verdier_emulated::phase_of(bar);
  phase.due += int32_t(bytes);
  memcpy(bar, &phase, sizeof phase);
}

inline void mbar_wait(mbarrier* bar, uint32_t parity) {
  verdier_emulated::Worker& worker = verdier_emulated::worker();
  if (verdier_emulated::phase_of(bar).parity != parity) return;
  worker.current->bar = bar;
  worker.current->parity = parity;
  worker.mbar_waiting.add(worker.current);
  worker.leave("mbar_wait");
}

/// mbar_wait without waiting.
inline bool mbar_test(mbarrier* bar, uint32_t parity) { return verdier_emulated::phase_of(bar).parity != parity; }

inline void bulk_copy(void* shared, const void* global, uint32_t bytes, mbarrier* bar) {
  verdier_emulated::Worker& worker = verdier_emulated::worker();
  verdier_emulated::phase_of(bar);
  worker.expect_spaces("bulk_copy", shared, global, bytes);
  if (bytes % 16 || bytes == 0) worker.fail("bulk_copy of %u bytes: not whole pieces of 16", bytes);
  verdier_emulated::Copy copy = {shared, global, bytes, 0, bar};
  if (worker.now()) {
    worker.finish_copy(copy);
    worker.mbar_settle(bar);
  } else {
    memset(shared, 0xff, bytes);
    worker.bulk.push_back(copy);
  }
}

inline int arrive(int* counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL); }

inline void prefetch_l2(const void*, uint32_t) {}
inline void fence_async_proxy() {}
inline void pdl_wait() {}
inline void pdl_launch() {}
