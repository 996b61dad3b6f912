#include <algorithm>
#include <cmath>
#include <set>

#include <refnorm/base/error.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/result.h>

namespace refnorm::report {
namespace {

constexpr double kLargest = 1e12;  // more seconds or images a second than any run has

NamedValues parse_values(const std::optional<Field>& field) {
  NamedValues values;
  if (!field) return values;
  for (const auto& member : field->object().items()) {
    values.emplace_back(member.key(), field->at(member.key()).percent_or_null());
  }
  return values;
}

std::optional<double> parse_optional(const Field& run, const std::string& key, double high) {
  const auto field = run.find(key);
  return field ? field->number_or_null(0, high) : std::nullopt;
}

std::string parse_divergence(const Field& run) {
  const auto where = run.find("diverged_at");
  if (!where) return {};
  std::string words;
  if (const auto step = where->find("step")) words = fmt::format("step {}", step->count());
  const char* comma = words.empty() ? "" : ", ";
  if (const auto layer = where->find("layer")) words += fmt::format("{}layer {}", comma, layer->text());
  if (const auto why = where->find("given_up")) words += comma + why->text();
  return words;
}

// What was measured on the way: the lowest validation error, and when the target was reached.
void parse_way(const Field& field, Run& run) {
  if (const auto best = field.find("best")) {
    std::string when = fmt::format("epoch {}", best->at("epoch").count());
    if (const auto step = best->find("step")) {
      run.best_step = static_cast<double>(step->count());
      when = fmt::format("step {}", with_thousands(*run.best_step));
    }
    run.best_validation_error = best->at("validation_error_pct").percent_or_null();
    run.best =
        run.best_validation_error ? fmt::format("{:.2f} %, {}", *run.best_validation_error, when) : when;
  }
  run.best_test_error = parse_optional(field, "test_error_pct_of_best", 100);
  run.has_target = field.json().contains("steps_to_target");
  run.steps_to_target = parse_optional(field, "steps_to_target", kLargest);
  run.seconds_to_target = parse_optional(field, "seconds_to_target", kLargest);
}

Run parse_run(const Field& field) {
  Run run;
  run.seed = field.at("seed").count();
  run.folder = parse_folder(field.at("folder"));
  if (const auto failed = field.find("failed")) run.failed = failed->text();
  if (!run.failed || field.find("diverged")) run.diverged = field.at("diverged").boolean();
  if (run.failed && run.diverged) field.fail_saying("a run either diverged or failed, found both");
  run.diverged_at = parse_divergence(field);
  parse_way(field, run);
  if (run.counts()) {
    // These say what the run found: a run that counts has them all.
    run.test_error = field.at("test_error_pct").percent();
    for (const char* key : {"train_error_pct", "steps", "seconds", "images_per_second"}) field.at(key);
  } else if (field.find("test_error_pct")) {
    field.at("test_error_pct").fail_saying("expected null, as the run diverged or failed");
  }
  run.by_statistics = parse_values(field.find("test_error_pct_by_statistics"));
  run.by_reading = parse_values(field.find("test_error_pct_by_population_reading"));
  run.robustness = parse_values(field.find("robustness"));
  run.detection = parse_values(field.find("detection"));
  run.by_domain = parse_values(field.find("test_error_pct_by_domain"));
  if (const auto worst = field.find("worst_class"))
    run.closer.emplace_back("worst_class", worst->at("test_error_pct").percent());
  if (const auto same = field.find("same_data")) {
    run.closer.emplace_back("in_training", same->at("in_training_error_pct").percent());
    run.closer.emplace_back("in_evaluation", same->at("in_evaluation_error_pct").percent());
  }
  run.train_error = parse_optional(field, "train_error_pct", 100);
  if (const auto steps = field.find("steps")) run.steps = steps->count();
  run.seconds = parse_optional(field, "seconds", kLargest);
  run.images_per_second = parse_optional(field, "images_per_second", kLargest);
  return run;
}

// The summary is computed again from the runs, so that all tables rest on one thing; the file's must agree to
// the digits that are shown, or one of the two is not what was measured.
void check_summary(const Field& field, const Summary& ours) {
  if (field.at("n").count() != static_cast<std::uint64_t>(ours.n)) {
    field.at("n").fail_saying(fmt::format("does not fit the runs, of which {} count", ours.n));
  }
  if (field.at("diverged").count() != static_cast<std::uint64_t>(ours.diverged)) {
    field.at("diverged")
        .fail_saying(fmt::format("does not fit the runs, of which {} diverged", ours.diverged));
  }
  field.at("std").number_or_null(0, 100);
  if (const Field interval = field.at("ci95"); !interval.is_null()) {
    if (interval.array_size() != 2) interval.fail_expecting("[low, high] or null");
    for (const std::size_t end : {0U, 1U}) interval.at(end).number(-kLargest, kLargest);
  }
  const auto mean = field.at("mean").percent_or_null();
  if (mean.has_value() != ours.mean.has_value() || (mean && std::abs(*mean - *ours.mean) > 0.0051)) {
    const std::string expected = ours.mean ? fmt::format("{:.4f}", *ours.mean) : "null";
    field.at("mean").fail_saying(fmt::format("does not fit the runs, whose mean is {}", expected));
  }
}

Arm parse_arm(const Field& field) {
  Arm arm;
  arm.name = field.at("name").name();
  arm.norm = field.at("norm").text();
  const Field runs = field.at("runs");
  std::set<std::uint64_t> seeds;
  std::vector<double> errors;
  std::int64_t diverged = 0;
  for (std::size_t i = 0; i < runs.array_size(); ++i) {
    arm.runs.push_back(parse_run(runs.at(i)));
    const Run& run = arm.runs.back();
    if (!seeds.insert(run.seed).second) runs.at(i).at("seed").fail_saying("the seed stands twice in one arm");
    if (run.test_error) errors.push_back(*run.test_error);
    diverged += run.diverged ? 1 : 0;
  }
  arm.test_error = summarize(errors, diverged);
  check_summary(field.at("test_error_pct"), arm.test_error);
  return arm;
}

}  // namespace

std::optional<double> value_of(const NamedValues& values, const std::string& name) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == name; });
  return found == values.end() ? std::nullopt : found->second;
}

