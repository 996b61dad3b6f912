#include <optional>

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/joint_statistics.h>
#include <refnorm/ops/normalize.h>
#include <refnorm/ops/normalize_call.h>

// The operator refnorm::normalize, for C++ and, as torch.ops.refnorm.normalize, for whoever loads this
// library into another program.

namespace refnorm::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr const char* kSchema =
    "normalize(Tensor x, Tensor? weight, Tensor? bias, Tensor? residual, Tensor mean_weights, Tensor "
    "var_weights, *, bool relu=False, int[] sets, int reference_rows=0, Tensor? stored_mean=None, Tensor? "
    "stored_var=None, bool mixture=False, float eps=1e-05, Tensor? renorm_mean=None, Tensor? "
    "renorm_var=None, "
    "float r_max=1., float d_max=0., int joint_values=0, bool keep_gate=False) -> (Tensor y, Tensor mean, "
    "Tensor var, Tensor "
    "gate)";

using Signature = NormalizeOutputs(const Tensor&, const OptionalTensor&, const OptionalTensor&,
                                   const OptionalTensor&, const Tensor&, const Tensor&, bool, at::IntArrayRef,
                                   std::int64_t, const OptionalTensor&, const OptionalTensor&, bool, double,
                                   const OptionalTensor&, const OptionalTensor&, double, double, std::int64_t,
                                   bool);

NormalizeOutputs call(const NormalizeInputs& in, const NormalizeSettings& s) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("refnorm::normalize", "").typed<Signature>();
  return op.call(in.x, in.weight, in.bias, in.residual, in.mean_weights, in.var_weights, s.relu, s.sets,
                 s.reference_rows, s.stored_mean, s.stored_var, s.mixture, s.eps, s.renorm_mean, s.renorm_var,
                 s.r_max, s.d_max, s.joint_values, s.keep_gate);
}

void check(const NormalizeInputs& in, const NormalizeSettings& s) {
  TORCH_CHECK(in.x.is_floating_point(), "refnorm::normalize: expected floating-point values");
  const kernels::Shape shape = shape_of(in.x);
  count_sets(in, s);
  const auto per_channel = [&](const OptionalTensor& tensor, const char* name) {
    TORCH_CHECK(!tensor || (tensor->dim() == 1 && tensor->size(0) == shape.channels),
                "refnorm::normalize: ", name, " has the shape ", tensor->sizes(), ", expected [",
                shape.channels, "]");
  };
  per_channel(in.weight, "weight");
  per_channel(in.bias, "bias");
  per_channel(s.stored_mean, "stored_mean");
  per_channel(s.stored_var, "stored_var");
  per_channel(s.renorm_mean, "renorm_mean");
  per_channel(s.renorm_var, "renorm_var");
  TORCH_CHECK(s.stored_mean.has_value() == s.stored_var.has_value() &&
                  s.renorm_mean.has_value() == s.renorm_var.has_value(),
              "refnorm::normalize: a mean without a variance, or the reverse");
  TORCH_CHECK(s.joint_values == 0 || joint_statistics() != nullptr || in.x.is_meta(),
              "refnorm::normalize: joint_values without other processes");
  if (in.residual) {
    TORCH_CHECK(in.residual->sizes() == in.x.sizes() && in.residual->scalar_type() == in.x.scalar_type(),
                "refnorm::normalize: residual has the shape ", in.residual->sizes(), " and type ",
                in.residual->scalar_type(), ", expected ", in.x.sizes(), " and ", in.x.scalar_type());
  }
}

