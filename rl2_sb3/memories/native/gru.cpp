// The recurrence of rl2_sb3/policies/gru.py at the speed of the hardware; the equations stand there.
//
// The columns are cut into tiles, and a tile goes through all time steps before the next begins, so
// that the recurrent weights stay in the second-level cache. Tiles are spread over threads.
// How columns and weights are cut depends on the sizes alone: results are the same bit for bit for
// any number of threads.
//
// A step of a column has four rows of `size` numbers, in this order everywhere: r, z, u, c. What
// forward keeps are the gate r, 1 - z, u = U_c h, and the candidate c; backward replaces them by the
// gradients with respect to r's and z's inputs, to u, and to c's input. So the gradient of the state
// is one product of the first three with the recurrent weights as they are.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/cpu/vec/vec.h>
#include <ATen/native/CPUBlas.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

using at::Tensor;
using Vec = at::vec::Vectorized<float>;
namespace blas = at::native::cpublas;

constexpr int64_t PANEL = 64; // output columns of one product: what AMX takes of packed weights
constexpr int64_t BLOCK = 192; // rows of the weights' gradients that one task makes

// ---- Numbers: how the factors of products are held ----

inline at::BFloat16 to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40; // NaN stays NaN
  return at::BFloat16(
      static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded),
      at::BFloat16::from_bits());
}

struct Fp32 {
  using Factor = float;
  static constexpr bool rounds = false;
  static float round(float value) { return value; }
};

struct Bf16 { // products in bf16, sums in fp32
  using Factor = at::BFloat16;
  static constexpr bool rounds = true;
  static at::BFloat16 round(float value) { return to_bf16(value); }
};

struct Rounded { // the numbers of bf16 where the processor has no such products
  using Factor = float;
  static constexpr bool rounds = true;
  static float round(float value) { return static_cast<float>(to_bf16(value)); }
};

template <class P>
constexpr at::ScalarType factor_type() {
  return c10::CppTypeToScalarType<typename P::Factor>::value;
}

// A vector of numbers from memory; the last one of a row may be shorter.
inline Vec load(const float* from, int64_t n) { return Vec::loadu(from, n); }

inline Vec load(const at::BFloat16* from, int64_t n) {
#if defined(__AVX512BF16__) && defined(CPU_CAPABILITY_AVX512)
  if (n == Vec::size())
    return _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), 16));
#endif
  float numbers[Vec::size()] = {};
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = static_cast<uint32_t>(from[i].x) << 16;
    std::memcpy(&numbers[i], &bits, 4);
  }
  return Vec::loadu(numbers);
}

inline void store(float* to, Vec value, int64_t n) { value.store(to, n); }

inline void store(at::BFloat16* to, Vec value, int64_t n) {
#if defined(__AVX512BF16__) && defined(CPU_CAPABILITY_AVX512)
  if (n == Vec::size()) {
    const __m256bh rounded = _mm512_cvtneps_pbh(value);
    std::memcpy(to, &rounded, sizeof rounded);
    return;
  }
#endif
  float numbers[Vec::size()];
  value.store(numbers);
  for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(numbers[i]);
}

template <class P>
void store_factor(typename P::Factor* to, Vec value, int64_t n) {
  if constexpr (std::is_same_v<P, Rounded>) {
    float numbers[Vec::size()];
    value.store(numbers);
    for (int64_t i = 0; i < n; ++i) to[i] = P::round(numbers[i]);
  } else {
    store(to, value, n);
  }
}

// f(i, n) for the vectors of a row of `size` numbers; n is known when compiling but for the last.
template <class F>
void sweep(int64_t size, F f) {
  int64_t i = 0;
  for (; i + Vec::size() <= size; i += Vec::size())
    f(i, std::integral_constant<int64_t, Vec::size()>());
  if (i < size) f(i, size - i);
}

