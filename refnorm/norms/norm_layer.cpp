#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/norm_layer.h>

namespace refnorm {
namespace {

/// Holds the integer buffers of a module, and puts their type back when it goes.
class KeepCounters {
 public:
  explicit KeepCounters(torch::nn::Module& module) {
    for (const torch::Tensor& buffer : module.buffers(/*recurse=*/false)) {
      if (!buffer.is_floating_point()) counters_.emplace_back(buffer, buffer.scalar_type());
    }
  }
  ~KeepCounters() {
    for (auto& [counter, type] : counters_) counter.set_data(counter.to(type));
  }
  KeepCounters(const KeepCounters&) = delete;
  KeepCounters& operator=(const KeepCounters&) = delete;

 private:
  std::vector<std::pair<torch::Tensor, torch::ScalarType>> counters_;
};

}  // namespace

struct NormLayer::Place {
  std::shared_ptr<NormLayer> layer;
  std::int64_t channels = 0;
  int dims = 0;
};

void NormLayer::learn_affine(bool on) {
  for (torch::Tensor& parameter : parameters(/*recurse=*/false)) parameter.requires_grad_(on);
}

void NormLayer::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  const KeepCounters keep(*this);
  torch::nn::Module::to(device, dtype, non_blocking);
}

void NormLayer::to(torch::Dtype dtype, bool non_blocking) {
  const KeepCounters keep(*this);
  torch::nn::Module::to(dtype, non_blocking);
}

void NormSlot::fill(torch::nn::Module& parent, const std::string& name, const NormFactory& factory,
                    std::int64_t channels, int dims) {
  std::shared_ptr<NormLayer> made;
  if (place_ != nullptr) {
    // The parent was copied from another one, or is reset: a layer of the kind that stands here.
    made = std::dynamic_pointer_cast<NormLayer>(place_->layer->clone());
    made->reset_parameters();
  } else {
    made = factory(channels, dims);
  }
  place_ = std::make_shared<NormLayer::Place>(NormLayer::Place{made, channels, dims});
  made->place_ = place_;
  parent.register_module(name, made);
}

NormLayer& NormSlot::layer() const {
  if (place_ == nullptr) throw Error("a norm slot is used before it is filled");
  return *place_->layer;
}

bool NormSlot::holds(const NormLayer& layer) {
  const auto place = layer.place_.lock();
  return place != nullptr && place->layer.get() == &layer;
}

std::int64_t NormSlot::channels_of(const NormLayer& layer) {
  return layer.place_.lock()->channels;
}

int NormSlot::dims_of(const NormLayer& layer) {
  return layer.place_.lock()->dims;
}

void NormSlot::replace(torch::nn::Module& parent, const std::string& name, NormLayer& layer,
                       const std::shared_ptr<NormLayer>& next) {
  const auto place = layer.place_.lock();
  next->place_ = place;
  parent.replace_module(name, next);
  place->layer = next;
}

torch::Tensor norm_act(NormLayer& norm, const torch::Tensor& x, const torch::Tensor& residual, bool relu) {
  return norm.normalize(x, {residual, relu});
}

torch::Tensor norm_act(const NormSlot& norm, const torch::Tensor& x, const torch::Tensor& residual,
                       bool relu) {
  return norm_act(norm.layer(), x, residual, relu);
}

}  // namespace refnorm
