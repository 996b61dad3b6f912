#include <fmt/format.h>
#include <torch/types.h>

#include "bench_contender.h"

#ifdef REFNORM_HAVE_ONEDNN

#include <unordered_map>

#include <oneapi/dnnl/dnnl.hpp>

namespace refnorm::cli {
namespace {

using dnnl::memory;
using dnnl::normalization_flags;
using dnnl::prop_kind;
using torch::Tensor;

/// Which numbers a primitive sees: its logical axes, how they lie, and how many parameters it has.
struct View {
  memory::desc data;
  std::int64_t parameters;
};

memory::data_type type_of(const NormCase& what) {
  return what.bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

View batch_norm_view(const NormCase& what) {
  const NormShape& shape = what.shape;
  const auto tag = what.channels_last ? memory::format_tag::nhwc : memory::format_tag::nchw;
  return {memory::desc({shape.n, shape.c, shape.h, shape.w}, type_of(what), tag), shape.c};
}

/// oneDNN normalizes the last axis: a sample's values, in the order in which they lie.
View layer_norm_view(const NormCase& what) {
  const std::int64_t width = what.shape.c * what.shape.h * what.shape.w;
  return {memory::desc({what.shape.n, width}, type_of(what), memory::format_tag::ab), width};
}

template <class Forward, class Backward>
class OneDnn : public Contender {
 public:
  OneDnn(const NormCase& what, const NormInputs& inputs, double eps, const View& view,
         normalization_flags flags)
      : inputs_(inputs),
        channels_(what.shape.c),
        y_(torch::empty_like(inputs.x.detach())),
        dx_(torch::empty_like(inputs.x.detach())),
        channels_first_(!what.channels_last || what.dims() == 0) {
    const auto epsilon = static_cast<float>(eps);
    const typename Forward::primitive_desc forward({prop_kind::forward_training, view.data, epsilon, flags},
                                                   engine_);
    const typename Backward::primitive_desc backward(
        {prop_kind::backward, view.data, view.data, epsilon, flags}, engine_, forward);
    forward_ = Forward(forward);
    backward_ = Backward(backward);
    weight_ = parameter(inputs.weight, view.parameters);
    bias_ = parameter(inputs.bias, view.parameters);
    dweight_ = torch::empty_like(weight_);
    dbias_ = torch::empty_like(bias_);
    const memory::desc of_parameters({view.parameters}, memory::data_type::f32, memory::format_tag::a);
    const memory mean(forward.mean_desc(), engine_), variance(forward.variance_desc(), engine_);
    const memory weight = wrap(of_parameters, weight_), bias = wrap(of_parameters, bias_);
    const memory x = wrap(view.data, inputs.x);
    forward_arguments_ = {
        {DNNL_ARG_SRC, x},        {DNNL_ARG_MEAN, mean},  {DNNL_ARG_VARIANCE, variance},
        {DNNL_ARG_SCALE, weight}, {DNNL_ARG_SHIFT, bias}, {DNNL_ARG_DST, wrap(view.data, y_)}};
    backward_arguments_ = {{DNNL_ARG_SRC, x},
                           {DNNL_ARG_MEAN, mean},
                           {DNNL_ARG_VARIANCE, variance},
                           {DNNL_ARG_SCALE, weight},
                           {DNNL_ARG_SHIFT, bias},
                           {DNNL_ARG_DIFF_DST, wrap(view.data, inputs.dy)},
                           {DNNL_ARG_DIFF_SRC, wrap(view.data, dx_)},
                           {DNNL_ARG_DIFF_SCALE, wrap(of_parameters, dweight_)},
                           {DNNL_ARG_DIFF_SHIFT, wrap(of_parameters, dbias_)}};
    const memory workspace(forward.workspace_desc(), engine_);
    if (forward.workspace_desc().get_size() > 0) {
      forward_arguments_.emplace(DNNL_ARG_WORKSPACE, workspace);
      backward_arguments_.emplace(DNNL_ARG_WORKSPACE, workspace);
    }
  }

  void forward() override { execute(forward_, forward_arguments_); }
  void backward() override { execute(backward_, backward_arguments_); }

  NormResults results() const override {
    return {y_.clone(), dx_.clone(), {}, of_channels(dweight_), of_channels(dbias_)};
  }

 private:
  using Arguments = std::unordered_map<int, memory>;

  memory wrap(const memory::desc& desc, const Tensor& tensor) const {
    return {desc, engine_, tensor.data_ptr()};
  }

  void execute(const dnnl::primitive& primitive, const Arguments& arguments) {
    primitive.execute(stream_, arguments);
    stream_.wait();
  }

  /// [C], or repeated for each position.
  Tensor parameter(const Tensor& values, std::int64_t count) const {
    const std::int64_t positions = count / channels_;
    return (channels_first_ ? values.repeat_interleave(positions) : values.repeat({positions})).clone();
  }
  Tensor of_channels(const Tensor& gradient) const {
    return channels_first_ ? gradient.view({channels_, -1}).sum(1) : gradient.view({-1, channels_}).sum(0);
  }

  NormInputs inputs_;
  std::int64_t channels_;
  Tensor y_, dx_, weight_, bias_, dweight_, dbias_;
  bool channels_first_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  Forward forward_;
  Backward backward_;
  Arguments forward_arguments_, backward_arguments_;
};

using BatchNorm = OneDnn<dnnl::batch_normalization_forward, dnnl::batch_normalization_backward>;
using LayerNorm = OneDnn<dnnl::layer_normalization_forward, dnnl::layer_normalization_backward>;

}  // namespace

std::unique_ptr<Contender> make_onednn(const NormCase& what, const NormInputs& inputs) {
  const auto op = operator_of(what.norm);
  const auto layer = make_layer(what);
  if (!op || what.add() || !layer->weight.defined()) return nullptr;
  const auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
  try {
    if (*op == Operator::kBatchNorm) {
      return std::make_unique<BatchNorm>(what, inputs, layer->eps(), batch_norm_view(what),
                                         what.relu() ? flags | normalization_flags::fuse_norm_relu : flags);
    }
    if (*op == Operator::kLayerNorm && !what.relu()) {
      return std::make_unique<LayerNorm>(what, inputs, layer->eps(), layer_norm_view(what), flags);
    }
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
  }
  return nullptr;
}

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace refnorm::cli

#else

namespace refnorm::cli {

std::unique_ptr<Contender> make_onednn(const NormCase&, const NormInputs&) {
  return nullptr;
}

std::string onednn_version() {
  return {};
}

}  // namespace refnorm::cli

#endif
