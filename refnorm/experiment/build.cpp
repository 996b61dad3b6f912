#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <torch/cuda.h>
#include <torch/nn/module.h>
#include <torch/utils.h>
#include <torch/version.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/base/weights_file.h>
#include <refnorm/data/corruption.h>
#include <refnorm/data/domains.h>
#include <refnorm/data/groups.h>
#include <refnorm/data/loader.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/detection_build.h>
#include <refnorm/experiment/version.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/instruction_set.h>
#include <refnorm/ops/tap.h>
#include <refnorm/train/foreign_weights.h>

namespace refnorm::experiment {
namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

/// OpenBLAS has a pool of its own that LibTorch does not size.
void set_blas_threads(int threads) {
  using Setter = void (*)(int);
  // NOLINTNEXTLINE: dlsym's type
  if (const auto set = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")))
    set(threads);
}

/// Multiplications of the network's convolutions and dense layers in a forward pass: what there is to share
/// among threads.
double multiplications(const Recipe& recipe) {
  const torch::NoGradGuard no_grad;
  const auto [channels, side, unused] = picture_shape(recipe.data);
  const auto model =
      models::make_model(recipe.model.kind, {norm_factory(NormSpec::parse("none")), channels, 10, side});
  const auto parameters = model->named_parameters();
  double of_a_picture = 0;
  const ops::ObserveTaps observe([&](std::string_view layer, const torch::Tensor& output) {
    const torch::Tensor* weight = parameters.find(std::string(layer) + ".weight");
    if (weight == nullptr || weight->dim() < 2) return;
    of_a_picture += static_cast<double>(output.numel() / output.size(1) * weight->numel());
  });
  model->eval();
  model->forward(torch::zeros({1, channels, side, side}));
  return of_a_picture * static_cast<double>(recipe.train.batch_size);
}

/// One thread for each so many of them, as far as there are cores: LeNet-5 on 2 cores (docs/findings.md) is
/// slower on two threads than on one with 0.86 billion in a step, and faster with 1.7.
constexpr double kMultiplicationsOfAThread = 0.65e9;

std::int64_t threads_for(const Recipe& recipe, std::int64_t local_size) {
  if (is_detection(recipe)) return std::max<std::int64_t>(1, core_count() / local_size);
  const double wanted = multiplications(recipe) / kMultiplicationsOfAThread;
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1,
                                  std::max<std::int64_t>(1, core_count() / local_size));
}

}  // namespace

train::Compute compute_of(const Recipe& recipe) {
  const bool bfloat16 = recipe.train.precision == "bf16";
  const std::string& format = recipe.train.memory_format;
  return {torch::Device(recipe.run.device), bfloat16,
          format == "channels_last" || (format == "auto" && bfloat16), workers_of(recipe)};
}

data::StepPlan step_plan(const Recipe& recipe, const data::Sampler& sampler) {
  const std::int64_t processes = std::max<std::int64_t>(1, recipe.run.processes);
  const data::StepPlan plan{sampler.batches_per_epoch(), recipe.train.accumulate * processes};
  if (plan.steps_per_epoch() == 0 && processes > 1)
    user_error("train.accumulate: {} batches a step of {} processes, an epoch has {}", plan.per_step,
               processes, plan.batches_per_epoch);
  if (plan.steps_per_epoch() == 0)
    user_error("train.accumulate: {} batches a step, an epoch has {}", plan.per_step, plan.batches_per_epoch);
  return plan;
}

std::string weights_of(const Recipe& recipe) {
  return recipe.arms.at(0).weights.value_or(recipe.model.weights);
}

std::int64_t core_count() {
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency());
}

void check_measures(const Recipe& recipe, const data::Splits& splits) {
  const MeasureSettings& wanted = recipe.measure;
  for (const std::string& corruption : wanted.corruptions) data::corrupted(splits.test, corruption);
  if (splits.validation->size() > 0) return;
  if (wanted.target > 0) user_error("measure.target: is of validation samples, and data.validation is 0");
  if (wanted.every.of(1) > 0) user_error("measure.every: is of validation samples, and data.validation is 0");
}

std::unique_ptr<data::Sampler> reference_sampler(const data::ImageSet& train, const ReferenceSettings& how,
                                                 std::uint64_t seed) {
  try {
    return data::make_sampler(how.sampler, data::keys_of(train), how.size, seed);
  } catch (const UserError& error) {
    user_error("reference.sampler, for {} samples: {}", how.size, error.what());
  }
}

torch::Tensor reference_batch(const data::ImageSet& train, const ReferenceSettings& how, std::uint64_t seed,
                              std::uint64_t which) {
  if (how.size > train.size())
    user_error("reference.size: {} samples, the training set has {}", how.size, train.size());
  if (how.sampler != "iid")
    return data::load_batch(
               train, {reference_sampler(train, how, stream_seed(seed, "reference", which))->batch(0, 0), {}})
        .images;
  std::vector<std::int64_t> order = RandomStream(seed, "reference", which).permutation(train.size());
  order.resize(static_cast<std::size_t>(how.size));
  return data::load_batch(train, {order, {}}).images;
}

