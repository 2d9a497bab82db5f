// elementwise.cu under emulation: every kernel against float64, and the bits of a row wherever it lies and however long
// its stride is.
//
//   g++ -std=c++17 -O2 -ffp-contract=off -DVERDIER_EMULATED -x c++ elementwise_test.cu -o elementwise-test -pthread
//   ./elementwise-test
//
// Tolerance: one rounding to bf16, 2^-8 of the value at most.
#include "../../main/cuda/elementwise.cu"

#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

int failures = 0;

#define CHECK(condition, ...)                       \
  do {                                              \
    if (!(condition) && failures++ < 20) {          \
      printf("FAILED %s:%d: ", __FILE__, __LINE__); \
      printf(__VA_ARGS__);                          \
      printf("\n");                                 \
    }                                               \
  } while (0)

typedef int Launcher(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

template <class... Arguments>
void launch(Launcher* kernel, unsigned gx, unsigned gy, unsigned threads, unsigned sharedBytes,
            Arguments... arguments) {
  void* params[] = {&arguments...};
  int failed = kernel(gx, gy, 1, threads, 1, 1, sharedBytes, params);
  CHECK(!failed, "%s", verdier_emulated_error());
}

std::mt19937 generator(5);

// f32 [rows][stride] of which `columns` count; the rest is NaN.
struct Tensor {
  int rows, columns, stride;
  std::vector<float> data;

  Tensor(int rows, int columns, int stride)
      : rows(rows), columns(columns), stride(stride), data(rows * stride + 4, NAN) {
    std::normal_distribution<float> normal;
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) at(r, c) = normal(generator);
    }
  }

  // 16-byte aligned where the stride allows it.
  float* base() { return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(data.data()) + 15) & ~uintptr_t(15)); }
  float& at(int r, int c) { return base()[r * stride + c]; }
};

struct Operand {
  int rowsPad, columns;
  std::vector<uint4> data;

  Operand(int rows, int columns) : rowsPad((rows + 255) / 256 * 256), columns(columns) {
    data.resize(size_t((columns + 63) / 64) * rowsPad * 8);
    memset(data.data(), 0xff, data.size() * 16);
  }

  void* base() { return data.data(); }
  uint16_t bits(int r, int c) { return bf16_bits(*operand_at(base(), rowsPad, r, c)); }
  float at(int r, int c) { return to_float(*operand_at(base(), rowsPad, r, c)); }

  void checkUntouched(int row) {
    for (int c = 0; c < (columns + 63) / 64 * 64; c++) CHECK(bits(row, c) == 0xffff, "row %d was written", row);
  }

  void checkPadding(int row) {
    for (int c = columns; c < (columns + 63) / 64 * 64; c++) CHECK(bits(row, c) == 0, "padding column %d", c);
  }
};

bool close(double actual, double expected, double relative) {
  return fabs(actual - expected) <= relative * fabs(expected) + 1e-30;
}

double normOf(Tensor& x, const std::vector<float>& gain, int r, int c, double epsilon) {
  double mean = 0;
  for (int i = 0; i < x.columns; i++) mean += double(x.at(r, i)) * x.at(r, i) / x.columns;
  return x.at(r, c) / sqrt(mean + epsilon) * gain[c];
}

void norm_anyShape_matchesOracleWhereverItLies(int rows, int columns, int stride) {
  const float epsilon = 1e-5f;
  Tensor x(rows, columns, stride);
  std::vector<float> gains(columns + 4);
  float* gain = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(gains.data()) + 15) & ~uintptr_t(15));
  for (int c = 0; c < columns; c++) gain[c] = 1 + float(c % 7) / 8;
  std::vector<float> gainCopy(gain, gain + columns);
  unsigned shared = unsigned(columns + 3) / 4 * 16;
  int count = rows;
  const float* constGain = gain;
  const int* constCount = &count;

  Operand operand(rows + 1, columns);
  launch(verdier_launch_rms_norm, rows + 1, 1, 512, shared, operand.base(), operand.rowsPad, (const float*)x.base(),
         stride, (const int*)nullptr, constGain, columns, epsilon, constCount);
  operand.checkUntouched(rows);
  for (int r = 0; r < rows; r++) {
    operand.checkPadding(r);
    for (int c = 0; c < columns; c++) {
      double expected = normOf(x, gainCopy, r, c, epsilon);
      CHECK(close(operand.at(r, c), expected, 1.0 / 256), "norm of row %d column %d: %g, expected %g", r, c,
            operand.at(r, c), expected);
    }
  }

  // Rows in reverse, from a copy with another stride: the same bits.
  Tensor copy(rows, columns, columns + 5);
  for (int r = 0; r < rows; r++) std::copy_n(&x.at(r, 0), columns, &copy.at(r, 0));
  std::vector<int> reverse;
  for (int r = 0; r < rows; r++) reverse.push_back(rows - 1 - r);
  Operand other(rows, columns);
  launch(verdier_launch_rms_norm, rows, 1, 512, shared, other.base(), other.rowsPad, (const float*)copy.base(),
         copy.stride, (const int*)reverse.data(), constGain, columns, epsilon, constCount);
  for (int r = 0; r < rows; r++) {
    for (int c = 0; c < columns; c++) CHECK(other.bits(r, c) == operand.bits(rows - 1 - r, c), "row %d reversed", r);
  }
}

void gather_rows_areExact() {
  Tensor in(9, 50, 52), out(3, 50, 50);
  int source[] = {8, 0, 8}, count = 3;
  launch(verdier_launch_gather, 5, 1, 512, 0, out.base(), out.stride, (const float*)in.base(), in.stride,
         (const int*)source, 50, (const int*)&count);
  for (int i = 0; i < 3; i++) CHECK(memcmp(&out.at(i, 0), &in.at(source[i], 0), 200) == 0, "row %d", i);
}

}  // namespace

int main() {
  norm_anyShape_matchesOracleWhereverItLies(1, 64, 64);
  norm_anyShape_matchesOracleWhereverItLies(3, 50, 53);
  norm_anyShape_matchesOracleWhereverItLies(5, 17, 20);
  norm_anyShape_matchesOracleWhereverItLies(4, 4096, 4096);
  norm_anyShape_matchesOracleWhereverItLies(2, 5120, 5124);
  norm_anyShape_matchesOracleWhereverItLies(2, 16384, 16385);
  gather_rows_areExact();
  printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
