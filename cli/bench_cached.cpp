#include "bench_cached.h"

#include <algorithm>

#include <torch/types.h>

#include <refnorm/kernels/normalize.h>
#include <refnorm/kernels/schedule.h>
#include <refnorm/kernels/simd_sweeps.h>
#include <refnorm/norms/group_norm.h>
#include <refnorm/ops/parallel.h>

namespace refnorm::cli {
namespace {

using torch::Tensor;

/// Below the size from which outputs are written past the caches.
constexpr std::int64_t kMostBytes = std::int64_t{8} << 20;

/// Which values share statistics under LibTorch's operators; the norms without one have none here.
std::optional<kernels::Partition> partition_of(const NormCase& what, std::int64_t samples) {
  const auto op = operator_of(what.norm);
  if (!op) return std::nullopt;
  switch (*op) {
    case Operator::kBatchNorm:
      return kernels::Partition{samples, 1};
    case Operator::kInstanceNorm:
      return kernels::Partition{1, 1};
    case Operator::kLayerNorm:
      return kernels::Partition{1, what.shape.c};
    case Operator::kGroupNorm:
      break;
  }
  const auto layer = std::dynamic_pointer_cast<GroupNormImpl>(make_layer(what));
  return kernels::Partition{1, what.shape.c / layer->options.num_groups()};
}

kernels::Shape shape_of(const NormCase& what) {
  return {what.shape.n, what.shape.c, what.shape.h * what.shape.w,
          what.channels_last ? kernels::Layout::kChannelsLast : kernels::Layout::kPlanar};
}

kernels::Blend blend_of(const NormCase& what) {
  kernels::Blend blend;
  blend.partitions = {*partition_of(what, what.shape.n)};
  blend.mean_weights = blend.var_weights = {1};
  blend.eps = 1e-5;
  return blend;
}

bool works_by_chunks(const NormCase& what) {
  const kernels::Shape shape = shape_of(what);
  const kernels::Blend blend = blend_of(what);
  const kernels::StatisticSets sets(shape, blend);
  return kernels::Schedule(shape, sets, ops::parallel_threads(), what.bf16 ? 6 : 12).fused();
}

template <class T>
class Cached : public Contender {
 public:
  Cached(const NormCase& what, std::int64_t turns)
      : shape_(shape_of(what)), turns_(turns), relu_(what.relu()), add_(what.add()), blend_(blend_of(what)) {
    for (Tensor* array : {&x_, &y_, &dy_, &dx_, &residual_, &dresidual_})
      *array = torch::randn({shape_.values()}).to(sizeof(T) == 2 ? torch::kBFloat16 : torch::kFloat);
    statistics_ = torch::zeros({2, kernels::StatisticSets(shape_, blend_).sets()}, torch::kDouble);
    parameters_ = torch::ones({4, shape_.channels}, torch::kDouble);
    if (add_) gate_ = torch::zeros({kernels::gate_bytes(shape_, kernels::sweeps<T>())}, torch::kByte);
  }

  void forward() override {
    for (std::int64_t i = 0; i < turns_; ++i) {
      kernels::normalize(problem(), add_ ? data(residual_) : nullptr, {data(y_), mean(), var(), gate()},
                         workers());
    }
  }
  void backward() override {
    kernels::BackwardInputs<T> in{
        data(dy_), add_ && gate() == nullptr ? data(y_) : nullptr, {mean(), var()}, gate()};
    kernels::BackwardOutputs<T> out{
        data(dx_), add_ ? data(dresidual_) : nullptr, parameter(2), parameter(3), nullptr, nullptr};
    for (std::int64_t i = 0; i < turns_; ++i) kernels::normalize_backward(problem(), in, out, workers());
  }
  /// Only a chunk of them is computed.
  NormResults results() const override { return {}; }

 private:
  static T* data(const Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); }
  double* mean() const { return statistics_.data_ptr<double>(); }
  double* var() const { return mean() + statistics_.size(1); }
  double* parameter(std::int64_t row) const { return parameters_.data_ptr<double>() + row * shape_.channels; }
  std::uint8_t* gate() const {
    return gate_.defined() && gate_.numel() > 0 ? gate_.data_ptr<std::uint8_t>() : nullptr;
  }
  kernels::Problem<T> problem() const {
    const auto size = static_cast<std::size_t>(shape_.channels);
    return {shape_, &blend_, {{parameter(0), size}, {parameter(1), size}}, &kernels::sweeps<T>(),
            relu_,  data(x_)};
  }
  /// Each thread does its share of the tasks, all of them the same one.
  static kernels::Workers workers() {
    const int threads = ops::parallel_threads();
    return {threads, [threads](std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
              ops::parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t thread = begin; thread < end; ++thread) {
                  const std::int64_t share = tasks * (thread + 1) / threads - tasks * thread / threads;
                  for (std::int64_t i = 0; i < share; ++i) body(std::min(thread, tasks - 1));
                }
              });
            }};
  }

  kernels::Shape shape_;
  std::int64_t turns_;
  bool relu_, add_;
  kernels::Blend blend_;
  Tensor x_, y_, dy_, dx_, residual_, dresidual_, statistics_, parameters_, gate_;
};

