#include <algorithm>
#include <map>

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
#include <refnorm/experiment/sweep_settings.h>
#include <refnorm/experiment/work.h>
#include <refnorm/report/report.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

/// Seeds of runs that only choose a learning rate begin so much further on.
constexpr std::int64_t kTuningSeeds = 1000;

/// All that a run took; runs of earlier versions say only how long they trained.
double seconds_of(const Json& run) {
  return run.value("total_seconds", run.value("seconds", 0.0));
}

class Sweep {
 public:
  Sweep(const Recipe& recipe, const fs::path& folder, const SweepOptions& options,
        std::vector<SweepSetting> settings)
      : recipe_(recipe), folder_(folder), options_(options), settings_(std::move(settings)) {}

  void run() {
    if (!recipe_.tune.lr.empty()) tune();
    if (interrupted()) return;
    std::vector<Job> jobs;
    std::map<fs::path, SweepSetting*> of;
    for (SweepSetting& setting : settings_) {
      choose_rates(setting);
      write_config(setting.folder, setting.recipe);
      of[setting.folder / "config.toml"] = &setting;
      const auto more = jobs_of(setting.recipe, setting.folder, options_.seeds);
      setting.planned = more.size();
      add(more, setting, jobs);
    }
    expected_ = jobs.size();
    pool("").run(
        by_seed(jobs),
        [&](const Job& job, const Json& result) {
          SweepSetting& setting = *of.at(job.config);
          setting.runs.push_back(run_of(job, result, setting.folder));
        },
        [&] { publish(); });
  }

  /// Each setting as the comparison that its folder is.
  void publish_settings() const {
    for (const SweepSetting& setting : settings_)
      publish_comparison(setting.recipe, setting.folder, setting.setup, setting.runs, setting.planned,
                         options_.jobs);
  }

  Json publish() const {
    Json result{{"kind", "sweep"}, {"recipe", recipe_.name}};
    double seconds = 0;
    for (const SweepSetting& setting : settings_) {
      for (const Json& run : setting.runs) seconds += seconds_of(run);
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
    for (const SweepSetting& setting : settings_) result["settings"].push_back(describe(setting));
    if (!recipe_.paper.is_null()) result["paper"] = recipe_.paper;
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

  static void add(const std::vector<Job>& more, const SweepSetting& setting, std::vector<Job>& jobs) {
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
    std::map<fs::path, SweepSetting*> of;
    for (SweepSetting& setting : settings_) {
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
              tuning_seconds_ += seconds_of(result);
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

  void choose_rates(SweepSetting& setting) const {
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
  static std::vector<Trial> trials_of(const SweepSetting& setting, std::size_t arm) {
    std::vector<Trial> trials;
    for (const auto& [name, trial] : setting.trials) {
      if (trial.arm == arm) trials.push_back(trial);
    }
    std::sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) { return a.lr < b.lr; });
    return trials;
  }

  /// Null where no run has it.
  static Json mean_of(const std::vector<Json>& runs, const char* key) {
    double sum = 0;
    std::int64_t count = 0;
    for (const Json& run : runs) {
      if (!run.contains(key)) continue;
      sum += run[key].get<double>();
      ++count;
    }
    return count > 0 ? Json(sum / static_cast<double>(count)) : Json(nullptr);
  }

  Json describe(const SweepSetting& setting) const {
    Json out{{"values", Json::object()}, {"folder", fs::relative(setting.folder, folder_).string()}};
    for (const auto& [key, value] : setting.values) out["values"][key] = json_of(value);
    out["label_divergence_bits"] = mean_of(setting.runs, "label_divergence_bits");
    if (const Json groups = mean_of(setting.runs, "group_divergence_bits"); !groups.is_null())
      out["group_divergence_bits"] = groups;
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
  std::vector<SweepSetting> settings_;
  std::size_t expected_ = 0;
  double tuning_seconds_ = 0;
};

}  // namespace

Json sweep(Recipe recipe, const fs::path& folder, const SweepOptions& options) {
  SweepOptions chosen = options;
  if (chosen.jobs == 0) chosen.jobs = core_count();
  const bool there = open_folder(folder, "sweep", options.resume);
  if (!recipe.tune.lr.empty() && recipe.data.validation == 0)
    user_error("tune.lr: learning rates are chosen on validation samples, and data.validation is 0");
  settle_threads(recipe, folder, there, chosen.jobs);
  prepare_process(recipe);
  std::vector<SweepSetting> settings = settings_of(recipe, folder);
  for (SweepSetting& setting : settings) {
    const Outline outlined = outline(setting.recipe);
    setting.setup = outlined.setup;
    setting.steps = outlined.steps;
  }

  make_folder(folder);
  const FolderLock lock(folder);
  if (!there) write_file(folder / "config.toml", to_toml(recipe));
  Sweep work(recipe, folder, chosen, std::move(settings));
  work.run();
  if (interrupted()) {
    throw Interrupted(fmt::format("stopped; {} holds what was done, the same command with --resume goes on",
                                  folder.string()));
  }
  work.publish_settings();
  return work.publish();
}

}  // namespace refnorm::experiment