/// An implementation below autograd in the dispatcher's calling convention.
template <NormalizeOutputs (*implementation)(const NormalizeInputs&, const NormalizeSettings&)>
NormalizeOutputs unpacked(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                          const OptionalTensor& residual, const Tensor& mean_weights,
                          const Tensor& var_weights, bool relu, at::IntArrayRef sets,
                          std::int64_t reference_rows, const OptionalTensor& stored_mean,
                          const OptionalTensor& stored_var, bool mixture, double eps,
                          const OptionalTensor& renorm_mean, const OptionalTensor& renorm_var, double r_max,
                          double d_max, std::int64_t joint_values, bool keep_gate) {
  return implementation({x, weight, bias, residual, mean_weights, var_weights},
                        {relu, sets.vec(), reference_rows, stored_mean, stored_var, mixture, eps, renorm_mean,
                         renorm_var, r_max, d_max, joint_values, keep_gate});
}

NormalizeOutputs on_cpu(const NormalizeInputs& in, const NormalizeSettings& settings) {
  check(in, settings);
  return has_kernels(in.x) ? normalize_by_kernels(in, settings) : normalize_composed(in, settings);
}

NormalizeOutputs on_other_devices(const NormalizeInputs& in, const NormalizeSettings& settings) {
  check(in, settings);
  return normalize_composed(in, settings);
}

NormalizeOutputs shapes_only(const NormalizeInputs& in, const NormalizeSettings& settings) {
  check(in, settings);
  const std::int64_t count = count_sets(in, settings);
  const auto statistics = in.x.options().dtype(torch::kDouble);
  return {torch::empty_like(in.x), torch::empty({count}, statistics), torch::empty({count}, statistics),
          torch::empty({0}, in.x.options().dtype(torch::kByte))};
}