data::Splits load_splits(const Recipe& recipe) {
  const DataSettings& wanted = recipe.data;
  if (wanted.kind == "coco")
    user_error("data.kind: 'coco' is of pictures with objects, {} scores classes", recipe.model.kind);
  if (!wanted.domains.empty() && !wanted.groups.empty())
    user_error("data.groups: cannot be given together with data.domains: a sample is in one or the other");
  data::TrainAndTest sets = load_data(recipe);
  if (!wanted.domains.empty()) {
    sets.train = data::with_domains(sets.train, wanted.domains, "train");
    sets.test = data::with_domains(sets.test, wanted.domains, "test");
  }
  if (!wanted.groups.empty()) sets.train = data::with_groups(sets.train, wanted.groups);
  data::Splits splits = data::hold_out(sets.train, sets.test, wanted.validation);
  splits.train = data::limit(splits.train, wanted.samples);
  return splits;
}

Assembly::Assembly(const Recipe& recipe, std::shared_ptr<train::Group> group)
    : group_(std::move(group)), splits_(load_splits(recipe)) {
  const auto seed = static_cast<std::uint64_t>(recipe.run.seed);
  const auto rank = static_cast<std::uint64_t>(group_->rank());
  compute_ = compute_of(recipe);
  sampler_ =
      data::make_sampler(recipe.sampler.kind, data::keys_of(*splits_.train), recipe.train.batch_size, seed);
  plan_ = step_plan(recipe, *sampler_);
  const std::string norm = with_steps(recipe.arms.at(0).norm, recipe.train.epochs * plan_.steps_per_epoch());
  model_ =
      models::make_model(recipe.model.kind, {norm_factory(NormSpec::parse(norm)), splits_.train->channels(),
                                             static_cast<std::int64_t>(splits_.train->class_names().size()),
                                             splits_.train->side(), recipe.model.zero_init_residual});
  model_->initialize(seed);
  if (const std::string file = weights_of(recipe); !file.empty()) {
    Safetensors weights = read_weights(file);
    model_->adopt_names(weights);
    train::load_weights(*model_, weights, file);
  }
  compute_.place(*model_);
  const auto model = model_;
  network_ = {model, [model](const torch::Tensor& images) { return model->forward(images); }};
  check_measures(recipe, splits_);
  reference_ = std::make_unique<ReferenceKeeper>(
      *model_, compute_.place(reference_batch(*splits_.train, recipe.reference, seed,
                                              recipe.reference.per_process ? rank : 0)));
  torch::manual_seed(stream_seed(seed, "training", rank));
}

bool Assembly::has_batch_statistics() const {
  return !find_layers<BatchStatisticsLayer>(*model_).empty();
}

void prepare_process(Recipe& recipe, std::int64_t local_size) {
  if (recipe.run.device == "cuda" && !torch::cuda::is_available()) {
    user_error("--device cuda: this LibTorch ({}) finds no CUDA device; expected cpu", TORCH_VERSION);
  }
  if (recipe.run.threads == 0) recipe.run.threads = threads_for(recipe, local_size);
  torch::set_num_threads(static_cast<int>(recipe.run.threads));
  set_blas_threads(static_cast<int>(recipe.run.threads));
}

Json machine_description(const Recipe& recipe) {
  return {
      {"cpu", cpu_name()},           {"cores", core_count()},     {"threads_per_run", recipe.run.threads},
      {"device", recipe.run.device}, {"libtorch", TORCH_VERSION}, {"instruction_set", ops::instruction_set()},
      {"refnorm", kVersion}};
}

Json setup_description(const Recipe& recipe, const data::Splits& splits, const data::Sampler& sampler) {
  Json setup{{"model", recipe.model.kind},
             {"data", recipe.data.kind},
             {"training_samples", splits.train->size()},
             {"validation_samples", splits.validation->size()},
             {"test_samples", splits.test->size()},
             {"epochs", recipe.train.epochs},
             {"batch_size", recipe.train.batch_size},
             {"optimizer", recipe.train.optimizer},
             {"lr", recipe.train.lr},
             {"momentum", recipe.train.momentum},
             {"weight_decay", recipe.train.weight_decay},
             {"schedule", recipe.train.schedule},
             {"milestones", recipe.train.milestones},
             {"precision", recipe.train.precision},
             {"sampler", recipe.sampler.kind},
             {"reference_size", recipe.reference.size},
             {"population_reading", recipe.population.reading}};
  // Only what the recipe asks for, so that a report's line of settings stays short.
  if (!recipe.data.domains.empty()) setup["domains"] = join(recipe.data.domains, ", ");
  if (recipe.data.kind == "folder") {
    setup["folder"] = recipe.data.path;
    setup["picture_size"] = recipe.data.size;
    setup["classes"] = splits.train->class_names().size();
  }
  if (!recipe.data.groups.empty()) setup["groups"] = splits.train->grouping()->names.size();
  if (recipe.run.processes > 1) {
    setup["processes"] = recipe.run.processes;
    if (recipe.train.sync_statistics) setup["synchronized_statistics"] = true;
    if (recipe.reference.per_process) setup["reference_per_process"] = true;
  }
  if (recipe.measure.target > 0) setup["target_validation_error_pct"] = recipe.measure.target;
  if (sampler.never_drawn() > 0) setup["samples_never_drawn"] = sampler.never_drawn();
  return setup;
}

}  // namespace refnorm::experiment
