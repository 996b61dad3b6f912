#pragma once

#include <array>
#include <string>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/report/sweep_result.h>

#include "tests/report/sample.h"

namespace refnorm::testing {

/// What seeds 1 to 10 add to every error, and how an arm departs from that; the departures sum to 0, and so
/// do those of the first six seeds.
constexpr std::array<double, 10> kSeedNoise{0, 0.03, -0.02, 0.04, -0.01, 0.02, -0.03, 0.01, 0.05, -0.04};
constexpr std::array<double, 10> kArmNoise{0.02, -0.01, 0.03, -0.02, 0.01, -0.03, 0.02, -0.02, 0.01, -0.01};

inline std::vector<double> errors_around(double level, double share, int seeds = 10) {
  std::vector<double> errors;
  for (int i = 0; i < seeds; ++i) {
    const auto seed = static_cast<std::size_t>(i);
    errors.push_back(level + kSeedNoise.at(seed) + share * kArmNoise.at(seed));
  }
  return errors;
}

inline Json sweep_arm(const std::string& name, const std::string& norm, Json arm, double rate) {
  arm["name"] = name;
  arm["norm"] = norm;
  arm["lr"] = rate;
  arm["tuning"] = Json::array({{{"value", 0.01}, {"validation_error_pct", 2.1}},
                               {{"value", 0.03}, {"validation_error_pct", 1.9}},
                               {{"value", 0.1}, {"validation_error_pct", nullptr}}});
  return arm;
}

/// GN, BN, RBN and IN, BN being the baseline, at levels of error; no level: every run diverged.
inline Json sweep_setting(const std::string& sampler, int batch, double divergence,
                          const std::vector<std::optional<double>>& levels, int seeds = 10) {
  const std::vector<std::pair<std::string, std::string>> names{
      {"GN", "gn:16"}, {"BN", "bn"}, {"RBN", "rbn"}, {"IN", "in"}};
  Json arms = Json::array();
  for (std::size_t i = 0; i < levels.size(); ++i) {
    Json lost = Json::array();
    for (int seed = 1; seed <= seeds; ++seed) lost.push_back(diverged_run(seed, "x/seed-1"));
    const double share = i == 1 ? 0 : i == 2 ? 1 : -1;
    const Json arm = levels[i] ? sample_arm("", errors_around(*levels[i], share, seeds)) : arm_of("", lost);
    arms.push_back(sweep_arm(names.at(i).first, names.at(i).second, arm, i == 0 ? 0.01 : 0.03));
  }
  const std::string folder = sampler.substr(0, 2) + "-" + std::to_string(batch);
  return {{"values", {{"sampler.kind", sampler}, {"train.batch_size", batch}}},
          {"folder", folder},
          {"label_divergence_bits", divergence},
          {"arms", arms}};
}

inline Json sample_sweep(int seeds = 10) {
  return {{"kind", "sweep"},
          {"recipe", "lenet5-mnist-lab"},
          {"machine", {{"cpu", "some"}, {"cores", 2}}},
          {"setup", {{"model", "lenet5"}, {"data", "mnist"}, {"epochs", 2}}},
          {"command", "refnorm sweep recipes/lenet5-mnist-lab.toml --seeds 10 --out runs/lab"},
          {"seconds", 1834.0},
          {"axes", Json::array({{{"key", "sampler.kind"}, {"values", {"iid", "pk:2"}}},
                                {{"key", "train.batch_size"}, {"values", {4, 16}}}})},
          {"tuned",
           {{"key", "train.lr"},
            {"values", {0.01, 0.03, 0.1}},
            {"seeds", {1001, 1002}},
            {"rule", "lowest mean validation error"}}},
          {"settings", Json::array({sweep_setting("iid", 4, 1.42, {1.05, 1.3, 1.0, 2.2}, seeds),
                                    sweep_setting("iid", 16, 0.39, {0.905, 0.9, 0.9, 2.0}, seeds),
                                    sweep_setting("pk:2", 4, 2.32, {1.05, 60.0, 1.1, std::nullopt}, seeds),
                                    sweep_setting("pk:2", 16, 2.3, {0.95, 40.0, 0.93, 9.0}, seeds)})}};
}

inline report::Sweep parsed(const Json& document) {
  return report::parse_sweep(document, "result.json");
}

}  // namespace refnorm::testing
