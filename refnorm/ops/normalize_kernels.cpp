#include <algorithm>

#include <torch/types.h>

#include <refnorm/kernels/normalize.h>
#include <refnorm/kernels/simd_sweeps.h>
#include <refnorm/ops/joint_statistics.h>
#include <refnorm/ops/normalize_call.h>
#include <refnorm/ops/parallel.h>

namespace refnorm::ops {
namespace {

/// Values below which waking other threads costs more than they bring.
constexpr std::int64_t kParallelValues = 32768;

kernels::Workers workers_for(const Tensor& x) {
  const int threads = parallel_threads();
  if (threads == 1 || x.numel() < kParallelValues) return kernels::sequential();
  return {threads, [](std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
            parallel_for(tasks, 1, [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t task = begin; task < end; ++task) body(task);
            });
          }};
}

at::MemoryFormat format_of(const Tensor& x) {
  return x.suggest_memory_format();
}

/// The same values, dense, in x's memory format and dtype.
Tensor like(const Tensor& tensor, const Tensor& x) {
  return tensor.to(x.scalar_type()).contiguous(format_of(x));
}

Tensor doubles(const OptionalTensor& values) {
  return values && values->defined() ? values->detach().to(torch::kDouble).contiguous() : Tensor();
}

std::span<const double> span_of(const Tensor& values) {
  if (!values.defined()) return {};
  return {values.data_ptr<double>(), static_cast<std::size_t>(values.numel())};
}

std::vector<double> vector_of(const Tensor& values) {
  const Tensor numbers = doubles(values);
  return {numbers.data_ptr<double>(), numbers.data_ptr<double>() + numbers.numel()};
}

/// The exchange of numbers as the kernels have it.
kernels::AcrossProcesses across(const c10::intrusive_ptr<JointStatistics>& all) {
  const auto tensor_of = [](const double* values, std::size_t count) {
    const Tensor tensor = torch::empty({static_cast<std::int64_t>(count)}, torch::kDouble);
    std::copy_n(values, count, tensor.data_ptr<double>());
    return tensor;
  };
  return {[all, tensor_of](std::span<const double> own) {
            const Tensor gathered = all->gather(tensor_of(own.data(), own.size())).contiguous();
            return std::vector<double>(gathered.data_ptr<double>(),
                                       gathered.data_ptr<double>() + gathered.numel());
          },
          [all, tensor_of](std::span<double> own) {
            Tensor sums = tensor_of(own.data(), own.size());
            all->sum(sums);
            std::copy_n(sums.data_ptr<double>(), own.size(), own.data());
          }};
}

/// Everything that forward and backward have in common, in the kernels' terms.
struct Prepared {
  Prepared(const NormalizeInputs& inputs, const NormalizeSettings& settings)
      : x(inputs.x.contiguous(format_of(inputs.x))),
        blend(blend_of(inputs, settings, numbers)),
        weight(doubles(inputs.weight)),
        bias(doubles(inputs.bias)) {
    if (settings.joint_values > 0 && joint_statistics() != nullptr) processes = across(joint_statistics());
  }

  Tensor x;
  BlendNumbers numbers;
  kernels::Blend blend;
  Tensor weight, bias;
  kernels::AcrossProcesses processes;
};

/// T as ATen and as the kernels call it.
template <class Theirs>
struct KernelType {
  using type = Theirs;
};
template <>
struct KernelType<c10::BFloat16> {
  using type = kernels::Bfloat16;
};

template <class Theirs>
auto* data(const Tensor& tensor) {
  using Ours = typename KernelType<Theirs>::type;
  return tensor.defined() ? reinterpret_cast<Ours*>(tensor.data_ptr<Theirs>())
                          : nullptr;  // NOLINT: same bits
}

std::uint8_t* bits_of(const Tensor& gate) {
  return gate.defined() && gate.numel() > 0 ? gate.data_ptr<std::uint8_t>() : nullptr;
}

template <class Theirs>
kernels::Problem<typename KernelType<Theirs>::type> problem_of(const Prepared& prepared, bool relu) {
  using Ours = typename KernelType<Theirs>::type;
  return {shape_of(prepared.x),
          &prepared.blend,
          {span_of(prepared.weight), span_of(prepared.bias)},
          &kernels::sweeps<Ours>(),
          relu,
          data<Theirs>(prepared.x),
          &prepared.processes};
}

template <class Body>
void dispatch(torch::ScalarType type, const Body& body) {
  if (type == torch::kDouble) return body(double());
  if (type == torch::kBFloat16) return body(c10::BFloat16());
  body(float());
}

}  // namespace

