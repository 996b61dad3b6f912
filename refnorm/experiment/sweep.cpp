#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>

#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/lock.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/compare.h>
#include <refnorm/experiment/pool.h>
#include <refnorm/experiment/run.h>
#include <refnorm/experiment/summary.h>
#include <refnorm/experiment/sweep.h>
#include <refnorm/report/report.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

/// Seeds of runs that only choose a learning rate begin so much further on.
constexpr std::int64_t kTuningSeeds = 1000;

/// One learning rate tried for one arm, and the validation errors of its runs that ended well.
struct Trial {
  std::size_t arm = 0;
  double lr = 0;
  std::vector<double> errors;
};

/// One combination of the axes' values.
struct Setting {
  std::vector<std::pair<std::string, std::string>> values;  ///< key and value, as TOML
  Recipe recipe;
  fs::path folder;
  Json setup;
  std::int64_t steps = 0;
  std::map<std::string, Trial> trials;  ///< by the name of the tuning recipe's arm
  std::vector<Json> runs;
};

Json json_of(const std::string& toml_value) {
  const std::string bare = toml_value.starts_with('\'')
                               ? fmt::format("\"{}\"", toml_value.substr(1, toml_value.size() - 2))
                               : toml_value;
  const Json value = Json::parse(bare, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json(toml_value) : value;
}

/// A key as setup_description() calls it: "sampler.kind" is its sampler.
std::string setup_name(const std::string& key) {
  const std::size_t dot = key.find('.');
  const std::string name = key.substr(dot + 1);
  return name == "kind" ? key.substr(0, dot) : name;
}

std::string plain(const std::string& toml_value) {
  const Json value = json_of(toml_value);
  return value.is_string() ? value.get<std::string>() : toml_value;
}

/// Every combination; the last axis runs fastest.
std::vector<Setting> settings_of(const Recipe& recipe, const fs::path& folder) {
  std::vector<Setting> settings(1);
  for (const Axis& axis : recipe.axes) {
    std::vector<Setting> longer;
    for (const Setting& begun : settings) {
      for (const std::string& value : axis.values) {
        longer.push_back(begun);
        longer.back().values.emplace_back(axis.key, value);
      }
    }
    settings = std::move(longer);
  }
  std::set<std::string> names;
  for (Setting& setting : settings) {
    std::vector<std::string> words;
    for (const auto& [key, value] : setting.values) words.push_back(folder_name(plain(value)));
    const std::string name = words.empty() ? "all" : join(words, "_");
    if (!names.insert(name).second)
      user_error("{}: two settings of the sweep are called '{}' (case and punctuation do not count)",
                 recipe.name, name);
    setting.folder = folder / name;
    setting.recipe = with_values(recipe, setting.values);
  }
  return settings;
}

class Sweep {
 public:
  Sweep(const Recipe& recipe, const fs::path& folder, const SweepOptions& options,
        std::vector<Setting> settings)
      : recipe_(recipe), folder_(folder), options_(options), settings_(std::move(settings)) {}

  void run() {
    if (!recipe_.tune.lr.empty()) tune();
    if (interrupted()) return;
    std::vector<Job> jobs;
    std::map<fs::path, Setting*> of;
    for (Setting& setting : settings_) {
      choose_rates(setting);
      write_config(setting.folder, setting.recipe);
      of[setting.folder / "config.toml"] = &setting;
      const auto more = jobs_of(setting.recipe, setting.folder, options_.seeds);
      add(more, setting, jobs);
    }
    expected_ = jobs.size();
    pool("").run(
        by_seed(jobs),
        [&](const Job& job, const Json& result) {
          Setting& setting = *of.at(job.config);
          setting.runs.push_back(run_of(job, result, setting.folder));
        },
        [&] { publish(); });
  }

  Json publish() const {
    Json result{{"kind", "sweep"}, {"recipe", recipe_.name}};
    double seconds = 0;
    for (const Setting& setting : settings_) {
      for (const Json& run : setting.runs) seconds += run.value("seconds", 0.0);
    }
    if (!recipe_.note.empty()) result["note"] = recipe_.note;
    result["machine"] = machine_description(recipe_);
    result["machine"]["jobs"] = options_.jobs;
    result["setup"] = settings_.front().setup;
    for (const Axis& axis : recipe_.axes) result["setup"].erase(setup_name(axis.key));
    result["command"] = options_.command;
    result["runs_planned"] = expected_;
    result["seconds"] = (seconds + tuning_seconds_) / static_cast<double>(options_.jobs);
    result["axes"] = Json::array();
    for (const Axis& axis : recipe_.axes) {
      Json values = Json::array();
      for (const std::string& value : axis.values) values.push_back(json_of(value));
      result["axes"].push_back({{"key", axis.key}, {"values", values}});
    }
    if (!recipe_.tune.lr.empty()) {
      Json seeds = Json::array();
      for (std::int64_t i = 0; i < recipe_.tune.seeds; ++i)
        seeds.push_back(recipe_.run.seed + kTuningSeeds + i);
      result["tuned"] = {{"key", "train.lr"},
                         {"values", recipe_.tune.lr},
                         {"seeds", seeds},
                         {"rule", "lowest mean validation error"}};
    }
    result["settings"] = Json::array();
    for (const Setting& setting : settings_) result["settings"].push_back(describe(setting));
    write_json(folder_ / "result.json", result);
    report::write_report(folder_);
    return result;
  }

 private:
  RunPool pool(const char* what) const {
    return RunPool({recipe_.name + what, options_.jobs, recipe_.run.threads, [this](const Job& job) {
                      return fmt::format("{}, {}, seed {}",
                                         fs::relative(job.config.parent_path(), folder_).string(), job.arm,
                                         job.seed);
                    }});
  }

  /// All settings' first seeds before anybody's second, so that an unfinished sweep says something of each.
  static std::vector<Job> by_seed(std::vector<Job> jobs) {
    std::stable_sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.seed < b.seed; });
    return jobs;
  }

  static void add(const std::vector<Job>& more, const Setting& setting, std::vector<Job>& jobs) {
    for (Job job : more) {
      job.steps = setting.steps;
      jobs.push_back(std::move(job));
    }
  }

  /// A recipe that an earlier process wrote stays: runs are held to it.
  static void write_config(const fs::path& folder, const Recipe& recipe) {
    make_folder(folder);
    if (fs::exists(folder / "config.toml")) {
      check_same_recipe(folder / "config.toml", recipe);
    } else {
      write_file(folder / "config.toml", to_toml(recipe));
    }
  }

  void tune() {
    std::vector<Job> jobs;
    std::map<fs::path, Setting*> of;
    for (Setting& setting : settings_) {
      Recipe trials = setting.recipe;
      trials.run.test = false;
      trials.run.seed += kTuningSeeds;
      trials.train.give_up = recipe_.tune.give_up;
      trials.arms.clear();
      for (std::size_t a = 0; a < setting.recipe.arms.size(); ++a) {
        for (const double lr : recipe_.tune.lr) {
          const ArmSettings& arm = setting.recipe.arms[a];
          trials.arms.push_back({fmt::format("{} lr {}", arm.name, lr), arm.norm, lr});
          setting.trials[trials.arms.back().name] = {a, lr, {}};
        }
      }
      const fs::path folder = setting.folder / "tuning";
      write_config(folder, trials);
      of[folder / "config.toml"] = &setting;
      const auto more = jobs_of(trials, folder, recipe_.tune.seeds);
      add(more, setting, jobs);
    }
    pool(", choosing learning rates")
        .run(
            by_seed(jobs),
            [&](const Job& job, const Json& result) {
              tuning_seconds_ += result.value("seconds", 0.0);
              if (result.contains("validation_error_pct"))
                of.at(job.config)
                    ->trials.at(job.arm)
                    .errors.push_back(result["validation_error_pct"].get<double>());
            },
            [] {});
  }

  /// The mean, where every run of the trial ended well: a rate that sometimes diverges is none to recommend.
  std::optional<double> error_of(const Trial& trial) const {
    if (static_cast<std::int64_t>(trial.errors.size()) < recipe_.tune.seeds) return std::nullopt;
    double sum = 0;
    for (const double error : trial.errors) sum += error;
    return sum / static_cast<double>(trial.errors.size());
  }

  void choose_rates(Setting& setting) const {
    if (recipe_.tune.lr.empty()) return;
    for (std::size_t a = 0; a < setting.recipe.arms.size(); ++a) {
      std::optional<double> least;
      // Where no rate trained at all, the smallest one is the least hopeless.
      double chosen = *std::min_element(recipe_.tune.lr.begin(), recipe_.tune.lr.end());
      for (const Trial& trial : trials_of(setting, a)) {
        const auto error = error_of(trial);
        if (!error || (least && *error >= *least)) continue;
        least = error;
        chosen = trial.lr;
      }
      setting.recipe.arms[a].lr = chosen;
    }
  }

  /// An arm's, the smallest rate first.
  static std::vector<Trial> trials_of(const Setting& setting, std::size_t arm) {
    std::vector<Trial> trials;
    for (const auto& [name, trial] : setting.trials) {
      if (trial.arm == arm) trials.push_back(trial);
    }
    std::sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) { return a.lr < b.lr; });
    return trials;
  }

  Json describe(const Setting& setting) const {
    Json out{{"values", Json::object()}, {"folder", fs::relative(setting.folder, folder_).string()}};
    for (const auto& [key, value] : setting.values) out["values"][key] = json_of(value);
    double skew = 0;
    std::int64_t with_skew = 0;
    for (const Json& run : setting.runs) {
      if (!run.contains("label_divergence_bits")) continue;
      skew += run["label_divergence_bits"].get<double>();
      ++with_skew;
    }
    out["label_divergence_bits"] =
        with_skew > 0 ? Json(skew / static_cast<double>(with_skew)) : Json(nullptr);
    const Json comparison =
        summarize_comparison(setting.recipe, setting.setup, setting.runs, setting.runs.size());
    out["arms"] = comparison.at("arms");
    for (std::size_t a = 0; a < setting.recipe.arms.size() && !recipe_.tune.lr.empty(); ++a) {
      Json tuning = Json::array();
      for (const Trial& trial : trials_of(setting, a)) {
        const auto error = error_of(trial);
        tuning.push_back(
            {{"value", trial.lr}, {"validation_error_pct", error ? Json(*error) : Json(nullptr)}});
      }
      out["arms"][a]["tuning"] = tuning;
    }
    return out;
  }

  Recipe recipe_;
  fs::path folder_;
  SweepOptions options_;
  std::vector<Setting> settings_;
  std::size_t expected_ = 0;
  double tuning_seconds_ = 0;
};

}  // namespace