// exp(x) - 1 and 2^n, where x = n ln 2 + rest: a polynomial in the rest (Cephes), inline so that the
// three of a step overlap, and as exact near 0 as elsewhere. NaN stays NaN.
inline std::pair<Vec, Vec> exp_parts(Vec x) {
  x = at::vec::minimum(at::vec::maximum(x, Vec(-87)), Vec(87));
  const Vec shift(12582912.f); // 1.5 * 2^23: adding it leaves n in the last bits
  const Vec shifted = at::vec::fmadd(x, Vec(1.44269504f), shift);
  const Vec n = shifted - shift;
  const Vec power = at::vec::cast<float>(
      (at::vec::cast<int32_t>(shifted) + at::vec::Vectorized<int32_t>(127)) << at::vec::Vectorized<int32_t>(23));
  const Vec rest = at::vec::fmadd(n, Vec(2.12194440e-4f), at::vec::fmadd(n, Vec(-.693359375f), x));
  Vec sum(1.9875691500e-4f);
  for (const float coefficient :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    sum = at::vec::fmadd(sum, rest, Vec(coefficient));
  return {at::vec::fmadd(sum, rest * rest, rest), power};
}

inline Vec sigmoid(Vec x) {
  const auto [part, power] = exp_parts(x.neg());
  return Vec(1) / (Vec(1) + at::vec::fmadd(power, part, power));
}

inline Vec tanh(Vec x) {
  const auto [part, power] = exp_parts(x + x);
  const Vec exp_1 = at::vec::fmadd(power, part, power - Vec(1));
  return exp_1 / (exp_1 + Vec(2));
}

// ---- Products: a right factor in panels of 64 columns ----

// to(j, i) = from(i, j), numbers of 32 bits; from of (rows, columns)
void transpose(
    const float* from, int64_t lead_from, int64_t rows, int64_t columns, float* to, int64_t lead_to) {
  for (int64_t i = 0; i < rows; i += 16)
    for (int64_t j = 0; j < columns; j += 16) {
      const float* block = from + i * lead_from + j;
      if (i + 16 <= rows && j + 16 <= columns)
        at::vec::transpose_mxn<float, 16, 16>(block, lead_from, to + j * lead_to + i, lead_to);
      else
        for (int64_t k = i; k < std::min(i + 16, rows); ++k)
          for (int64_t l = j; l < std::min(j + 16, columns); ++l)
            std::memcpy(to + l * lead_to + k, from + k * lead_from + l, sizeof(float));
    }
}

// The right factor of A @ B, cut into panels and, for bf16, laid out in pairs of rows, as the
// processor's products take it.
template <class P>
class Panels {
 public:
  using Factor = typename P::Factor;
  static constexpr int64_t PAIR = sizeof(float) / sizeof(Factor); // numbers in 32 bits

  Panels(int64_t depth, int64_t width)
      : depth(depth), width(width), data(new Factor[depth * PANEL * count()]) {}

  // B's transpose, (width, rows), with zeros from there to the depth
  static Panels transposed(const float* from, int64_t rows, int64_t width, int64_t depth) {
    Panels panels(depth, width);
    const float* words = from;
    std::unique_ptr<Factor[]> factors;
    if (P::rounds || rows != depth) {
      factors.reset(new Factor[width * depth]());
      for (int64_t n = 0; n < width; ++n)
        sweep(rows, [&](int64_t k, auto count) {
          store_factor<P>(factors.get() + n * depth + k, load(from + n * rows + k, count), count);
        });
      words = reinterpret_cast<const float*>(factors.get());
    }
    const int64_t pairs = depth / PAIR;
    for (int64_t p = 0; p < panels.count(); ++p)
      transpose(
          words + p * PANEL * pairs, pairs, panels.columns(p), pairs,
          reinterpret_cast<float*>(panels.at(p)), panels.lead(p));
    return panels;
  }

  // B itself, (depth, width)
  static Panels of(const float* from, int64_t depth, int64_t width) {
    Panels panels(depth, width);
    for (int64_t p = 0; p < panels.count(); ++p)
      for (int64_t k = 0; k < depth; ++k) {
        Factor* to = panels.at(p) + k / PAIR * panels.lead(p) * PAIR + k % PAIR;
        for (int64_t n = 0; n < panels.columns(p); ++n)
          to[n * PAIR] = P::round(from[k * width + p * PANEL + n]);
      }
    return panels;
  }

  // c += a @ B, a of (rows, depth)
  void add(int64_t rows, const Factor* a, int64_t lead_a, float* c, int64_t lead_c) const {
    for (int64_t p = 0; p < count(); ++p)
      blas::brgemm(
          rows, columns(p), depth, lead_a, lead(p), lead_c, true, a, at(p), c + p * PANEL);
  }

 private:
  int64_t depth, width;
  std::unique_ptr<Factor[]> data;

  int64_t count() const { return (width + PANEL - 1) / PANEL; }
  int64_t columns(int64_t panel) const { return std::min(PANEL, width - panel * PANEL); }
  int64_t lead(int64_t panel) const { return (columns(panel) + 15) / 16 * 16; }
  Factor* at(int64_t panel) const { return data.get() + panel * depth * PANEL; }
};

struct Release { // gives the processor's tile registers back, whatever happens
  bool used;
  ~Release() {
    if (used) blas::brgemm_release();
  }
};

// ---- Sizes ----

struct Sizes {
  int64_t steps, columns, inputs, size, tile, tiles;

  Sizes(const Tensor& x, const Tensor& h, bool bf16)
      : steps(x.size(0)), columns(x.size(1)), inputs(x.size(2)), size(h.size(1)) {
    tile = bf16 && columns >= 128 ? 64 : 32;
    tiles = (columns + tile - 1) / tile;
  }
  int64_t begin(int64_t i) const { return columns * i / tiles; }
  int64_t row(int64_t step, int64_t column) const { return step * columns + column; }
};

// So many threads while it lives, or torch's number of them for 0.
class Threads {
 public:
#ifdef _OPENMP
  explicit Threads(int64_t n) : before(omp_get_max_threads()) {
    if (n > 0) omp_set_num_threads(static_cast<int>(n));
  }
  ~Threads() { omp_set_num_threads(before); }

 private:
  int before;
#else
  explicit Threads(int64_t) {}
#endif
};

// Tasks 0 .. n-1 over threads. There are two at least, so that with several threads a task
// is always within a parallel region, and products within it take one thread.
template <class F>
void parallel(int64_t n, F task) {
  at::parallel_for(0, std::max<int64_t>(n, 2), 1, [&](int64_t begin, int64_t end) {
    at::AutoDispatchBelowAutograd guard;
    for (int64_t i = begin; i < std::min(end, n); ++i) task(i);
  });
}

// ---- The reset before a step ----

struct Keep { // 0 where the state is forgotten before a step, (steps, columns, 1 or size)
  const float* data = nullptr;
  int64_t width = 0;

  explicit Keep(const std::optional<Tensor>& keep) {
    if (keep) data = keep->const_data_ptr<float>(), width = keep->size(2);
  }
  Vec operator()(int64_t row, int64_t i, int64_t n) const {
    return width == 1 ? Vec(data[row]) : Vec::loadu(data + row * width + i, n);
  }
};

// ---- Inputs ----

// A row's inputs that are not zero: how many, and which.
inline int64_t nonzeros(const float* x, int64_t inputs, int32_t* which) {
  int64_t count = 0;
  for (int64_t j = 0; j < inputs; ++j) { // without a branch, which could not be foretold
    which[count] = static_cast<int32_t>(j);
    count += x[j] != 0; // NaN is not zero
  }
  return count;
}

// Whether few inputs are other than zero, as with one-hot features.
bool mostly_zero(const Tensor& x, const Tensor& weight_ih) {
  const int64_t n = x.numel();
  const float* data = x.const_data_ptr<float>();
  int64_t others = 0;
  for (int64_t i = 0; i < n; ++i) others += data[i] != 0;
  // 0 times infinity is not zero
  return others * 4 <= n && std::isfinite(weight_ih.abs().sum().item<float>());
}

// ---- Forward ----

template <class P>
struct InputWeights { // W_ih: as panels for r and z, and for c; or as rows, one for each input
  Panels<P> rz, c;
  std::vector<float> rows;

  InputWeights(const Tensor& weight, int64_t depth, bool sparse)
      : InputWeights(weight.const_data_ptr<float>(), weight.size(1), weight.size(0), sparse ? 0 : depth) {
    if (sparse) {
      transpose(weight.const_data_ptr<float>(), weight.size(1), weight.size(0), weight.size(1), rows.data(), weight.size(0));
      for (float& number : rows) number = P::round(number);
    }
  }

 private:
  InputWeights(const float* from, int64_t inputs, int64_t gates, int64_t depth)
      : rz(Panels<P>::transposed(from, depth ? inputs : 0, gates / 3 * 2, depth)),
        c(Panels<P>::transposed(from + gates / 3 * 2 * inputs, depth ? inputs : 0, gates / 3, depth)),
        rows(depth ? 0 : inputs * gates) {}
};

// The inputs as factors, (steps * columns, depth): with zeros to an even depth in bf16.
template <class P>
Tensor as_factors(const Tensor& x, const Sizes& s, int64_t depth) {
  if constexpr (!P::rounds) return x;
  Tensor factors = at::zeros({s.steps, s.columns, depth}, x.options().dtype(factor_type<P>()));
  const float* from = x.const_data_ptr<float>();
  auto* to = factors.data_ptr<typename P::Factor>();
  for (int64_t row = 0; row < s.steps * s.columns; ++row)
    sweep(s.inputs, [&](int64_t i, auto count) {
      store_factor<P>(to + row * depth + i, load(from + row * s.inputs + i, count), count);
    });
  return factors;
}

// `save` keeps what backward needs: gates, states before each step as factors where they are not
// those of the output, and inputs as factors where most are not zero.
template <class P>
std::tuple<Tensor, Tensor, Tensor, Tensor> forward_in(
    const Tensor& x, const Tensor& h, const std::optional<Tensor>& keep, const Tensor& weight_ih,
    const Tensor& weight_hh, const Tensor& bias, bool relu, bool save) {
  using Factor = typename P::Factor;
  const Sizes s(x, h, std::is_same_v<P, Bf16>);
  constexpr int64_t pair = Panels<P>::PAIR;
  const int64_t size = s.size, depth = (s.inputs + pair - 1) / pair * pair;
  const bool sparse = mostly_zero(x, weight_ih);
  const InputWeights<P> input_weights(weight_ih, depth, sparse);
  const auto u = Panels<P>::transposed(weight_hh.const_data_ptr<float>(), size, 3 * size, size);
  const auto factors = x.options().dtype(factor_type<P>());
  const bool own = P::rounds || keep; // products take other numbers than the output's
  Tensor output = at::empty({s.steps, s.columns, size}, x.options());
  Tensor gates = at::empty({save ? s.steps : 0, s.columns, 4 * size}, factors);
  Tensor before = at::empty({save && own ? s.steps : 0, s.columns, size}, factors);
  Tensor x_factors = sparse ? at::empty({0}, factors) : as_factors<P>(x, s, depth);
  const Keep kept(keep);
  const float *x_data = x.const_data_ptr<float>(), *b = bias.const_data_ptr<float>();
  const float* h_data = h.const_data_ptr<float>();
  float* out_data = output.data_ptr<float>();
  auto *gates_data = gates.data_ptr<Factor>(), *before_data = before.data_ptr<Factor>();
  const Factor* factor_data = x_factors.data_ptr<Factor>();

  parallel(s.tiles, [&](int64_t tile) {
    const Release release{std::is_same_v<P, Bf16>};
    const int64_t begin = s.begin(tile), n = s.begin(tile + 1) - begin;
    std::vector<float> sums(n * 4 * size), states(keep ? n * size : 0);
    std::vector<Factor> own_factors(own && !save ? n * size : 0);
    std::vector<int32_t> which(s.inputs + 1);
    for (int64_t t = 0; t < s.steps; ++t) {
      const int64_t first = s.row(t, begin);
      const float* state = t ? out_data + s.row(t - 1, begin) * size : h_data + begin * size;
      const Factor* factor = nullptr;
      if (own) {
        Factor* to = save ? before_data + first * size : own_factors.data();
        for (int64_t c = 0; c < n; ++c)
          sweep(size, [&](int64_t i, auto count) {
            Vec value = load(state + c * size + i, count);
            if (kept.data) {
              value = value * kept(first + c, i, count);
              store(states.data() + c * size + i, value, count);
            }
            store_factor<P>(to + c * size + i, value, count);
          });
        factor = to;
        if (kept.data) state = states.data();
      } else if constexpr (!P::rounds) {
        factor = state;
      }
      for (int64_t c = 0; c < n; ++c) {
        float* sum = sums.data() + c * 4 * size;
        std::fill(sum + 2 * size, sum + 3 * size, 0.f);
        const float* x = x_data + (first + c) * s.inputs;
        const int64_t others = sparse ? nonzeros(x, s.inputs, which.data()) : 0;
        const auto begin_with = [&](float* to, int64_t gate, int64_t length) {
          sweep(length, [&](int64_t i, auto count) {
            Vec value = load(b + gate + i, count);
            for (int64_t k = 0; k < others; ++k) {
              const float* w = input_weights.rows.data() + which[k] * 3 * size + gate + i;
              const Vec factor(static_cast<float>(P::round(x[which[k]])));
              value = at::vec::fmadd(factor, load(w, count), value);
            }
            store(to + i, value, count);
          });
        };
        begin_with(sum, 0, 2 * size);
        begin_with(sum + 3 * size, 2 * size, size);
      }
      if (!sparse) {
        input_weights.rz.add(n, factor_data + first * depth, depth, sums.data(), 4 * size);
        input_weights.c.add(n, factor_data + first * depth, depth, sums.data() + 3 * size, 4 * size);
      }
      u.add(n, factor, size, sums.data(), 4 * size);
      for (int64_t c = 0; c < n; ++c)
        sweep(size, [&](int64_t i, auto count) {
          const float* sum = sums.data() + c * 4 * size + i;
          const Vec r = sigmoid(load(sum, count)), z = sigmoid(load(sum + size, count));
          const Vec uh = load(sum + 2 * size, count);
          const Vec input = at::vec::fmadd(r, uh, load(sum + 3 * size, count));
          const Vec candidate = relu ? at::vec::maximum(input, Vec(0)) : tanh(input);
          const Vec last = load(state + c * size + i, count);
          const Vec next = at::vec::fmadd(z, last, (Vec(1) - z) * candidate);
          store(out_data + (first + c) * size + i, next, count);
          if (save) {
            Factor* to = gates_data + (first + c) * 4 * size + i;
            store(to, r, count);
            store(to + size, Vec(1) - z, count); // units that remember long have z close to 1
            store(to + 2 * size, uh, count);
            store(to + 3 * size, candidate, count);
          }
        });
    }
  });
  return {output, gates, before, x_factors};
}

// ---- Backward ----

// A part of the steps and columns, `rows` of them, in which states or inputs lie one under another.
template <class T>
struct Stretch {
  int64_t first, rows;
  const T* factors;
  int64_t lead;
};

// to (block, width) = left.t() @ right, summed over stretches; left's rows are the gates'.
template <class P>
void products(
    const typename P::Factor* left, int64_t lead_left, int64_t block,
    const std::vector<Stretch<typename P::Factor>>& right, int64_t width, float* to) {
  using Factor = typename P::Factor;
  constexpr int64_t PIECE = 128; // rows whose transpose stays in the first two caches
  std::vector<Factor> transposed(block * PIECE);
  std::fill(to, to + block * width, 0.f);
  if constexpr (std::is_same_v<P, Bf16>) {
    const Release release{true};
    std::vector<float> words(block / 2 * PIECE);
    std::vector<Factor> pairs(PIECE * PANEL);
    for (const auto& [first, rows, factors, lead] : right)
      for (int64_t begin = 0; begin < rows; begin += PIECE) {
        const int64_t n = std::min(PIECE, rows - begin), depth = (n + 1) / 2 * 2;
        const Factor* from = left + (first + begin) * lead_left;
        // Numbers are transposed in pairs, and the pairs taken apart.
        transpose(reinterpret_cast<const float*>(from), lead_left / 2, n, block / 2, words.data(), PIECE);
        for (int64_t i = 0; i < block / 2; ++i) {
          const auto* word = reinterpret_cast<const uint32_t*>(words.data()) + i * PIECE;
          auto* rows_of_two = reinterpret_cast<uint16_t*>(transposed.data()) + 2 * i * PIECE;
          for (int64_t k = 0; k < n; ++k) rows_of_two[k] = static_cast<uint16_t>(word[k]);
          for (int64_t k = 0; k < n; ++k) rows_of_two[PIECE + k] = static_cast<uint16_t>(word[k] >> 16);
          if (depth > n) rows_of_two[n] = rows_of_two[PIECE + n] = 0;
        }
        for (int64_t panel = 0; panel < width; panel += PANEL) {
          const int64_t columns = std::min(PANEL, width - panel), packed = (columns + 15) / 16 * 16;
          for (int64_t k = 0; k < depth; k += 2) {
            const Factor* even = factors + (begin + k) * lead + panel;
            auto* pair = pairs.data() + k * packed;
            if (k + 1 < n)
              for (int64_t j = 0; j < columns; ++j) pair[2 * j] = even[j], pair[2 * j + 1] = even[lead + j];
            else
              for (int64_t j = 0; j < columns; ++j) pair[2 * j] = even[j], pair[2 * j + 1] = Factor(0);
          }
          blas::brgemm(
              block, columns, depth, PIECE, packed, width, true, transposed.data(), pairs.data(), to + panel);
        }
      }
  } else {
    for (const auto& [first, rows, factors, lead] : right)
      for (int64_t begin = 0; begin < rows; begin += PIECE) {
        const int64_t n = std::min(PIECE, rows - begin);
        transpose(left + (first + begin) * lead_left, lead_left, n, block, transposed.data(), PIECE);
        blas::brgemm(
            block, width, n, PIECE, lead, width, true, transposed.data(), factors + begin * lead, to);
      }
  }
}

// The same for inputs that are mostly zero.
template <class P>
void sparse_products(
    const typename P::Factor* left, int64_t block, const float* x, const Sizes& s, float* to) {
  std::vector<float> sums(s.inputs * block), gates(block);
  std::vector<int32_t> which(s.inputs + 1);
  for (int64_t row = 0; row < s.steps * s.columns; ++row, x += s.inputs, left += 4 * s.size) {
    const int64_t others = nonzeros(x, s.inputs, which.data());
    sweep(block, [&](int64_t i, auto count) { store(gates.data() + i, load(left + i, count), count); });
    for (int64_t k = 0; k < others; ++k) {
      const Vec factor(static_cast<float>(P::round(x[which[k]])));
      float* sum = sums.data() + which[k] * block;
      sweep(block, [&](int64_t i, auto count) {
        store(sum + i, at::vec::fmadd(factor, load(gates.data() + i, count), load(sum + i, count)), count);
      });
    }
  }
  transpose(sums.data(), block, s.inputs, block, to, s.inputs);
}

// The gates are replaced by their gradients: backward runs once.
template <class P>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward_in(
    const Tensor& grad_output, const Tensor& x, const Tensor& h, const std::optional<Tensor>& keep,
    const Tensor& weight_ih, const Tensor& weight_hh, const Tensor& output, const Tensor& gates,
    const Tensor& before, const Tensor& x_factors, bool relu, bool needs_x) {
  using Factor = typename P::Factor;
  const Sizes s(x, h, std::is_same_v<P, Bf16>);
  const int64_t size = s.size, rows = s.steps * s.columns;
  const auto u = Panels<P>::of(weight_hh.const_data_ptr<float>(), 3 * size, size);
  Tensor grad_h = at::empty({s.columns, size}, h.options());
  Tensor biases = at::zeros({s.tiles, 3 * size}, h.options());
  const Keep kept(keep);
  const float *out_data = output.const_data_ptr<float>(), *h_data = h.const_data_ptr<float>();
  const float* grad_data = grad_output.const_data_ptr<float>();
  auto* gates_data = gates.data_ptr<Factor>();
  float *grad_h_data = grad_h.data_ptr<float>(), *biases_data = biases.data_ptr<float>();

  parallel(s.tiles, [&](int64_t tile) {
    const Release release{std::is_same_v<P, Bf16>};
    const int64_t begin = s.begin(tile), n = s.begin(tile + 1) - begin;
    float *grad = grad_h_data + begin * size, *bias = biases_data + tile * 3 * size;
    std::fill(grad, grad + n * size, 0.f);
    for (int64_t t = s.steps - 1; t >= 0; --t) {
      const int64_t first = s.row(t, begin);
      const float* state = t ? out_data + s.row(t - 1, begin) * size : h_data + begin * size;
      for (int64_t c = 0; c < n; ++c)
        sweep(size, [&](int64_t i, auto count) {
          Factor* gate = gates_data + (first + c) * 4 * size + i;
          const Vec one(1), r = load(gate, count), fresh = load(gate + size, count), z = one - fresh;
          const Vec uh = load(gate + 2 * size, count), candidate = load(gate + 3 * size, count);
          Vec last = load(state + c * size + i, count);
          if (kept.data) last = last * kept(first + c, i, count);
          const Vec g = load(grad + c * size + i, count) + load(grad_data + (first + c) * size + i, count);
          const Vec to_z = g * (last - candidate) * z * fresh;
          const Vec slope = relu ? candidate.gt(Vec(0)) : one - candidate * candidate;
          const Vec to_c = g * fresh * slope, to_r = to_c * uh * r * (one - r);
          store_factor<P>(gate, to_r, count);
          store_factor<P>(gate + size, to_z, count);
          store_factor<P>(gate + 2 * size, to_c * r, count);
          store_factor<P>(gate + 3 * size, to_c, count);
          store(bias + i, load(bias + i, count) + to_r, count);
          store(bias + size + i, load(bias + size + i, count) + to_z, count);
          store(bias + 2 * size + i, load(bias + 2 * size + i, count) + to_c, count);
          store(grad + c * size + i, g * z, count);
        });
      u.add(n, gates_data + first * 4 * size, 4 * size, grad, size);
      if (kept.data)
        for (int64_t c = 0; c < n; ++c)
          sweep(size, [&](int64_t i, auto count) {
            float* to = grad + c * size + i;
            store(to, load(to, count) * kept(first + c, i, count), count);
          });
    }
  });

  // The weights' gradients, by blocks of gates: r, z and u belong to U, and r, z and c to W_ih.
  Tensor grad_hh = at::empty_like(weight_hh), grad_ih = at::empty_like(weight_ih);
  float *hh = grad_hh.data_ptr<float>(), *ih = grad_ih.data_ptr<float>();
  const bool sparse = x_factors.numel() == 0;
  std::vector<Stretch<Factor>> states, inputs{{0, rows, x_factors.const_data_ptr<Factor>(), x_factors.size(-1)}};
  if (before.numel())
    states = {{0, rows, before.const_data_ptr<Factor>(), size}};
  else if constexpr (!P::rounds)
    states = {{0, s.columns, h_data, size}, {s.columns, rows - s.columns, out_data, size}};
  const auto blocks = [&](int64_t gate, int64_t length, auto task) {
    parallel((length + BLOCK - 1) / BLOCK, [&](int64_t block) {
      const int64_t begin = block * BLOCK, n = std::min(BLOCK, length - begin);
      task(gates_data + gate + begin, begin, n);
    });
  };
  blocks(0, 3 * size, [&](const Factor* gate, int64_t begin, int64_t n) {
    products<P>(gate, 4 * size, n, states, size, hh + begin * size);
  });
  for (const auto& [gate, length, row] : {std::array{int64_t(0), 2 * size, int64_t(0)}, {3 * size, size, 2 * size}})
    blocks(gate, length, [&, to = ih + row * s.inputs](const Factor* gate, int64_t begin, int64_t n) {
      if (sparse)
        sparse_products<P>(gate, n, x.const_data_ptr<float>(), s, to + begin * s.inputs);
      else
        products<P>(gate, 4 * size, n, inputs, s.inputs, to + begin * s.inputs);
    });

  Tensor grad_x;
  if (needs_x) {
    const Tensor flat = gates.view({rows, 4 * size});
    grad_x = at::empty({rows, s.inputs}, x.options());
    const Tensor w = P::rounds ? weight_ih.to(at::kBFloat16).to(factor_type<P>()) : weight_ih;
    constexpr int64_t piece = 1024;
    parallel((rows + piece - 1) / piece, [&](int64_t i) {
      const int64_t begin = i * piece, n = std::min(piece, rows - begin);
      const Tensor part = flat.narrow(0, begin, n), to = grad_x.narrow(0, begin, n);
      to.copy_(at::mm(part.narrow(1, 0, 2 * size), w.narrow(0, 0, 2 * size)));
      to.add_(at::mm(part.narrow(1, 3 * size, size), w.narrow(0, 2 * size, size)));
    });
    grad_x = grad_x.view_as(x);
  }
  return {grad_x, grad_h, grad_ih, grad_hh, biases.sum(0)};
}

// ---- What torch calls ----

template <class F>
auto in_precision(int64_t precision, F f) {
  switch (precision) {
    case 0:
      return f(Fp32());
    case 1:
      return f(Bf16());
    default:
      return f(Rounded());
  }
}

// The passes take the sizes as given, and would read past the end of what is smaller.
void check_sizes(
    const Tensor& x, const Tensor& h, const std::optional<Tensor>& keep, const Tensor& weight_ih,
    const Tensor& weight_hh, const Tensor& bias) {
  const auto check = [&](const char* name, const Tensor& part, bool fits) {
    TORCH_CHECK(
        fits, name, " of shape ", part.sizes(), " does not fit x of ", x.sizes(), " and h of ", h.sizes());
  };
  check("h", h, x.dim() == 3 && h.dim() == 2 && h.size(0) == x.size(1));
  const int64_t steps = x.size(0), columns = x.size(1), inputs = x.size(2), size = h.size(1);
  const auto is = [](const Tensor& part, at::IntArrayRef sizes) { return part.sizes() == sizes; };
  if (keep)
    check("keep", *keep, is(*keep, {steps, columns, 1}) || is(*keep, {steps, columns, size}));
  check("weight_ih", weight_ih, is(weight_ih, {3 * size, inputs}));
  check("weight_hh", weight_hh, is(weight_hh, {3 * size, size}));
  check("bias", bias, is(bias, {3 * size}));
}

std::tuple<Tensor, Tensor, Tensor, Tensor> forward(
    const Tensor& x, const Tensor& h, const std::optional<Tensor>& keep, const Tensor& weight_ih,
    const Tensor& weight_hh, const Tensor& bias, bool relu, int64_t precision, bool save,
    int64_t threads) {
  check_sizes(x, h, keep, weight_ih, weight_hh, bias);
  const Threads taken(threads);
  return in_precision(precision, [&](auto p) {
    return forward_in<decltype(p)>(x, h, keep, weight_ih, weight_hh, bias, relu, save);
  });
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& grad_output, const Tensor& x, const Tensor& h, const std::optional<Tensor>& keep,
    const Tensor& weight_ih, const Tensor& weight_hh, const Tensor& output, const Tensor& gates,
    const Tensor& before, const Tensor& x_factors, bool relu, int64_t precision, bool needs_x,
    int64_t threads) {
  const Threads taken(threads);
  return in_precision(precision, [&](auto p) {
    return backward_in<decltype(p)>(
        grad_output, x, h, keep, weight_ih, weight_hh, output, gates, before, x_factors, relu, needs_x);
  });
}

// Whether products of bf16 numbers work here: oneDNN refuses where the processor, or the
// environment, allows none. Asked before the first use, since nothing may fail within a pass.
bool try_bf16() {
  try {
    const std::vector<float> ones(2 * 16, 1.f);
    const auto panels = Panels<Bf16>::of(ones.data(), 2, 16);
    const std::vector<at::BFloat16> left(2, at::BFloat16(1.f));
    std::vector<float> sums(16, 1.f);
    panels.add(1, left.data(), 2, sums.data(), 16);
    blas::brgemm_release();
    return std::all_of(sums.begin(), sums.end(), [](float sum) { return sum == 3.f; });
  } catch (const std::exception&) {
    return false;
  }
}

bool has_bf16() {
  if (!at::globalContext().userEnabledMkldnn()) return false;
  static const bool works = try_bf16();
  return works;
}

} // namespace

TORCH_LIBRARY(rl2_sb3, library) {
  library.def(
      "gru_forward(Tensor x, Tensor h, Tensor? keep, Tensor weight_ih, Tensor weight_hh, Tensor bias, "
      "bool relu, int precision, bool save, int threads) -> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "gru_backward(Tensor grad_output, Tensor x, Tensor h, Tensor? keep, Tensor weight_ih, Tensor "
      "weight_hh, Tensor output, Tensor(a!) gates, Tensor before, Tensor x_factors, bool relu, int "
      "precision, bool needs_x, int threads) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  library.def("has_bf16() -> bool", &has_bf16);
}

TORCH_LIBRARY_IMPL(rl2_sb3, CPU, library) {
  library.impl("gru_forward", &forward);
  library.impl("gru_backward", &backward);
}