bool has_kernels(const Tensor& x) {
  const auto type = x.scalar_type();
  return x.is_cpu() && (type == torch::kFloat || type == torch::kDouble || type == torch::kBFloat16);
}

kernels::Shape shape_of(const Tensor& x) {
  TORCH_CHECK(x.dim() >= 2, "refnorm::normalize: expected x[N, C, *], got ", x.dim(), " axes");
  std::int64_t positions = 1;
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) positions *= x.size(axis);
  const bool planar = x.dim() < 4 || x.suggest_memory_format() == at::MemoryFormat::Contiguous;
  return {x.size(0), x.size(1), positions,
          planar ? kernels::Layout::kPlanar : kernels::Layout::kChannelsLast};
}

std::int64_t count_sets(const NormalizeInputs& inputs, const NormalizeSettings& settings) {
  TORCH_CHECK(settings.sets.size() % 2 == 0,
              "refnorm::normalize: sets come in pairs of samples and channels");
  kernels::Blend blend;
  for (std::size_t i = 0; i + 1 < settings.sets.size(); i += 2) {
    TORCH_CHECK(settings.sets[i] > 0, "refnorm::normalize: a set of ", settings.sets[i], " samples");
    blend.partitions.push_back({settings.sets[i], settings.sets[i + 1]});
  }
  const double stands_for_any = 0;
  blend.reference_rows = settings.reference_rows;
  if (settings.stored_mean) blend.stored_mean = {&stands_for_any, 1};
  blend.mean_weights.resize(static_cast<std::size_t>(inputs.mean_weights.numel()));
  blend.var_weights.resize(static_cast<std::size_t>(inputs.var_weights.numel()));
  try {
    return kernels::StatisticSets(shape_of(inputs.x), blend).sets();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK(false, "refnorm::normalize: ", error.what());
  }
}

kernels::Blend blend_of(const NormalizeInputs& inputs, const NormalizeSettings& settings,
                        BlendNumbers& numbers) {
  numbers = {doubles(settings.stored_mean), doubles(settings.stored_var), doubles(settings.renorm_mean),
             doubles(settings.renorm_var)};
  kernels::Blend blend;
  TORCH_CHECK(settings.sets.size() % 2 == 0,
              "refnorm::normalize: sets come in pairs of samples and channels");
  for (std::size_t i = 0; i + 1 < settings.sets.size(); i += 2) {
    blend.partitions.push_back({settings.sets[i], settings.sets[i + 1]});
  }
  blend.reference_rows = settings.reference_rows;
  blend.stored_mean = span_of(numbers.stored_mean);
  blend.stored_var = span_of(numbers.stored_var);
  blend.mean_weights = vector_of(inputs.mean_weights);
  blend.var_weights = vector_of(inputs.var_weights);
  blend.mixture = settings.mixture;
  blend.eps = settings.eps;
  blend.joint_values = settings.joint_values;
  blend.renormalization = {span_of(numbers.renorm_mean), span_of(numbers.renorm_var), settings.r_max,
                           settings.d_max};
  return blend;
}

NormalizeOutputs normalize_by_kernels(const NormalizeInputs& inputs, const NormalizeSettings& settings) {
  const Prepared prepared(inputs, settings);
  const Tensor& x = prepared.x;
  const Tensor residual = inputs.residual ? like(*inputs.residual, x) : Tensor();
  const Tensor y = torch::empty_like(x);
  const std::int64_t sets = count_sets(inputs, settings);
  const Tensor mean = torch::zeros({sets}, torch::kDouble);
  const Tensor var = torch::zeros({sets}, torch::kDouble);
  Tensor gate = torch::empty({0}, torch::kByte);
  if (x.numel() > 0) {
    dispatch(x.scalar_type(), [&](auto type) {
      using Theirs = decltype(type);
      const auto problem = problem_of<Theirs>(prepared, settings.relu);
      if (settings.keep_gate && settings.relu && residual.defined())
        gate = torch::empty({kernels::gate_bytes(problem.shape, *problem.sweeps)}, torch::kByte);
      kernels::normalize(problem, data<Theirs>(residual),
                         {data<Theirs>(y), mean.data_ptr<double>(), var.data_ptr<double>(), bits_of(gate)},
                         workers_for(x));
    });
  }
  return {y, mean, var, gate};
}