class Normalize : public torch::autograd::Function<Normalize> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const OptionalTensor& weight,
                               const OptionalTensor& bias, const OptionalTensor& residual,
                               const Tensor& mean_weights, const Tensor& var_weights,
                               const NormalizeSettings& settings) {
    const NormalizeInputs in{x, weight, bias, residual, mean_weights, var_weights};
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [y, mean, var, gate] = call(in, settings);
    const auto maybe = [](const OptionalTensor& tensor) { return tensor.value_or(Tensor()); };
    // Stored statistics may move on between forward and backward.
    const auto snapshot = [](const OptionalTensor& tensor) {
      return tensor ? tensor->detach().clone() : Tensor();
    };
    // The gate tells what x does not, or the output where there is no gate; the residual itself is never
    // needed again.
    const bool has_gate = gate.numel() > 0;
    const bool by_output = settings.relu && residual.has_value() && !has_gate;
    context->save_for_backward({x, maybe(weight), maybe(bias), mean_weights, var_weights,
                                by_output ? y : Tensor(), mean, var, snapshot(settings.stored_mean),
                                snapshot(settings.stored_var), snapshot(settings.renorm_mean),
                                snapshot(settings.renorm_var), has_gate ? gate : Tensor()});
    context->saved_data["has_residual"] = residual.has_value();
    // Backward may run in another thread, and later.
    if (settings.joint_values > 0)
      context->saved_data["processes"] = c10::IValue::make_capsule(joint_statistics());
    save_numbers(context, settings);
    context->mark_non_differentiable({mean, var, gate});
    return {y, mean, var, gate};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Saved saved(context);
    std::optional<SynchronizeStatistics> synchronize;
    if (saved.settings.joint_values > 0)
      synchronize.emplace(c10::static_intrusive_pointer_cast<JointStatistics>(
          context->saved_data.at("processes").toCapsule()));
    const auto [x, weight, bias, residual, mean_weights, var_weights] =
        gradients(grads[0], saved.in, saved.settings, saved.kept);
    return {x, weight, bias, residual, mean_weights, var_weights, Tensor()};
  }

  static bool can_again(AutogradContext* context, const Tensor& y, const Tensor& residual) {
    return has_kernels(y) && context->saved_data["has_residual"].toBool() == residual.defined();
  }
  static Tensor again(AutogradContext* context, const Tensor& residual) {
    Saved saved(context);
    if (residual.defined()) saved.in.residual = residual;
    return normalize_again_by_kernels(saved.in, saved.settings, saved.kept.mean, saved.kept.var);
  }

 private:
  /// What forward left.
  struct Saved {
    explicit Saved(AutogradContext* context) {
      const variable_list saved = context->get_saved_variables();
      const auto maybe = [&](std::size_t i) {
        return saved[i].defined() ? OptionalTensor(saved[i]) : c10::nullopt;
      };
      in = {saved[0], maybe(1), maybe(2), c10::nullopt, saved[3], saved[4]};
      settings = load_numbers(context);
      settings.stored_mean = maybe(8);
      settings.stored_var = maybe(9);
      settings.renorm_mean = maybe(10);
      settings.renorm_var = maybe(11);
      kept = {saved[6], saved[7], context->saved_data["has_residual"].toBool(), maybe(12), maybe(5)};
    }
    NormalizeInputs in;
    NormalizeSettings settings;
    Kept kept;
  };

  static NormalizeGradients gradients(const Tensor& dy, const NormalizeInputs& in, NormalizeSettings settings,
                                      const Kept& kept) {
    if (in.x.is_meta()) {
      const auto empty = [](const OptionalTensor& of) { return of ? torch::empty_like(*of) : Tensor(); };
      return {torch::empty_like(in.x), empty(in.weight),
              empty(in.bias),          kept.has_residual ? torch::empty_like(in.x) : Tensor(),
              empty(in.mean_weights),  empty(in.var_weights)};
    }
    const bool second_derivative = torch::GradMode::is_enabled();
    if (!second_derivative && has_kernels(in.x)) {
      return normalize_backward_by_kernels(dy, in, settings, kept);
    }
    // Past the gate, the residual's gradient is the whole's.
    Tensor passed = dy;
    if (kept.gate || kept.y) {
      passed =
          dy * (kept.gate ? open_gate(*kept.gate, in.x) : (*kept.y <= 0).logical_not().to(dy.scalar_type()));
      settings.relu = false;
    }
    auto out = normalize_backward_composed(passed, in, settings, second_derivative);
    if (kept.has_residual) std::get<3>(out) = passed;
    return out;
  }

  static void save_numbers(AutogradContext* context, const NormalizeSettings& settings) {
    auto& data = context->saved_data;
    data["relu"] = settings.relu;
    data["sets"] = settings.sets;
    data["reference_rows"] = settings.reference_rows;
    data["mixture"] = settings.mixture;
    data["eps"] = settings.eps;
    data["r_max"] = settings.r_max;
    data["d_max"] = settings.d_max;
    data["joint_values"] = settings.joint_values;
  }
  static NormalizeSettings load_numbers(AutogradContext* context) {
    const auto& data = context->saved_data;
    NormalizeSettings settings;
    settings.relu = data.at("relu").toBool();
    settings.sets = data.at("sets").toIntVector();
    settings.reference_rows = data.at("reference_rows").toInt();
    settings.mixture = data.at("mixture").toBool();
    settings.eps = data.at("eps").toDouble();
    settings.r_max = data.at("r_max").toDouble();
    settings.d_max = data.at("d_max").toDouble();
    settings.joint_values = data.at("joint_values").toInt();
    return settings;
  }
};

NormalizeOutputs with_gradients(const NormalizeInputs& in, const NormalizeSettings& given) {
  NormalizeSettings settings = given;
  const auto learns = [](const OptionalTensor& tensor) { return tensor && tensor->requires_grad(); };
  settings.keep_gate = torch::GradMode::is_enabled() &&
                       (in.x.requires_grad() || learns(in.residual) || learns(in.weight) || learns(in.bias) ||
                        in.mean_weights.requires_grad() || in.var_weights.requires_grad());
  const auto out =
      Normalize::apply(in.x, in.weight, in.bias, in.residual, in.mean_weights, in.var_weights, settings);
  return {out[0], out[1], out[2], out[3]};
}

