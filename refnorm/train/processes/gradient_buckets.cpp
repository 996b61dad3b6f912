#include <algorithm>

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/timing.h>
#include <refnorm/train/processes/gradient_buckets.h>

namespace refnorm::train {

using torch::Tensor;

/// Gradients one behind the other, then for each of them whether there is one.
struct GradientBuckets::Bucket {
  std::vector<Tensor> parameters;
  std::vector<std::int64_t> offsets;
  std::int64_t values = 0;
  std::int64_t waiting_for = 0;  ///< parameters whose gradients are still to come
  Tensor flat;
  std::unique_ptr<Group::Pending> sum;

  void add(const Tensor& parameter) {
    parameters.push_back(parameter);
    offsets.push_back(values);
    values += parameter.numel();
  }
  std::int64_t count() const { return static_cast<std::int64_t>(parameters.size()); }
  /// The gradient's place, as the parameter lies in memory.
  Tensor place(std::size_t i) const {
    const Tensor& parameter = parameters[i];
    const Tensor run = flat.narrow(0, offsets[i], parameter.numel());
    return parameter.is_non_overlapping_and_dense()
               ? run.as_strided(parameter.sizes(), parameter.strides(), run.storage_offset())
               : run.view(parameter.sizes());
  }
  void fill() {
    const torch::NoGradGuard no_grad;
    // Gradients of the step before may still be views of the old memory.
    flat = torch::empty({values + count()}, parameters[0].options().dtype(torch::kFloat));
    std::vector<float> there;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Tensor& gradient = parameters[i].grad();
      there.push_back(gradient.defined() ? 1 : 0);
      if (gradient.defined())
        place(i).copy_(gradient);
      else
        place(i).zero_();
    }
    flat.narrow(0, values, count()).copy_(torch::tensor(there));
  }
  void take() {
    const torch::NoGradGuard no_grad;
    const Tensor counts = flat.narrow(0, values, count()).to(torch::kCPU);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Tensor& gradient = parameters[i].mutable_grad();
      if (counts[static_cast<std::int64_t>(i)].item<float>() == 0) {
        gradient.reset();
      } else {
        gradient = place(i).to(parameters[i].scalar_type());
      }
    }
    flat.reset();
  }
};

GradientBuckets::GradientBuckets(std::shared_ptr<Group> group, const std::vector<Tensor>& parameters,
                                 std::int64_t bucket_bytes, std::int64_t first_bytes)
    : group_(std::move(group)) {
  if (group_->size() == 1) return;
  std::int64_t room = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (!parameter->defined() || !parameter->requires_grad()) continue;
    const std::int64_t bytes = parameter->numel() * static_cast<std::int64_t>(sizeof(float));
    if (buckets_.empty() || bytes > room) {
      room = buckets_.empty() ? first_bytes : bucket_bytes;
      buckets_.push_back(std::make_unique<Bucket>());
    }
    room -= bytes;
    const std::size_t at = buckets_.size() - 1;
    buckets_[at]->add(*parameter);
    std::shared_ptr<torch::autograd::Node> node = torch::autograd::impl::grad_accumulator(*parameter);
    const std::uintptr_t hook = node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [this, at](const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) {
          arrived(at);
          return outputs;
        }));
    hooks_.emplace_back(std::move(node), hook);
  }
}

GradientBuckets::~GradientBuckets() {
  for (auto& [node, hook] : hooks_) node->del_post_hook(hook);
}

void GradientBuckets::expect() {
  expecting_ = true;
  begun_ = 0;
  for (const auto& bucket : buckets_) bucket->waiting_for = bucket->count();
}

void GradientBuckets::arrived(std::size_t bucket) {
  if (!expecting_) return;
  --buckets_[bucket]->waiting_for;
  begin_ready(/*all=*/false);
}

/// In order, which is the same in all processes.
void GradientBuckets::begin_ready(bool all) {
  for (; begun_ < buckets_.size() && (all || buckets_[begun_]->waiting_for <= 0); ++begun_) {
    Bucket& bucket = *buckets_[begun_];
    bucket.fill();
    bucket.sum = group_->begin_sum(bucket.flat);
  }
}

void GradientBuckets::finish() {
  begin_ready(/*all=*/true);
  expecting_ = false;
  const Stopwatch watch;
  for (const auto& bucket : buckets_) {
    bucket->sum->wait();
    bucket->sum.reset();
  }
  waited_ = watch.seconds();
  for (const auto& bucket : buckets_) bucket->take();
}

std::int64_t GradientBuckets::buckets() const {
  return static_cast<std::int64_t>(buckets_.size());
}

std::int64_t GradientBuckets::bytes() const {
  std::int64_t bytes = 0;
  for (const auto& bucket : buckets_)
    bytes += (bucket->values + bucket->count()) * static_cast<std::int64_t>(sizeof(float));
  return bytes;
}

}  // namespace refnorm::train
