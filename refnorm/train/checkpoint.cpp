#include <mutex>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/checksum.h>
#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGenerator = "generator/cpu";
constexpr const char* kProcess = "process/";
constexpr const char* kSum = "crc32";
constexpr const char* kFiles = "files";
constexpr const char* kModel = "model.safetensors";
constexpr const char* kState = "state.safetensors";
constexpr int kFormat = 1;

Json to_json(const metrics::Tally& tally) {
  Json json{{"samples", tally.samples}, {"correct", tally.correct}, {"loss_sum", tally.loss_sum}};
  if (!tally.part_sums.empty()) json["part_sums"] = tally.part_sums;
  return json;
}

metrics::Tally tally_from(const Json& json) {
  return {json.at("samples").get<std::int64_t>(), json.at("correct").get<std::int64_t>(),
          json.at("loss_sum").get<double>(), json.value("part_sums", std::map<std::string, double>())};
}

Json to_json(const RunState& state) {
  Json best;
  if (state.best)
    best = {{"epoch", state.best->epoch},
            {"step", state.best->step},
            {"validation_error_pct", state.best->validation_error_pct}};
  Json time{{"seconds", state.seconds}, {"training_seconds", state.training_seconds}};
  Json target;
  if (state.target) {
    target = state.target->step;
    time["target_seconds"] = state.target->training_seconds;
  }
  Json changes = Json::array();
  for (const data::StepPlan::Change& change : state.changes)
    changes.push_back({change.step, change.epoch, change.batch, change.per_step});
  return {{"format", kFormat},
          {"step", state.step},
          {"batches_a_step", state.batches_a_step},
          {"changes", changes},
          {"since_line", to_json(state.since_line)},
          {"epoch", to_json(state.epoch)},
          {"last_epoch", to_json(state.last_epoch)},
          {"best", best},
          {"target", target},
          {"metrics_bytes", state.metrics_bytes},
          {"time", time}};
}

RunState state_from(const Json& json) {
  RunState state;
  state.step = json.at("step").get<std::int64_t>();
  // Checkpoints of single processes of old may lack these.
  state.batches_a_step = json.value("batches_a_step", std::int64_t{0});
  for (const Json& change : json.value("changes", Json::array()))
    state.changes.push_back({change.at(0).get<std::int64_t>(), change.at(1).get<std::int64_t>(),
                             change.at(2).get<std::int64_t>(), change.at(3).get<std::int64_t>()});
  state.since_line = tally_from(json.at("since_line"));
  state.epoch = tally_from(json.at("epoch"));
  state.last_epoch = tally_from(json.at("last_epoch"));
  if (const Json& best = json.at("best"); !best.is_null()) {
    // Checkpoints of runs that were validated at epochs' ends alone may lack the step.
    state.best = Best{best.at("epoch").get<std::int64_t>(), best.value("step", std::int64_t{0}),
                      best.at("validation_error_pct").get<double>()};
  }
  if (json.contains("target") && !json["target"].is_null())
    state.target =
        Reached{json["target"].get<std::int64_t>(), json.at("time").at("target_seconds").get<double>()};
  state.metrics_bytes = json.at("metrics_bytes").get<std::int64_t>();
  state.seconds = json.at("time").at("seconds").get<double>();
  state.training_seconds = json.at("time").at("training_seconds").get<double>();
  return state;
}

std::string hex(std::uint32_t sum) {
  return fmt::format("{:08x}", sum);
}

std::string sum_of(const Json& body) {
  return hex(crc32(body.dump()));
}

Json read_meta(const fs::path& file) {
  Json json = read_json(file);
  const bool signed_object = json.is_object() && json.contains(kSum) && json[kSum].is_string();
  const std::string stored = signed_object ? json[kSum].get<std::string>() : "";
  if (signed_object) json.erase(kSum);
  if (!signed_object || stored != sum_of(json))
    user_error("{}: damaged, its checksum does not agree", file.string());
  if (!json.contains("format") || json["format"] != kFormat)
    user_error("{}: its format is not known, expected {}", file.string(), kFormat);
  return json;
}

/// A file of tensors, whole and of the same moment as meta.json.
Safetensors read_part(const fs::path& folder, const char* name, const Json& meta) {
  const fs::path file = folder / name;
  const std::string bytes = read_file(file);
  Safetensors content = parse_safetensors(bytes, file.string(), Checksum::kRequired);
  if (!meta.contains(kFiles) || !meta[kFiles].contains(name) || meta[kFiles][name] != hex(crc32(bytes))) {
    user_error("{}: is not the file that meta.json was written with", file.string());
  }
  return content;
}