/// Where statistics need the whole tensor: the four sweeps over rows of a channels_last tensor by themselves,
/// every thread its share of the rows, a piece that lies in its core's cache again and again.
template <class T>
class CachedRows : public Contender {
 public:
  CachedRows(const NormCase& what, int threads)
      : relu_(what.relu()),
        add_(what.add()),
        channels_(what.shape.c),
        rows_((what.shape.n * what.shape.h * what.shape.w + threads - 1) / threads),
        arrays_(add_ ? 5 : 3),
        piece_(std::clamp<std::int64_t>(
            kPieceBytes / (arrays_ * channels_ * static_cast<std::int64_t>(sizeof(T))), 1, rows_)) {
    const std::int64_t values = piece_ * channels_;
    for (int i = 0; i < threads; ++i) {
      Thread& thread = threads_.emplace_back();
      for (Tensor* array :
           {&thread.x, &thread.y, &thread.dy, &thread.dx, &thread.residual, &thread.dresidual})
        *array = torch::randn({values}).to(sizeof(T) == 2 ? torch::kBFloat16 : torch::kFloat);
      thread.sums = torch::zeros({2, channels_}, torch::kDouble);
      thread.coefficients = torch::ones({6, channels_}, torch::kFloat);
      thread.gate = torch::zeros({values / 8 + 8}, torch::kByte);
    }
  }

  void forward() override {
    each_thread([this](const Thread& on) {
      each_piece([&](const kernels::Tile& tile) { sweeps_.moments(data(on.x), tile, on.sum(0), on.sum(1)); });
      each_piece([&](const kernels::Tile& tile) {
        sweeps_.apply(data(on.x), add_ ? data(on.residual) : nullptr, data(on.y), tile, on.forward(),
                      {relu_, add_ ? gate(on) : nullptr}, {});
      });
    });
  }
  void backward() override {
    each_thread([this](const Thread& on) {
      const kernels::Activation<T> activation{relu_, add_ && gate(on) == nullptr ? data(on.y) : nullptr,
                                              add_ ? gate(on) : nullptr};
      each_piece([&](const kernels::Tile& tile) {
        sweeps_.gradient_sums(data(on.x), data(on.dy), activation, tile, on.forward(), on.sum(0), on.sum(1));
      });
      each_piece([&](const kernels::Tile& tile) {
        sweeps_.gradient_apply(data(on.x), data(on.dy), activation, data(on.dx),
                               add_ ? data(on.dresidual) : nullptr, tile, on.forward(), on.backward(), {});
      });
    });
  }
  NormResults results() const override { return {}; }

 private:
  /// Half of what a core's second-level cache has on small machines, twice what the kernels count on.
  static constexpr std::int64_t kPieceBytes = std::int64_t{512} << 10;
  struct Thread {
    Tensor x, y, dy, dx, residual, dresidual, sums, coefficients, gate;
    double* sum(std::int64_t row) const { return sums.data_ptr<double>() + row * sums.size(1); }
    float* coefficient(std::int64_t row) const {
      return coefficients.data_ptr<float>() + row * coefficients.size(1);
    }
    kernels::ForwardCoefficients<float> forward() const {
      return {coefficient(0), coefficient(1), coefficient(2)};
    }
    kernels::BackwardCoefficients<float> backward() const {
      return {coefficient(3), coefficient(4), coefficient(5)};
    }
  };
  static T* data(const Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); }
  std::uint8_t* gate(const Thread& on) const {
    return sweeps_.has_gates && channels_ % 8 == 0 ? on.gate.template data_ptr<std::uint8_t>() : nullptr;
  }
  template <class Body>
  void each_thread(const Body& body) const {
    ops::parallel_for(static_cast<std::int64_t>(threads_.size()), 1,
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t i = begin; i < end; ++i)
                          body(threads_[static_cast<std::size_t>(i)]);
                      });
  }
  template <class Body>
  void each_piece(const Body& body) const {
    for (std::int64_t begin = 0; begin < rows_; begin += piece_)
      body(kernels::Tile{std::min(piece_, rows_ - begin), channels_, channels_, 1});
  }

  const kernels::Sweeps<T>& sweeps_ = kernels::sweeps<T>();
  bool relu_, add_;
  std::int64_t channels_, rows_, arrays_, piece_;
  std::vector<Thread> threads_;
};

template <class T>
CachedKernels cached_rows(const NormCase& what) {
  return {std::make_unique<CachedRows<T>>(what, ops::parallel_threads()), true};
}

}  // namespace

CachedKernels make_cached(NormCase what) {
  if (!partition_of(what, what.shape.n)) return {};
  if (!works_by_chunks(what)) {
    if (!what.channels_last || operator_of(what.norm) != Operator::kBatchNorm) return {};
    return what.bf16 ? cached_rows<kernels::Bfloat16>(what) : cached_rows<float>(what);
  }
  std::int64_t turns = 1;
  // Norms of single samples keep their channels, batch norm its samples.
  std::int64_t& shrinks = operator_of(what.norm) == Operator::kBatchNorm ? what.shape.c : what.shape.n;
  while (what.bytes() > kMostBytes && shrinks % 2 == 0) {
    shrinks /= 2;
    turns *= 2;
  }
  if (!works_by_chunks(what)) return {};
  if (what.bf16) return {std::make_unique<Cached<kernels::Bfloat16>>(what, turns), false};
  return {std::make_unique<Cached<float>>(what, turns), false};
}

}  // namespace refnorm::cli
