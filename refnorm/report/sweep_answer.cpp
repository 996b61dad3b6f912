#include <algorithm>

#include <refnorm/report/sweep_answer.h>

namespace refnorm::report {
namespace {

PooledAnswer pool(const Sweep& sweep, std::size_t baseline, std::size_t arm) {
  PooledAnswer pooled;
  std::vector<BySeed> pairs;
  std::int64_t baseline_diverged = 0;
  for (const Setting& setting : sweep.settings) {
    const Arm& ours = setting.arms[arm];
    pairs.push_back(pair_by_seed(setting.arms[baseline], ours).differences_by_seed());
    pooled.lost += lost_pairs(setting.arms[baseline], ours);
    pooled.runs += static_cast<std::int64_t>(ours.runs.size());
    pooled.diverged += ours.test_error.diverged;
    baseline_diverged += setting.arms[baseline].test_error.diverged;
  }
  if (arm == baseline) {
    pooled.verdict = Verdict::kBaseline;
    return pooled;
  }
  pooled.difference = pooled_difference(pairs);
  pooled.p = pooled_sign_flip_p(pairs);
  pooled.pairs = pooled.difference.seeds;
  if (pooled.diverged <= baseline_diverged) pooled.not_worse = not_worse(pooled.difference.interval);
  return pooled;
}

void decide_pooled(const Sweep& sweep, SweepAnswer& found) {
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm)
    found.pooled.push_back(pool(sweep, found.baseline, arm));
  std::vector<FlipTest*> family;
  for (PooledAnswer& pooled : found.pooled) {
    if (pooled.pairs > 0) family.push_back(&pooled);
  }
  correct(family);
  for (PooledAnswer& pooled : found.pooled) {
    if (pooled.pairs > 0) pooled.verdict = verdict_of(*pooled.difference.mean, pooled);
  }
}

}  // namespace

bool SettingAnswer::among_best(std::size_t arm) const {
  switch (to_best[arm].place) {
    case Place::kBest:
    case Place::kTie:
    case Place::kTooFewSeeds:
    case Place::kLowerInCommon:
      return true;
    case Place::kWorse:
    case Place::kDiverged:
    case Place::kNoResult:
      break;
  }
  return false;
}

std::size_t SweepAnswer::settings_lower(std::size_t arm) const {
  return static_cast<std::size_t>(std::count_if(
      settings.begin(), settings.end(),
      [&](const SettingAnswer& setting) { return setting.against[arm].difference.mean.value_or(0) < 0; }));
}

std::size_t SweepAnswer::settings_higher(std::size_t arm) const {
  return static_cast<std::size_t>(std::count_if(
      settings.begin(), settings.end(),
      [&](const SettingAnswer& setting) { return setting.against[arm].difference.mean.value_or(0) > 0; }));
}

std::size_t SweepAnswer::settings_not_worse(std::size_t arm) const {
  return static_cast<std::size_t>(std::count_if(
      settings.begin(), settings.end(),
      [&](const SettingAnswer& setting) { return setting.against[arm].not_worse.value_or(false); }));
}

bool at_the_edge(const Rate& rate) {
  if (!rate.chosen || rate.tried.size() < 2) return false;
  const auto [low, high] =
      std::minmax_element(rate.tried.begin(), rate.tried.end(),
                          [](const Rate::Trial& a, const Rate::Trial& b) { return a.value < b.value; });
  return low->value < high->value && (*rate.chosen <= low->value || *rate.chosen >= high->value);
}

SweepAnswer answer(const Sweep& sweep) {
  SweepAnswer found;
  found.baseline = sweep.baseline();
  for (const Setting& setting : sweep.settings) {
    SettingAnswer here;
    here.against = against_baseline(setting.arms, found.baseline);
    here.best = best_of(setting.arms);
    here.to_best = against_best(setting.arms, here.best);
    found.settings.push_back(std::move(here));
  }
  std::vector<AgainstBaseline*> family;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    for (SettingAnswer& here : found.settings) {
      family.push_back(&here.against[arm]);
      if (arm != found.baseline && here.against[arm].pairs > 0) ++found.comparisons;
    }
  }
  decide(family);
  decide_pooled(sweep, found);
  found.sentences = sweep_sentences(sweep, found);
  found.cautions = sweep_cautions(sweep, found);
  return found;
}

}  // namespace refnorm::report
