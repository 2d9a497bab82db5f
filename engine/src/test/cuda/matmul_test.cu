// The matmul kernels under emulation: every kernel, format and epilogue on small ragged shapes against a float64 loop, and bit for bit
// against each other, wherever a row lies and however many there are. Then packing, dummy weights, embedding and operands.
//
//   g++ -std=c++17 -O2 -ffp-contract=off -DVERDIER_EMULATED -I engine/src/main/cuda -x c++ engine/src/test/cuda/matmul_test.cu
//       -o matmul_test -pthread && ./matmul_test
//
// A check is one row of TESTS at the bottom.
#include "matmul_small.cu"
#include "matmul_tile.cu"
#include "matmul_wgmma.cu"
#include "pack.cu"

#include "matmul_plan.h"

#include <math.h>

#include <random>
#include <string>

namespace {

int checks, failures;
std::string setting;  // printed with failures

#define EXPECT(condition)                                                                                                   \
  do {                                                                                                                      \
    checks++;                                                                                                               \
    if (!(condition) && failures++ < 20) printf("%s:%d: not so (%s): %s\n", __FILE__, __LINE__, setting.c_str(), #condition); \
  } while (false)

typedef int (*Entry)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

template <class... A>
void run(Entry entry, dim3 grid, dim3 block, unsigned shared_bytes, A... arguments) {
  void* params[] = {&arguments..., nullptr};
  int rc = entry(grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, params);
  EXPECT(rc == 0);
  if (rc) printf("  %s\n", verdier_emulated_error());
}

// ---------------------------------------------------------------------------------------------------------------- kernels under test

enum Format { BF16, FP8, INT8, INT4 };
const int FORMATS = 4;
const int GROUP_BYTES[] = {2048, 1024, 1024, 544};

struct Kernel {
  const char* name;
  Entry entry;
  MatmulKernel kind;
  Format format;
  int tokens;
  int split;
};

#define SMALL(format, F, t, s) \
  {"small_" #format "_" #t "x" #s, verdier_launch_matmul_small_##format##_##t##x##s, MatmulKernel::SMALL, F, t, s},
#define TILE(format, F, t) {"tile_" #format "_" #t, verdier_launch_matmul_tile_##format##_##t, MatmulKernel::TILE, F, t, 0},
#define WGMMA(format, F, t, w) \
  {"wgmma_" #format "_" #t "x" #w, verdier_launch_matmul_wgmma_##format##_##t##x##w, MatmulKernel::WGMMA, F, t, w},
#define ALL(format, F)                                                                                                             \
  TILE(format, F, 128) TILE(format, F, 64) TILE(format, F, 32) TILE(format, F, 16) TILE(format, F, 8)                             \
  SMALL(format, F, 8, 1) SMALL(format, F, 16, 1) SMALL(format, F, 32, 1) SMALL(format, F, 64, 2)                                  \
  WGMMA(format, F, 64, 1) WGMMA(format, F, 64, 2) WGMMA(format, F, 128, 1) WGMMA(format, F, 128, 2) WGMMA(format, F, 256, 2)
#define FEW_BITS(format, F) ALL(format, F) SMALL(format, F, 32, 2) WGMMA(format, F, 64, 4)

const Kernel KERNELS[] = {ALL(bf16, BF16) FEW_BITS(fp8, FP8) FEW_BITS(int8, INT8) FEW_BITS(int4, INT4)};

/// With which the others of a format are compared.
const Kernel& first_of(Format format) {
  for (const Kernel& kernel : KERNELS)
    if (kernel.format == format) return kernel;
  abort();
}

const Entry PACK[FORMATS][3] = {
    {verdier_launch_pack_weights_bf16_bf16, verdier_launch_pack_weights_bf16_f16, verdier_launch_pack_weights_bf16_f32},
    {verdier_launch_pack_weights_fp8_bf16, verdier_launch_pack_weights_fp8_f16, verdier_launch_pack_weights_fp8_f32},
    {verdier_launch_pack_weights_int8_bf16, verdier_launch_pack_weights_int8_f16, verdier_launch_pack_weights_int8_f32},
    {verdier_launch_pack_weights_int4_bf16, verdier_launch_pack_weights_int4_f16, verdier_launch_pack_weights_int4_f32}};

// ---------------------------------------------------------------------------------------------------------------- cases

std::mt19937 generator(11);
float random_float() { return std::normal_distribution<float>()(generator); }
int up(int a, int b) { return (a + b - 1) / b * b; }

/// Bytes aligned as device memory is.
struct Bytes {
  std::vector<unsigned char> storage;
  unsigned char* data;
  explicit Bytes(size_t size, int fill = 0) : storage(size + 256, static_cast<unsigned char>(fill)) {
    data = storage.data() + (256 - reinterpret_cast<uintptr_t>(storage.data()) % 256);
  }
};

/// One product with everything around it.
struct Case {
  Format format;
  int n, k, tokens;
  int operandRows;
  Bytes weights;
  std::vector<float> scales, bias;
  std::vector<double> exact;  // [tokens][n] products without scale
  std::vector<float> x;       // [tokens][k] as bf16 values
  std::vector<float> addend;  // [places][n], for the gate; empty for none
  std::vector<int> addendPlaces;
  Bytes operand;

  Case(Format format, int n, int k, int tokens)
      : format(format), n(n), k(k), tokens(tokens), operandRows(up(tokens, 256)),
        weights(size_t(up(n, 64)) / 16 * (up(k, 64) / 64) * GROUP_BYTES[format]), scales(up(n, 64), 1.0f), bias(up(n, 16)),
        exact(size_t(tokens) * n), x(size_t(tokens) * k), operand(size_t(up(k, 64)) * operandRows * 2, 0xff) {
    std::vector<float> w(size_t(n) * k);
    for (float& v : w) v = to_float(from_float_rn(random_float()));
    run(PACK[format][2], dim3(1, 3), 256, 0, (const void*)w.data(), (long long)k, n, up(n, 64), k, (void*)weights.data, scales.data(), 0, 0);
    for (float& v : bias) v = random_float();
    for (float& v : x) v = to_float(from_float_rn(random_float()));
    place(0);
    for (int i = 0; i < tokens; i++)
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int c = 0; c < k; c++) sum += double(weight(j, c)) * x[size_t(i) * k + c];
        exact[size_t(i) * n + j] = sum;
      }
  }

  float weight(int row, int column) const {
    int groups = up(k, 64) / 64;
    switch (format) {
      case BF16: return element<Bf16Weights>(weights.data, row, column, groups);
      case FP8: return element<Fp8Weights>(weights.data, row, column, groups);
      case INT8: return element<Int8Weights>(weights.data, row, column, groups);
      default: return element<Int4Weights>(weights.data, row, column, groups);
    }
  }

  /// Token i becomes row (i + shift) % tokens of the operand.
  void place(int shift) {
    for (int row = 0; row < tokens; row++)
      for (int c = 0; c < up(k, 64); c++) {
        float v = c < k ? x[size_t((row + tokens - shift) % tokens) * k + c] : 0;
        *operand_at((void*)operand.data, operandRows, row, c) = from_float_rn(v);
      }
  }

  /// What the launch rule says, but few blocks and few stages, so that these small shapes have rounds and full rings too.
  void launch(const Kernel& kernel, int rows, int epilogue, void* out, int outStride, int few) const {
    MatmulDevice device{132, 232448, true, true}, two{2, 232448, true, true};
    int group = GROUP_BYTES[format];
    MatmulPlan plan = kernel.kind == MatmulKernel::SMALL ? matmul_small_plan(kernel.tokens, kernel.split, n, group, few ? two : device)
                      : kernel.kind == MatmulKernel::TILE
                          ? matmul_tile_plan(kernel.tokens, rows, n, group, few ? 8 : 132)
                          : matmul_wgmma_plan(kernel.tokens, kernel.split, rows, n, group, device);
    if (kernel.kind == MatmulKernel::SMALL) plan.gridY = matmul_ceil(rows, kernel.tokens);
    if (few && kernel.kind != MatmulKernel::SMALL) plan.gridX = matmul_min(plan.gridX, few == 1 ? 1 : 3);
    if (few && kernel.kind != MatmulKernel::TILE) {
      if (kernel.kind == MatmulKernel::WGMMA)
        plan.sharedBytes -= (plan.stages - 2) * ((plan.sharedBytes - kernel.split * MATMUL_PASS_BYTES) / plan.stages);
      plan.stages = min(plan.stages, 2);
    }
    int counts[4] = {-1, rows, -1, -1};
    run(kernel.entry, dim3(plan.gridX, plan.gridY), plan.block, plan.sharedBytes, (const void*)weights.data,
        (const float*)(format == BF16 ? nullptr : scales.data()), (const float*)bias.data(), (const void*)operand.data, operandRows, out,
        outStride, (const int*)counts, 1, n, k, epilogue, plan.stages, plan.stageGroups,
        (const float*)(addend.empty() ? nullptr : addend.data()), (const int*)(addend.empty() ? nullptr : addendPlaces.data()));
  }
};

/// f32 output with untouched surroundings marked.
struct Output {
  int rows, stride;
  Bytes bytes;
  float* values;
  Output(int rows, int stride) : rows(rows), stride(stride), bytes(size_t(rows) * stride * 4), values((float*)bytes.data) {
    for (int i = 0; i < rows * stride; i++) values[i] = 7.0f + i % 5;
  }
  static float before(int i) { return 7.0f + i % 5; }
};

bool same(float a, float b) { return __float_as_uint(a) == __float_as_uint(b); }

const struct {
  int n, k, tokens;
} SHAPES[] = {{30, 100, 300}, {64, 64, 70}, {200, 200, 131}, {330, 321, 40}, {1, 1, 3}, {97, 640, 17}};

const int ROWS[] = {1, 3, 8, 9, 16, 17, 31, 64, 65, 128, 130, 257, 300};

// ---------------------------------------------------------------------------------------------------------------- tests

/// One shape in one format: all kernels, some numbers of rows, all epilogues.
void check_shape(const Case& c) {
  int stride = up(c.n, 4) + 4;
  Output reference(c.tokens, stride);
  c.launch(first_of(c.format), c.tokens, EPILOGUE_STORE, reference.values, stride, 0);
  for (int i = 0; i < c.tokens; i++)
    for (int j = 0; j < c.n; j++) {
      double wanted = c.exact[size_t(i) * c.n + j] * (c.format == BF16 ? 1.0 : double(c.scales[j])) + c.bias[j];
      double magnitude = 3 * sqrt(c.k) + fabs(wanted);  // f32 sums in a fixed order: some ulp of the largest partial sum
      EXPECT(fabs(reference.values[size_t(i) * stride + j] - wanted) <= 1e-5 * magnitude);
    }
  for (const Kernel& kernel : KERNELS) {
    if (kernel.format != c.format) continue;
    for (int rows : ROWS) {
      if (rows > c.tokens || (rows > 3 * kernel.tokens && rows != c.tokens && kernel.tokens <= 16)) continue;
      int few = rows % 3;
      setting = std::string(kernel.name) + " n " + std::to_string(c.n) + " k " + std::to_string(c.k) + " rows " + std::to_string(rows) +
                " few " + std::to_string(few);
      for (int epilogue : {EPILOGUE_STORE, EPILOGUE_ADD}) {
        int width = rows % 2 == 0 ? stride : c.n + 1;  // sometimes no 16-byte rows
        Output out(c.tokens, width);
        c.launch(kernel, rows, epilogue, out.values, width, few);
        bool equal = true, untouched = true;
        for (int i = 0; i < c.tokens; i++)
          for (int j = 0; j < width; j++) {
            int at = i * width + j;
            float product = reference.values[size_t(i) * stride + j];
            if (i >= rows || j >= c.n) untouched &= same(out.values[at], Output::before(at));
            else equal &= same(out.values[at], epilogue == EPILOGUE_STORE ? product : Output::before(at) + product);
          }
        EXPECT(equal);
        EXPECT(untouched);
      }
    }
  }
}

void kernels_raggedShapes_equalEachOther() {
  for (int format = 0; format < FORMATS; format++)
    for (const auto& shape : SHAPES) check_shape(Case(Format(format), shape.n, shape.k, shape.tokens));
}

void rows_anotherPlace_keepTheirBits() {
  Case c(BF16, 70, 130, 300);
  Output reference(300, 72);
  c.launch(first_of(BF16), 300, EPILOGUE_STORE, reference.values, 72, 0);
  for (int shift : {1, 5, 77}) {
    c.place(shift);
    for (const Kernel& kernel : KERNELS) {
      if (kernel.format != BF16) continue;
      setting = std::string(kernel.name) + " shifted by " + std::to_string(shift);
      Output out(300, 72);
      c.launch(kernel, 300, EPILOGUE_STORE, out.values, 72, 1);
      bool equal = true;
      for (int row = 0; row < 300; row++)
        for (int j = 0; j < 70; j++) equal &= same(out.values[row * 72 + j], reference.values[(row + 300 - shift) % 300 * 72 + j]);
      EXPECT(equal);
    }
  }
}

/// Gate and up, packed with their interleave, against a float64 loop and against the first kernel's bits.
void gate_columnsNotOfEight_writesAnOperand() {
  const int columns = 45, k = 100, tokens = 75, rowsPad = 256;
  for (Format format : {BF16, FP8, INT8, INT4}) {
    Case c(format, 2 * columns, k, tokens);
    std::vector<float> gate(columns * k), upward(columns * k);
    for (float& v : gate) v = random_float();
    for (float& v : upward) v = random_float();
    for (float& v : c.bias) v = 0;
    c.scales.assign(up(2 * columns + 6, 64), 1.0f);
    c.n = 2 * columns;
    int padded = up(2 * columns, 64) / 2;
    run(PACK[format][2], dim3(2, 3), 256, 0, (const void*)gate.data(), (long long)k, columns, padded, k, (void*)c.weights.data, c.scales.data(), 0, 1);
    run(PACK[format][2], dim3(2, 3), 256, 0, (const void*)upward.data(), (long long)k, 20, 20, k, (void*)c.weights.data, c.scales.data(), 0, 2);
    run(PACK[format][2], dim3(2, 3), 256, 0, (const void*)(upward.data() + 20 * k), (long long)k, columns - 20, padded - 20, k,
        (void*)c.weights.data, c.scales.data(), 20, 2);
    Bytes first(size_t(64) * rowsPad * 2);
    for (const Kernel& kernel : KERNELS) {
      if (kernel.format != format) continue;
      for (int rows : {1, 40, tokens}) {
        setting = std::string(kernel.name) + " gate rows " + std::to_string(rows);
        Bytes out(size_t(64) * rowsPad * 2);
        c.launch(kernel, rows, EPILOGUE_GATE, out.data, rowsPad, rows % 3);
        if (&kernel == &first_of(format) && rows == tokens) first = out;
        if (&kernel == &first_of(format) && rows == tokens) first.data = first.storage.data() + (out.data - out.storage.data());
        bool near = true, equal = true, untouched = true;
        for (int i = 0; i < rowsPad; i++)
          for (int j = 0; j < 64; j++) {
            bf16 value = *operand_at((const void*)out.data, rowsPad, i, j);
            if (i >= rows || j >= columns) {
              untouched &= bf16_bits(value) == 0;
              continue;
            }
            if (rows == tokens) equal &= bf16_bits(value) == bf16_bits(*operand_at((const void*)first.data, rowsPad, i, j));
            double sums[2] = {0, 0};
            for (int part = 0; part < 2; part++) {
              int row = packed_row(j, part + 1);
              for (int x = 0; x < k; x++) sums[part] += double(c.weight(row, x)) * c.x[size_t(i) * k + x];
              if (format != BF16) sums[part] *= c.scales[row];
              if (format == BF16) near &= c.weight(row, 3) == to_float(from_float_rn((part ? upward : gate)[j * k + 3]));
            }
            double wanted = sums[0] / (1 + exp(-sums[0])) * sums[1];
            near &= fabs(to_float(value) - wanted) <= 0.004 * fabs(wanted) + 1e-3;
          }
        EXPECT(near);
        EXPECT(equal);
        EXPECT(untouched);
      }
    }
  }
}

/// What adapters add comes after scale and bias, and to the tokens that have a place alone.
void gate_addend_isAddedToItsTokens() {
  const int n = 96, tokens = 75, rowsPad = 256;
  for (Format format : {BF16, FP8, INT8, INT4}) {
    Case c(format, n, 100, tokens);
    Output sums(tokens, n);
    c.launch(first_of(format), tokens, EPILOGUE_STORE, sums.values, n, 0);
    for (int i = 0; i < tokens; i++) c.addendPlaces.push_back(i % 3 == 1 ? tokens / 3 - 1 - i / 3 : -1);
    for (int i = 0; i < tokens / 3 * n; i++) c.addend.push_back(random_float());
    for (const Kernel& kernel : KERNELS) {
      if (kernel.format != format) continue;
      for (int rows : {1, 2, 40, tokens}) {
        setting = std::string(kernel.name) + " addend rows " + std::to_string(rows);
        Bytes out(size_t(64) * rowsPad * 2);
        c.launch(kernel, rows, EPILOGUE_GATE, out.data, rowsPad, rows % 3);
        bool equal = true;
        for (int i = 0; i < rows; i++)
          for (int j = 0; j < n / 2; j++) {
            int row = j / 8 * 16 + j % 8;
            float low = sums.values[i * n + row], high = sums.values[i * n + row + 8];
            if (c.addendPlaces[i] >= 0) {
              low += c.addend[c.addendPlaces[i] * n + row];
              high += c.addend[c.addendPlaces[i] * n + row + 8];
            }
            equal &= bf16_bits(*operand_at((const void*)out.data, rowsPad, i, j)) == bf16_bits(from_float_rn(gated(low, high)));
          }
        EXPECT(equal);
      }
    }
  }
}

/// The first column of the weights holds every code, the first of the operand 1: what comes out is the code's value.
void quantised_everyCode_isExact() {
  for (Format format : {FP8, INT8}) {
    Case c(format, 256, 64, 9);
    for (int row = 0; row < 256; row++) {
      uint8_t code = static_cast<uint8_t>(row);
      uint32_t word = format == FP8 ? e4m3x4_pack(code, 0, 0, 0) : bytes_pack(code ^ 128, 128, 128, 128);
      reinterpret_cast<uint32_t*>(c.weights.data)[fragment_word8(row, 0, 1)] = word;
      c.scales[row] = format == FP8 ? ToFp8::UNIT : ToInt8::UNIT;
      c.bias[row] = 0;
    }
    for (int i = 0; i < 9; i++)
      for (int x = 0; x < 64; x++) *operand_at((void*)c.operand.data, c.operandRows, i, x) = from_float_rn(x == 0 ? 1.0f : 0.0f);
    for (const Kernel& kernel : KERNELS) {
      if (kernel.format != format) continue;
      setting = kernel.name;
      Output out(9, 256);
      c.launch(kernel, 9, EPILOGUE_STORE, out.values, 256, 0);
      bool exact = true;
      for (int code = 0; code < 256; code++) {
        int magnitude = code & 127, exponent = magnitude >> 3, mantissa = magnitude & 7;
        double value = exponent == 0 ? ldexp(mantissa, -9) : ldexp(8 + mantissa, exponent - 10);
        if (format == INT8) value = static_cast<signed char>(code);
        else if (code > 127) value = -value;
        if (format == FP8 && magnitude == 127) continue;
        for (int i = 0; i < 9; i++) exact &= out.values[i * 256 + code] == value;
      }
      EXPECT(exact);
    }
  }
}

void counts_noRows_writesNothing() {
  Case c(BF16, 64, 64, 5);
  for (const Kernel& kernel : KERNELS) {
    if (kernel.format != BF16) continue;
    setting = kernel.name;
    MatmulDevice device{132, 232448, true, true};
    MatmulPlan plan = kernel.kind == MatmulKernel::SMALL  ? matmul_small_plan(kernel.tokens, kernel.split, 64, 2048, device)
                      : kernel.kind == MatmulKernel::TILE ? matmul_tile_plan(kernel.tokens, 5, 64, 2048, 132)
                                                          : matmul_wgmma_plan(kernel.tokens, kernel.split, 5, 64, 2048, device);
    int counts[1] = {0};
    Output out(5, 64);
    run(kernel.entry, dim3(plan.gridX, plan.gridY), plan.block, plan.sharedBytes, (const void*)c.weights.data, (const float*)nullptr,
        (const float*)nullptr, (const void*)c.operand.data, c.operandRows, (void*)out.values, 64, (const int*)counts, 0, 64, 64, 0,
        plan.stages, plan.stageGroups, (const float*)nullptr, (const int*)nullptr);
    bool untouched = true;
    for (int i = 0; i < 5 * 64; i++) untouched &= same(out.values[i], Output::before(i));
    EXPECT(untouched);
  }
}

/// Where a weight lies, said again in the words of the layout and not in those of the code.
size_t place16(int row, int column, int kPad) {
  size_t tile = size_t(row / 16) * (kPad / 16) + column / 16;
  int g = row % 16 % 8, t = column % 8 / 2;
  int reg = (row % 16 >= 8 ? 1 : 0) + (column % 16 >= 8 ? 2 : 0);
  return (tile * 32 + g * 4 + t) * 8 + reg * 2 + column % 2;
}

void pack_allSources_placeAndRound() {
  setting = "pack";
  const int rows = 21, columns = 75, rowsPad = 64, kPad = 128;
  std::vector<float> w(rows * columns);
  std::vector<uint16_t> half(rows * columns);
  std::vector<bf16> brain(rows * columns);
  for (size_t i = 0; i < w.size(); i++) {
    w[i] = i == 5 ? 0.0f : random_float() * (i % 7 == 0 ? 1e-6f : 1);
    brain[i] = from_float_rn(w[i]);
    half[i] = static_cast<uint16_t>(generator() % 0x7c00 | (generator() & 1) << 15);
  }
  Bytes bytes(size_t(rowsPad) * kPad * 2, 0xee);
  const bf16* packed = (const bf16*)bytes.data;
  for (int source = 0; source < 3; source++) {
    const void* from = source == 0 ? (const void*)brain.data() : source == 1 ? (const void*)half.data() : (const void*)w.data();
    run(PACK[BF16][source], dim3(1, 5), 256, 0, from, (long long)columns, rows, rowsPad, columns, (void*)bytes.data, (float*)nullptr, 0, 0);
    bool placed = true;
    for (int r = 0; r < rowsPad; r++)
      for (int c = 0; c < kPad; c++) {
        float wanted = 0;
        if (r < rows && c < columns) {
          int h = half[r * columns + c];
          int exponent = h >> 10 & 31, mantissa = h & 1023;
          double value = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
          wanted = source == 1 ? float(h & 0x8000 ? -value : value) : w[r * columns + c];
        }
        placed &= bf16_bits(packed[place16(r, c, kPad)]) == bf16_bits(from_float_rn(wanted));
      }
    EXPECT(placed);
  }
}

void pack_quantised_roundsToTheNearestCode() {
  setting = "pack quantised";
  const int columns = 200;
  std::vector<float> w(3 * columns);
  for (float& v : w) v = random_float() * 3;
  for (int i = 0; i < columns; i++) w[columns + i] = 0;                  // a row of zeros
  for (int i = 0; i < columns; i++) w[2 * columns + i] = i * 2.25f - 2;  // up to 445.75, exact ties and subnormal codes
  w[2 * columns] = 448;
  std::vector<double> codes;
  for (int code = 0; code < 127; code++) codes.push_back(code < 8 ? ldexp(code, -9) : ldexp(8 + code % 8, code / 8 - 10));
  for (Format format : {FP8, INT8}) {
    Bytes bytes(64 * 256, 0xee);
    std::vector<float> scales(64, -1);
    run(PACK[format][2], dim3(1, 2), 256, 0, (const void*)w.data(), (long long)columns, 3, 64, columns, (void*)bytes.data, scales.data(), 0, 0);
    float unit = format == FP8 ? ToFp8::UNIT : ToInt8::UNIT;
    EXPECT(scales[1] == unit && scales[2] == 448 / (format == FP8 ? 448.0f : 127.0f) * unit);
    bool nearest = true;
    for (int r = 0; r < 64; r++)
      for (int c = 0; c < 256; c++) {
        double value = r < 3 && c < columns ? double(w[r * columns + c] / (scales[r] / unit)) : 0;
        if (format == INT8) {
          nearest &= element<Int8Weights>(bytes.data, r, c, 4) * unit == nearbyint(value);
          continue;
        }
        double best = 1e9;
        int code = 0;
        for (int i = 0; i < 127; i++) {
          double distance = fabs(codes[i] - fabs(value));
          if (distance < best || (distance == best && i % 2 == 0)) best = distance, code = i;
        }
        nearest &= element<Fp8Weights>(bytes.data, r, c, 4) == (value < 0 ? -codes[code] : codes[code]);
      }
    EXPECT(nearest);
  }
}

/// The error is near that of the best scale for each group, found by trying thousands, and codes are the nearest.
void pack_int4_choosesGoodScales() {
  setting = "pack int4";
  const int rows = 23, columns = 200, groups = 4;
  std::vector<float> w(rows * columns);
  for (int i = 0; i < rows * columns; i++) w[i] = random_float() * (i / columns % 3 == 0 ? 1e-3f : 50) * (i % 97 == 0 ? 4 : 1);
  for (int i = 0; i < columns; i++) w[4 * columns + i] = 0;
  for (int i = 64; i < 128; i++) w[5 * columns + i] = 0;  // a group of zeros
  for (int i = 0; i < columns; i++) w[6 * columns + i] = float(i % 16 - 8) * 0.25f;  // what four bits can say
  Bytes bytes(size_t(64) / 16 * groups * GROUP_BYTES[INT4], 0xee);
  std::vector<float> scales(64, -1);
  run(PACK[INT4][2], dim3(1, 2), 256, 0, (const void*)w.data(), (long long)columns, rows, 64, columns, (void*)bytes.data, scales.data(), 0, 0);
  bool exact = true, near = true, zeros = true;
  double error = 0, best = 0;
  for (int r = 0; r < 64; r++)
    for (int g = 0; g < groups; g++) {
      double mine = 0, least = 1e300, extreme = 0, squares = 0;
      for (int c = g * 64; c < g * 64 + 64; c++) {
        double x = r < rows && c < columns ? w[r * columns + c] : 0;
        double value = double(element<Int4Weights>(bytes.data, r, c, groups)) * scales[r];
        mine += (value - x) * (value - x);
        squares += x * x;
        extreme = fmax(extreme, fabs(x));
        if (x == 0) zeros &= value == 0;
        if (r == 6) exact &= value == x;
      }
      for (int i = -4000; i <= 4000 && extreme > 0; i++) {
        if (abs(i) < 1600) continue;
        double scale = extreme / 8 * i / 3000, sum = 0;
        for (int c = g * 64; c < g * 64 + 64; c++) {
          double x = r < rows && c < columns ? w[r * columns + c] : 0;
          double q = fmin(fmax(nearbyint(x / scale), -8), 7);
          sum += (q * scale - x) * (q * scale - x);
        }
        least = fmin(least, sum);
      }
      if (extreme == 0) continue;
      near &= (g + 1) * 64 > columns || mine <= 1.5 * least + 1e-5 * squares;  // few numbers may have a scale that fits them all
      error += mine / squares, best += least / squares;
    }
  EXPECT(exact && zeros);
  EXPECT(near);
  EXPECT(error <= 1.05 * best);
}

void fillRandom_bf16_isNormalAndPadded() {
  setting = "fill_random";
  const int rows = 70, columns = 1000, kPad = 1024;
  Bytes bytes(128 * kPad * 2, 0xee);
  run(verdier_launch_fill_random_bf16, 3, 256, 0, (void*)bytes.data, rows, columns, 42ll, 0.02f);
  const bf16* packed = (const bf16*)bytes.data;
  double sum = 0, squares = 0;
  bool padded = true;
  for (int r = 0; r < 128; r++)
    for (int c = 0; c < kPad; c++) {
      double v = to_float(packed[place16(r, c, kPad)]);
      if (r >= rows || c >= columns) padded &= v == 0;
      sum += v, squares += v * v;
    }
  EXPECT(padded);
  EXPECT(fabs(sum / rows / columns) < 0.0005 && fabs(sqrt(squares / rows / columns) - 0.02) < 0.0005);
  EXPECT(packed[place16(3, 77, kPad)].bits == from_float_rn(random_normal(42, 3, 77) * 0.02f).bits);
}

void embedAndOperand_rows_keepTheirValues() {
  setting = "embed";
  Case c(BF16, 50, 100, 4);
  int tokens[5] = {49, 0, ~1, 8, 3};  // the third is what the step before has sampled in place 1
  int sampled[2] = {5, 17};
  int expected[4] = {49, 0, 17, 8};
  int counts[3] = {0, 0, 4};
  std::vector<float> out(5 * 104, -1);
  run(verdier_launch_embed_bf16, 5, 256, 0, (const void*)c.weights.data, (const float*)nullptr, 100, (const int*)tokens, (const int*)sampled, out.data(), 104,
      (const int*)counts, 2, 2.0f);
  bool equal = true;
  for (int i = 0; i < 5; i++)
    for (int k = 0; k < 104; k++) equal &= out[i * 104 + k] == (i < 4 && k < 100 ? c.weight(expected[i], k) * 2 : -1);
  EXPECT(equal);
  for (Format format : {FP8, INT8, INT4}) {
    Case q(format, 50, 100, 4);
    run(format == FP8 ? verdier_launch_embed_fp8 : format == INT8 ? verdier_launch_embed_int8 : verdier_launch_embed_int4, 5, 256, 0, (const void*)q.weights.data,
        (const float*)q.scales.data(), 100, (const int*)tokens, (const int*)sampled, out.data(), 104, (const int*)counts, 2, 1.0f);
    for (int i = 0; i < 4; i++)
      for (int k = 0; k < 100; k++) equal &= out[i * 104 + k] == q.weight(expected[i], k) * q.scales[expected[i]];
  }
  EXPECT(equal);

  Bytes operand(256 * 128 * 2, 0xee);
  run(verdier_launch_operand_from_tensor, 5, 256, 0, (const float*)out.data(), 104, 100, (void*)operand.data, 256, (const int*)counts, 2);
  equal = true;
  for (int i = 0; i < 5; i++)
    for (int k = 0; k < 128; k++) {
      bf16 value = *operand_at((const void*)operand.data, 256, i, k);
      equal &= bf16_bits(value) == (i >= 4 ? 0xeeee : k < 100 ? bf16_bits(from_float_rn(out[i * 104 + k])) : 0);
    }
  EXPECT(equal);
}

/// What the rule says for Llama-3.1-8B on an H200, so that a change of it is seen.
void plan_llama_isAsWrittenDown() {
  setting = "plan";
  MatmulDevice h200{132, 232448, true, true}, a100{108, 166912, false, false}, ada{142, 101376, false, false}, rtx50{170, 101376, true, false};
  MatmulPlan decode = matmul_plan(1, 4096, 2048, h200);
  EXPECT(decode.kernel == MatmulKernel::SMALL && decode.tokens == 8 && decode.gridX == 132 && decode.block == 96 && decode.stages == 4 &&
         decode.stageGroups == 4 && decode.sharedBytes == 120 * 1024);
  MatmulPlan wide = matmul_plan(64, 28672, 2048, h200);
  EXPECT(wide.kernel == MatmulKernel::WGMMA && wide.tokens == 64 && wide.split == 2 && wide.gridX == 132 && wide.gridY == 1 && wide.stages == 4 &&
         wide.stageGroups == 2);
  MatmulPlan middle = matmul_plan(64, 6144, 2048, h200), middle8 = matmul_plan(64, 16384, 1024, h200), middle16 = matmul_plan(64, 8192, 2048, h200);
  EXPECT(middle.kernel == MatmulKernel::SMALL && middle.tokens == 64 && middle.split == 2 && middle.gridX == 132 && middle.block == 224);
  EXPECT(middle8.kernel == MatmulKernel::WGMMA && middle8.split == 2 && middle8.gridX == 128);
  EXPECT(middle16.kernel == MatmulKernel::WGMMA && middle16.split == 1 && middle16.gridX == 128 && middle16.stages == 3 && middle16.stageGroups == 4);
  MatmulPlan narrow = matmul_plan(64, 4096, 2048, h200), narrow128 = matmul_plan(128, 4096, 2048, h200);
  EXPECT(narrow.kernel == MatmulKernel::SMALL && narrow.split == 2 && narrow.block == 160 && narrow.stages == 4 && narrow.stageGroups == 4);
  EXPECT(narrow128.tokens == 64 && narrow128.split == 1 && narrow128.gridX == 128 && matmul_plan(129, 4096, 2048, h200).tokens == 128);
  EXPECT(matmul_plan(32, 28672, 2048, h200).kernel == MatmulKernel::SMALL && matmul_plan(1, 4096, 1024, h200).sharedBytes == 120 * 1024);
  MatmulPlan four = matmul_plan(1, 4096, 544, h200), four32 = matmul_plan(32, 28672, 544, h200), four128 = matmul_plan(128, 4096, 544, h200);
  EXPECT(four.sharedBytes == 120 * 1024 && four.stages == 3 && four.stageGroups == 8);
  EXPECT(four32.sharedBytes == 126976 && four32.stages == 4 && four32.stageGroups == 4);
  EXPECT(four128.sharedBytes == 218624 && four128.stages == 5 && four128.stageGroups == 4);
  MatmulPlan wide8 = matmul_plan(64, 28672, 1024, h200), narrow8 = matmul_plan(64, 4096, 1024, h200);
  EXPECT(wide8.kernel == MatmulKernel::WGMMA && wide8.tokens == 64 && wide8.split == 4 && wide8.gridX == 112 && wide8.stages == 4 && wide8.stageGroups == 2);
  EXPECT(narrow8.kernel == MatmulKernel::SMALL && narrow8.tokens == 64 && narrow8.split == 2 && narrow8.stages == 4);
  MatmulPlan shared8 = matmul_plan(32, 4096, 1024, h200);
  EXPECT(shared8.tokens == 32 && shared8.split == 2 && shared8.block == 160);
  MatmulPlan single8 = matmul_plan(32, 6144, 1024, h200), four64 = matmul_plan(64, 4096, 544, h200);
  EXPECT(single8.split == 1 && single8.stages == 4 && single8.stageGroups == 4);
  EXPECT(four64.split == 2 && four64.stages == 3 && four64.stageGroups == 8);
  MatmulPlan prefill = matmul_plan(4096, 4096, 2048, h200);
  EXPECT(prefill.tokens == 256 && prefill.split == 2 && prefill.gridX == 132 && prefill.stages == 4 &&
         prefill.sharedBytes == 4 * 48 * 1024 + 2 * 8704);
  for (int tokens = 1; tokens <= 8192; tokens = tokens * 3 / 2 + 1)
    for (int n : {1, 48, 1024, 4096, 6144, 28672, 128256})
      for (int group : GROUP_BYTES) {
        MatmulPlan plans[4] = {matmul_plan(tokens, n, group, h200), matmul_plan(tokens, n, group, a100), matmul_plan(tokens, n, group, ada),
                               matmul_plan(tokens, n, group, rtx50)};
        EXPECT(plans[0].sharedBytes + 1024 <= h200.sharedBytesMax && plans[0].stages >= 2);
        EXPECT(plans[1].sharedBytes <= a100.sharedBytesMax && plans[2].sharedBytes <= ada.sharedBytesMax);
        EXPECT(plans[3].sharedBytes + 1024 <= rtx50.sharedBytesMax && (tokens > 32 || plans[3].kernel == MatmulKernel::SMALL) && plans[3].stages >= 2);
        for (const MatmulPlan& plan : plans) EXPECT(plan.gridX >= 1 && plan.gridY >= 1 && plan.block >= 32 && plan.block <= 640);
      }
}

#define ROW(test) {#test, test}
const struct {
  const char* name;
  void (*test)();
} TESTS[] = {
    ROW(plan_llama_isAsWrittenDown),
    ROW(pack_allSources_placeAndRound),
    ROW(pack_quantised_roundsToTheNearestCode),
    ROW(pack_int4_choosesGoodScales),
    ROW(fillRandom_bf16_isNormalAndPadded),
    ROW(embedAndOperand_rows_keepTheirValues),
    ROW(quantised_everyCode_isExact),
    ROW(counts_noRows_writesNothing),
    ROW(gate_columnsNotOfEight_writesAnOperand),
    ROW(gate_addend_isAddedToItsTokens),
    ROW(rows_anotherPlace_keepTheirBits),
    ROW(kernels_raggedShapes_equalEachOther),
};

}  // namespace

/// Arguments: names of tests; none is all.
int main(int count, char** arguments) {
  const struct {
    const char *async, *seed;
  } SETTINGS[] = {{"mixed", "0"}, {"early", "1"}, {"late", "2"}};
  for (const auto& row : TESTS) {
    bool wanted = count < 2;
    for (int i = 1; i < count; i++) wanted |= strcmp(arguments[i], row.name) == 0;
    if (!wanted) continue;
    int before = failures;
    for (const auto& s : SETTINGS) {
      setenv("VERDIER_EMULATED_ASYNC", s.async, 1);
      setenv("VERDIER_EMULATED_SEED", s.seed, 1);
      row.test();
    }
    printf("%-50s %s\n", row.name, failures == before ? "passed" : "FAILED");
    fflush(stdout);
  }
  printf("%d passed, %d failed\n", checks - failures, failures);
  return failures != 0;
}
