// elementwise.cu under emulation: every kernel against float64, and the bits of a row wherever it lies and however long
// its stride is.
//
//   g++ -std=c++17 -O2 -ffp-contract=off -DVERDIER_EMULATED -x c++ elementwise_test.cu -o elementwise-test -pthread
//   ./elementwise-test
//
// Tolerances. f32 results: 1e-5 of the value (a few roundings, and 2^x within 2 ulp). Operands: one rounding to bf16,
// 2^-8 of the value at most.
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

void norms_anyShape_matchOracleAndOneAnother(int rows, int columns, int stride) {
  const float epsilon = 1e-5f;
  Tensor x(rows, columns, stride), update(rows, columns, columns + 4), out(rows, columns, columns + 1);
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
  launch(verdier_launch_rms_norm_tensor, rows + 1, 1, 512, shared, out.base(), out.stride, (const float*)x.base(),
         stride, constGain, columns, epsilon, constCount);
  operand.checkUntouched(rows);
  for (int r = 0; r < rows; r++) {
    operand.checkPadding(r);
    for (int c = 0; c < columns; c++) {
      double expected = normOf(x, gainCopy, r, c, epsilon);
      CHECK(close(out.at(r, c), expected, 1e-5), "norm of row %d column %d: %g, expected %g", r, c, out.at(r, c),
            expected);
      CHECK(operand.bits(r, c) == bf16_bits(from_float_rn(out.at(r, c))), "operand of row %d column %d", r, c);
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

  // Sum, then norm: in one kernel and in two.
  Tensor sum = x;
  launch(verdier_launch_add, rows + 1, (columns + 2047) / 2048, 512, 0, sum.base(), stride, (const float*)update.base(),
         update.stride, columns, constCount);
  for (int r = 0; r < rows; r++) {
    for (int c = 0; c < columns; c++) CHECK(sum.at(r, c) == x.at(r, c) + update.at(r, c), "sum, row %d", r);
  }
  Operand apart(rows, columns), together(rows, columns);
  launch(verdier_launch_rms_norm, rows, 1, 512, shared, apart.base(), apart.rowsPad, (const float*)sum.base(), stride,
         (const int*)nullptr, constGain, columns, epsilon, constCount);
  launch(verdier_launch_add_rms_norm, rows, 1, 512, shared, together.base(), together.rowsPad, x.base(), stride,
         (const float*)update.base(), update.stride, constGain, columns, epsilon, constCount);
  CHECK(memcmp(apart.data.data(), together.data.data(), apart.data.size() * 16) == 0, "sum and norm in one kernel");
  for (int r = 0; r < rows; r++) {
    CHECK(memcmp(&x.at(r, 0), &sum.at(r, 0), columns * 4) == 0, "residual of row %d", r);
  }
}

void gate_anyShape_matchesOracle(int rows, int columns, int stride) {
  Tensor in(rows, 2 * columns, stride), out(rows, columns, columns + 3);
  for (int c = 0; c < columns; c++) in.at(0, c) *= 60;  // far out in the tails
  Operand operand(rows + 1, columns);
  int count = rows;
  const int* constCount = &count;
  unsigned across = unsigned(columns + 63) / 64 * 64;
  launch(verdier_launch_gate, rows + 1, (across + 2047) / 2048, 512, 0, operand.base(), operand.rowsPad,
         (const float*)in.base(), stride, columns, constCount);
  launch(verdier_launch_gate_tensor, rows + 1, (columns + 2047) / 2048, 512, 0, out.base(), out.stride,
         (const float*)in.base(), stride, columns, constCount);
  Tensor back(rows, columns, columns);
  launch(verdier_launch_tensor_from_operand, rows, (columns + 2047) / 2048, 512, 0, back.base(), back.stride,
         (const void*)operand.base(), operand.rowsPad, columns, constCount);
  operand.checkUntouched(rows);
  for (int r = 0; r < rows; r++) {
    operand.checkPadding(r);
    for (int c = 0; c < columns; c++) {
      double g = in.at(r, c), expected = g / (1 + exp(-g)) * in.at(r, columns + c);
      CHECK(close(out.at(r, c), expected, 1e-5), "gate of row %d column %d: %g, expected %g", r, c, out.at(r, c),
            expected);
      CHECK(operand.bits(r, c) == bf16_bits(from_float_rn(out.at(r, c))), "operand of row %d column %d", r, c);
      CHECK(back.at(r, c) == operand.at(r, c), "tensor of row %d column %d", r, c);
    }
  }
}

void gather_rows_areExact() {
  Tensor in(9, 50, 52), out(3, 50, 50);
  int source[] = {8, 0, 8}, count = 3;
  launch(verdier_launch_gather, 5, 1, 512, 0, out.base(), out.stride, (const float*)in.base(), in.stride,
         (const int*)source, 50, (const int*)&count);
  for (int i = 0; i < 3; i++) CHECK(memcmp(&out.at(i, 0), &in.at(source[i], 0), 200) == 0, "row %d", i);
}

void argmax_tiesAndGarbage_lowestIdWins() {
  const int columns = 10007;
  Tensor in(8, columns, columns + 1);
  auto fill = [&](int r, float x) { std::fill_n(&in.at(r, 0), columns, x); };
  in.at(0, 9999) = 50;
  in.at(1, 5000) = in.at(1, 4999) = in.at(1, 10006) = 50;
  fill(2, -INFINITY);
  in.at(2, 77) = -1e30f;
  fill(3, -2);
  in.at(3, 3) = -0.0f, in.at(3, 4) = 0.0f;
  in.at(4, 9) = NAN, in.at(4, 10) = 40;
  in.at(5, 10) = INFINITY;
  fill(6, NAN);
  fill(7, -INFINITY);
  const int expected[] = {9999, 4999, 77, 3, 10, 10, 0, 0};
  const int expectedFlags[] = {0, 0, 0, 0, 1, 1, 1, 0};
  int out[9], flags[9], count = 8;
  out[8] = flags[8] = -5;
  launch(verdier_launch_argmax, 9, 1, 1024, 0, (int*)out, (int*)flags, (const float*)in.base(), in.stride, columns,
         (const int*)&count);
  for (int r = 0; r < 8; r++) {
    CHECK(out[r] == expected[r] && flags[r] == expectedFlags[r], "row %d: %d flag %d", r, out[r], flags[r]);
  }
  CHECK(out[8] == -5 && flags[8] == -5, "a row that does not exist");
}

void kvBlocks_outAndIn_areCopied() {
  const int layers = 3, blocks = 7, pieces = 5;
  std::vector<uint4> cache(layers * (blocks * pieces + 2)), buffer(3 * layers * pieces + 1), back(cache.size());
  for (size_t i = 0; i < cache.size(); i++) cache[i] = make_uint4(unsigned(i), 1, 2, 3);
  int list[] = {6, 0, 3};
  int64_t layerBytes = (blocks * pieces + 2) * 16, blockBytes = pieces * 16;
  launch(verdier_launch_kv_gather, 2, 1, 32, 0, buffer.data(), cache.data(), (const int*)list, 3, layers, layerBytes,
         blockBytes);
  launch(verdier_launch_kv_scatter, 3, 1, 64, 0, buffer.data(), back.data(), (const int*)list, 3, layers, layerBytes,
         blockBytes);
  size_t copied = 0;
  for (size_t i = 0; i < cache.size(); i++) {
    int inLayer = int(i % (blocks * pieces + 2));
    bool listed = inLayer < blocks * pieces && std::count(list, list + 3, inLayer / pieces);
    CHECK(listed ? back[i].x == i && back[i].w == 3 : back[i].x == 0 && back[i].w == 0, "piece %zu", i);
    copied += listed;
  }
  CHECK(copied == 3u * layers * pieces && buffer.back().x == 0 && buffer[pieces].x == 6 * pieces + blocks * pieces + 2,
        "order of the buffer");
}

}  // namespace

int main() {
  norms_anyShape_matchOracleAndOneAnother(1, 64, 64);
  norms_anyShape_matchOracleAndOneAnother(3, 50, 53);
  norms_anyShape_matchOracleAndOneAnother(5, 17, 20);
  norms_anyShape_matchOracleAndOneAnother(4, 4096, 4096);
  norms_anyShape_matchOracleAndOneAnother(2, 5120, 5124);
  norms_anyShape_matchOracleAndOneAnother(2, 16384, 16385);
  gate_anyShape_matchesOracle(3, 37, 74);
  gate_anyShape_matchesOracle(2, 64, 128);
  gate_anyShape_matchesOracle(2, 4100, 8203);
  gather_rows_areExact();
  argmax_tiesAndGarbage_lowestIdWins();
  kvBlocks_outAndIn_areCopied();
  printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