Json sweep(Recipe recipe, const fs::path& folder, const SweepOptions& options) {
  SweepOptions chosen = options;
  const std::int64_t cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  if (chosen.jobs == 0) chosen.jobs = cores;
  const fs::path config = folder / "config.toml";
  const bool there = fs::exists(config);
  if (there && !options.resume)
    user_error("{}: already holds a sweep; --resume goes on with it, or choose another --out",
               folder.string());
  if (!there && (fs::exists(folder / "result.json") || fs::exists(folder / "metrics.jsonl")))
    user_error("{}: holds something else than a sweep, choose another --out", folder.string());
  if (!recipe.tune.lr.empty() && recipe.data.validation == 0)
    user_error("tune.lr: learning rates are chosen on validation samples, and data.validation is 0");
  if (recipe.run.threads == 0)
    recipe.run.threads =
        there ? read_recipe(config).run.threads : std::max<std::int64_t>(1, cores / chosen.jobs);
  if (there) check_same_recipe(config, recipe);
  prepare_process(recipe);
  std::vector<Setting> settings = settings_of(recipe, folder);
  for (Setting& setting : settings) {
    const data::Splits splits = load_splits(setting.recipe);
    const auto sampler = check_setting(setting.recipe, splits);
    setting.setup = setup_description(setting.recipe, splits, *sampler);
    setting.steps = setting.recipe.train.epochs * sampler->batches_per_epoch();
  }

  make_folder(folder);
  const FolderLock lock(folder);
  if (!there) write_file(config, to_toml(recipe));
  Sweep work(recipe, folder, chosen, std::move(settings));
  work.run();
  if (interrupted()) {
    throw Interrupted(fmt::format("stopped; {} holds what was done, the same command with --resume goes on",
                                  folder.string()));
  }
  return work.publish();
}

}  // namespace refnorm::experiment