std::size_t Arm::failed() const {
  return static_cast<std::size_t>(
      std::count_if(runs.begin(), runs.end(), [](const Run& run) { return run.failed.has_value(); }));
}

std::string parse_folder(const Field& field) {
  const std::filesystem::path folder = field.name();
  const bool leaves =
      std::any_of(folder.begin(), folder.end(), [](const auto& part) { return part == ".."; });
  if (folder.is_absolute() || leaves) field.fail_saying("expected a folder inside the comparison's");
  return folder.string();
}

Experiment parse_experiment(const Field& root) {
  Experiment experiment;
  experiment.recipe = root.at("recipe").name();
  if (const auto note = root.find("note")) experiment.note = note->text();
  experiment.machine = root.at("machine").object();
  experiment.setup = root.at("setup").object();
  return experiment;
}

std::vector<Arm> parse_arms(const Field& arms) {
  if (arms.array_size() == 0) arms.fail_saying("expected at least one arm");
  std::vector<Arm> parsed;
  std::set<std::string> names;
  for (std::size_t i = 0; i < arms.array_size(); ++i) {
    parsed.push_back(parse_arm(arms.at(i)));
    if (!names.insert(parsed.back().name).second)
      arms.at(i).at("name").fail_saying("two arms have this name");
  }
  return parsed;
}

Result parse_result(const Json& document, const std::string& origin) {
  const Field root(document, origin);
  Result result{parse_experiment(root), {}, {}};
  if (const auto paper = root.find("paper")) result.paper = paper->object();
  result.arms = parse_arms(root.at("arms"));
  return result;
}

}  // namespace refnorm::report