Tensor normalize_again_by_kernels(const NormalizeInputs& inputs, const NormalizeSettings& settings,
                                  const Tensor& mean, const Tensor& var) {
  const Prepared prepared(inputs, settings);
  const Tensor residual = inputs.residual ? like(*inputs.residual, prepared.x) : Tensor();
  const Tensor y = torch::empty_like(prepared.x);
  if (y.numel() == 0) return y;
  dispatch(y.scalar_type(), [&](auto type) {
    using Theirs = decltype(type);
    kernels::normalize_again(problem_of<Theirs>(prepared, settings.relu), data<Theirs>(residual),
                             {mean.data_ptr<double>(), var.data_ptr<double>()}, data<Theirs>(y),
                             workers_for(y));
  });
  return y;
}

NormalizeGradients normalize_backward_by_kernels(const Tensor& dy, const NormalizeInputs& inputs,
                                                 const NormalizeSettings& settings, const Kept& kept) {
  const Prepared prepared(inputs, settings);
  const Tensor& x = prepared.x;
  const Tensor upstream = like(dy, x);
  Tensor output = kept.y ? like(*kept.y, x) : Tensor();
  Tensor gate = kept.gate.value_or(Tensor());
  const Tensor dx = torch::empty_like(x);
  const Tensor dresidual = kept.has_residual ? torch::empty_like(x) : Tensor();
  const auto numbers = [](std::int64_t count) { return torch::zeros({count}, torch::kDouble); };
  const Tensor dweight = numbers(x.size(1));
  const Tensor dbias = numbers(x.size(1));
  const Tensor dmeans = numbers(inputs.mean_weights.numel());
  const Tensor dvars = numbers(inputs.var_weights.numel());
  const bool blend_learns = inputs.mean_weights.requires_grad() || inputs.var_weights.requires_grad();
  if (x.numel() > 0) {
    dispatch(x.scalar_type(), [&](auto type) {
      using Theirs = decltype(type);
      const auto problem = problem_of<Theirs>(prepared, settings.relu);
      // Another instruction set since forward, without gates: what passed stands for the output.
      if (gate.defined() && !problem.sweeps->has_gates) output = open_gate(std::exchange(gate, Tensor()), x);
      kernels::normalize_backward(
          problem,
          {data<Theirs>(upstream),
           data<Theirs>(output),
           {kept.mean.data_ptr<double>(), kept.var.data_ptr<double>()},
           bits_of(gate)},
          {data<Theirs>(dx), data<Theirs>(dresidual), dweight.data_ptr<double>(), dbias.data_ptr<double>(),
           blend_learns ? dmeans.data_ptr<double>() : nullptr,
           blend_learns ? dvars.data_ptr<double>() : nullptr},
          workers_for(x));
    });
  }
  const auto as = [](const Tensor& gradient, const OptionalTensor& parameter) {
    return parameter && parameter->defined() ? gradient.to(parameter->scalar_type()) : Tensor();
  };
  return {dx,        as(dweight, inputs.weight),      as(dbias, inputs.bias),
          dresidual, as(dmeans, inputs.mean_weights), as(dvars, inputs.var_weights)};
}

Tensor open_gate(const Tensor& gate, const Tensor& x) {
  const Tensor places = torch::arange(8, torch::kByte);
  const Tensor bits = gate.unsqueeze(1).bitwise_right_shift(places).bitwise_and(1).flatten();
  const Tensor dense = x.contiguous(format_of(x));
  return bits.narrow(0, 0, x.numel()).as_strided(dense.sizes(), dense.strides()).to(x.scalar_type());
}

}  // namespace refnorm::ops
