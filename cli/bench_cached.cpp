#include "bench_cached.h"

#include <algorithm>

#include <torch/torch.h>

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

template <class T>
class Cached : public Contender {
 public:
  Cached(const NormCase& what, const kernels::Shape& shape, const kernels::Partition& partition,
         std::int64_t turns)
      : shape_(shape), turns_(turns), relu_(what.relu()), add_(what.add()) {
    blend_.partitions = {partition};
    blend_.mean_weights = blend_.var_weights = {1};
    blend_.eps = 1e-5;
    for (Tensor* array : {&x_, &y_, &dy_, &dx_, &residual_, &dresidual_})
      *array = torch::randn({shape.values()}).to(sizeof(T) == 2 ? torch::kBFloat16 : torch::kFloat);
    statistics_ = torch::zeros({2, kernels::StatisticSets(shape, blend_).sets()}, torch::kDouble);
    parameters_ = torch::ones({4, shape.channels}, torch::kDouble);
    if (add_) gate_ = torch::zeros({kernels::gate_bytes(shape, kernels::sweeps<T>())}, torch::kByte);
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

}  // namespace

std::unique_ptr<Contender> make_cached(NormCase what) {
  std::int64_t turns = 1;
  // Norms of single samples keep their channels, batch norm its samples.
  std::int64_t& shrinks = operator_of(what.norm) == Operator::kBatchNorm ? what.shape.c : what.shape.n;
  while (what.bytes() > kMostBytes && shrinks % 2 == 0) {
    shrinks /= 2;
    turns *= 2;
  }
  const auto partition = partition_of(what, what.shape.n);
  if (!partition) return nullptr;
  const kernels::Shape shape{what.shape.n, what.shape.c, what.shape.h * what.shape.w,
                             what.channels_last ? kernels::Layout::kChannelsLast : kernels::Layout::kPlanar};
  kernels::Blend blend;
  blend.partitions = {*partition};
  blend.mean_weights = blend.var_weights = {1};
  const kernels::StatisticSets sets(shape, blend);
  if (!kernels::Schedule(shape, sets, ops::parallel_threads(), what.bf16 ? 6 : 12).fused()) return nullptr;
  if (what.bf16) return std::make_unique<Cached<kernels::Bfloat16>>(what, shape, *partition, turns);
  return std::make_unique<Cached<float>>(what, shape, *partition, turns);
}

}  // namespace refnorm::cli