/// Under autocast a norm keeps its input's type: its sums are in float32 anyway, and weight and bias stay as
/// they are. Only a residual of another type is turned into x's.
NormalizeOutputs under_autocast(const NormalizeInputs& in, const NormalizeSettings& settings) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet{c10::DispatchKey::Autocast, c10::DispatchKey::AutocastCPU});
  NormalizeInputs same_type = in;
  if (in.residual) same_type.residual = in.residual->to(in.x.scalar_type());
  return call(same_type, settings);
}

}  // namespace

std::function<Tensor()> recomputation(const Tensor& y, const Tensor& residual) {
  const auto node = std::dynamic_pointer_cast<torch::autograd::CppNode<Normalize>>(y.grad_fn());
  if (node == nullptr || !Normalize::can_again(&node->ctx_, y, residual)) return {};
  return [node, kept = residual.defined() ? residual.detach() : residual] {
    return Normalize::again(&node->ctx_, kept);
  };
}

TORCH_LIBRARY(refnorm, library) {
  library.def(kSchema);
}
TORCH_LIBRARY_IMPL(refnorm, CPU, library) {
  library.impl("normalize", unpacked<on_cpu>);
}
TORCH_LIBRARY_IMPL(refnorm, CompositeExplicitAutograd, library) {
  library.impl("normalize", unpacked<on_other_devices>);
}
TORCH_LIBRARY_IMPL(refnorm, Meta, library) {
  library.impl("normalize", unpacked<shapes_only>);
}
TORCH_LIBRARY_IMPL(refnorm, Autograd, library) {
  library.impl("normalize", unpacked<with_gradients>);
}
TORCH_LIBRARY_IMPL(refnorm, Autocast, library) {
  library.impl("normalize", unpacked<under_autocast>);
}
TORCH_LIBRARY_IMPL(refnorm, AutocastCPU, library) {
  library.impl("normalize", unpacked<under_autocast>);
}

Normalized normalize(const Tensor& x, const NormalizeBy& by, const Tensor& weight, const Tensor& bias,
                     const Then& then) {
  const auto maybe = [](const Tensor& tensor) {
    return tensor.defined() ? OptionalTensor(tensor) : c10::nullopt;
  };
  const Tensor one = by.mean_weights.defined() && by.var_weights.defined()
                         ? Tensor()
                         : torch::ones({1}, torch::dtype(torch::kDouble));
  NormalizeInputs in{x,
                     maybe(weight),
                     maybe(bias),
                     maybe(then.residual),
                     by.mean_weights.defined() ? by.mean_weights : one,
                     by.var_weights.defined() ? by.var_weights : one};
  NormalizeSettings settings{then.relu,
                             {},
                             by.reference_rows,
                             maybe(by.stored_mean),
                             maybe(by.stored_var),
                             by.mixture,
                             by.eps,
                             maybe(by.renorm_mean),
                             maybe(by.renorm_var),
                             by.r_max,
                             by.d_max,
                             by.batch.joint ? by.batch.values : 0};
  for (const Partition& partition : by.sets) {
    settings.sets.push_back(partition.samples);
    settings.sets.push_back(partition.channels);
  }
  const auto [y, mean, var, gate] = call(in, settings);
  Normalized out{y, {}};
  std::int64_t at = 0;
  const auto add = [&](std::int64_t blocks, std::int64_t groups) {
    out.sources.push_back({mean.narrow(0, at, blocks * groups).view({blocks, groups}),
                           var.narrow(0, at, blocks * groups).view({blocks, groups})});
    at += blocks * groups;
  };
  const std::int64_t own = x.size(0) - by.reference_rows;
  for (const Partition& partition : by.sets) {
    add(std::max<std::int64_t>(1, own / partition.samples), x.size(1) / partition.channels);
  }
  if (by.reference_rows > 0) add(1, x.size(1));
  return out;
}

}  // namespace refnorm::ops