void write_part(const fs::path& folder, const char* name, const Safetensors& content, Json& meta) {
  const std::string bytes = to_safetensors(content);
  write_file(folder / name, bytes);
  meta[kFiles][name] = hex(crc32(bytes));
}

void set_generator(const RawTensor& state, const std::string& file) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  try {
    generator.set_state(to_tensor(state));
  } catch (const c10::Error&) {
    user_error("{}: tensor '{}' is not a generator's state", file, kGenerator);
  }
}

/// The buffers that one process has for itself.
void load_own(torch::nn::Module& model, const Safetensors& state, const std::string& prefix,
              const std::string& file) {
  const torch::NoGradGuard no_grad;
  auto buffers = model.named_buffers();
  for (const auto& [name, raw] : state.tensors) {
    if (!name.starts_with(prefix) || name == prefix + kGenerator) continue;
    torch::Tensor* buffer = buffers.find(name.substr(prefix.size()));
    const torch::Tensor value = to_tensor(raw);
    if (buffer == nullptr || buffer->sizes() != value.sizes() || buffer->scalar_type() != value.scalar_type())
      user_error("{}: tensor '{}' fits no buffer of the network", file, name);
    buffer->copy_(value);
  }
}

}  // namespace

void save_checkpoint(const fs::path& target, const torch::nn::Module& model, const Optimizer& optimizer,
                     const RunState& state, WeightAverage* average, const std::vector<Safetensors>& others) {
  const Averaged averaged(average);
  fs::path fresh = target;
  fresh += ".tmp";
  fs::remove_all(fresh);
  make_folder(fresh);
  Json meta = to_json(state);
  write_part(fresh, kModel, state_of(model), meta);
  Safetensors rest = average != nullptr ? average->save() : Safetensors{};
  optimizer.save(rest);
  rest.tensors.emplace_back(kGenerator, to_raw(at::detail::getDefaultCPUGenerator().get_state()));
  for (std::size_t i = 0; i < others.size(); ++i) {
    for (const auto& [name, tensor] : others[i].tensors)
      rest.tensors.emplace_back(fmt::format("{}{}/{}", kProcess, i + 1, name), tensor);
  }
  write_part(fresh, kState, rest, meta);
  meta[kSum] = sum_of(meta);
  write_json(fresh / "meta.json", meta);
  replace_folder(fresh, target);
}

Safetensors state_of_process(const std::vector<std::pair<std::string, torch::Tensor>>& own) {
  Safetensors state;
  state.tensors.emplace_back(kGenerator, to_raw(at::detail::getDefaultCPUGenerator().get_state()));
  for (const auto& [name, tensor] : own) state.tensors.emplace_back(name, to_raw(tensor));
  return state;
}

RunState load_checkpoint(const fs::path& folder, torch::nn::Module& model, Optimizer& optimizer,
                         WeightAverage* average, int rank) {
  const fs::path meta_file = folder / "meta.json";
  const std::string state_file = (folder / kState).string();
  const Json meta = read_meta(meta_file);
  RunState state;
  try {
    state = state_from(meta);
  } catch (const Json::exception&) {
    user_error("{}: lacks what a checkpoint of this version holds", meta_file.string());
  }
  const Safetensors rest = read_part(folder, kState, meta);
  const RawTensor* generator_state = rest.find(kGenerator);
  if (generator_state == nullptr) user_error("{}: tensor '{}' is missing", state_file, kGenerator);
  {
    // Both are of the averaged network here.
    const Averaged averaged(average);
    load_state(model, read_part(folder, kModel, meta), (folder / kModel).string());
    if (average != nullptr) average->load(rest, state_file);
  }
  optimizer.load(rest, state_file);
  if (rank > 0) {
    const std::string prefix = fmt::format("{}{}/", kProcess, rank);
    generator_state = rest.find(prefix + kGenerator);
    load_own(model, rest, prefix, state_file);
  }
  if (generator_state != nullptr) set_generator(*generator_state, state_file);
  return state;
}

void load_checkpoint_model(const fs::path& folder, torch::nn::Module& model) {
  load_state(model, read_part(folder, kModel, read_meta(folder / "meta.json")), (folder / kModel).string());
}

bool has_checkpoint(const fs::path& folder) {
  return fs::exists(folder);
}

}  // namespace refnorm::train
