#include <mutex>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

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
          json.at("loss_sum").get<double>(),
          json.value("part_sums", std::map<std::string, double>())};
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
  return {{"format", kFormat},
          {"step", state.step},
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

}  // namespace

void save_checkpoint(const fs::path& target, const torch::nn::Module& model, const Optimizer& optimizer,
                     const RunState& state, WeightAverage* average) {
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
  write_part(fresh, kState, rest, meta);
  meta[kSum] = sum_of(meta);
  write_json(fresh / "meta.json", meta);
  replace_folder(fresh, target);
}

RunState load_checkpoint(const fs::path& folder, torch::nn::Module& model, Optimizer& optimizer,
                         WeightAverage* average) {
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
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  try {
    generator.set_state(to_tensor(*generator_state));
  } catch (const c10::Error&) {
    user_error("{}: tensor '{}' is not a generator's state", state_file, kGenerator);
  }
  return state;
}

void load_checkpoint_model(const fs::path& folder, torch::nn::Module& model) {
  load_state(model, read_part(folder, kModel, read_meta(folder / "meta.json")), (folder / kModel).string());
}

bool has_checkpoint(const fs::path& folder) {
  return fs::exists(folder);
}

}  // namespace refnorm::train
