#include <algorithm>
#include <map>

#include <refnorm/report/sweep_answer.h>

namespace refnorm::report {
namespace {

constexpr double kLevel = 0.05;

std::vector<double> differences(const Arm& from, const Arm& to) {
  Pairs pairs = pair_by_seed(from, to);
  for (std::size_t i = 0; i < pairs.first.size(); ++i) pairs.second[i] -= pairs.first[i];
  return pairs.second;
}

// Seeds that both have run, of which one did not count.
std::size_t lost_pairs(const Arm& a, const Arm& b) {
  std::map<std::uint64_t, bool> counts;
  for (const Run& run : a.runs) counts[run.seed] = run.counts();
  return static_cast<std::size_t>(std::count_if(b.runs.begin(), b.runs.end(), [&](const Run& run) {
    const auto found = counts.find(run.seed);
    return found != counts.end() && !(found->second && run.counts());
  }));
}

Verdict verdict(double difference, double corrected, double smallest) {
  if (smallest > kLevel) return Verdict::kTooFewSeeds;
  if (corrected > kLevel) return Verdict::kTie;
  return difference < 0 ? Verdict::kBetter : Verdict::kWorse;
}

// Comparisons of one family: each gets its p-value and the smallest one it could have, corrected.
template <class Comparison>
void correct(const std::vector<Comparison*>& family) {
  std::vector<double> found;
  std::vector<double> smallest;
  for (const Comparison* comparison : family) {
    found.push_back(comparison->p);
    smallest.push_back(comparison->smallest);
  }
  found = holm(found);
  smallest = holm(smallest);
  for (std::size_t i = 0; i < family.size(); ++i) {
    family[i]->corrected = found[i];
    family[i]->smallest = smallest[i];
    family[i]->verdict = verdict(*family[i]->difference.mean, found[i], smallest[i]);
  }
}

AgainstBaseline against(const Arm& baseline, const Arm& arm) {
  AgainstBaseline found;
  const Pairs pairs = pair_by_seed(baseline, arm);
  found.difference = paired_difference(pairs.first, pairs.second);
  found.p = sign_flip_p(differences(baseline, arm));
  found.smallest = smallest_sign_flip_p(pairs.first.size());
  found.lost = lost_pairs(baseline, arm);
  if (found.difference.spread && arm.test_error.diverged <= baseline.test_error.diverged)
    found.not_worse = not_worse(found.difference.interval);
  return found;
}

std::optional<std::size_t> best_of(const std::vector<Arm>& arms) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    const Summary& ours = arms[i].test_error;
    if (!ours.mean) continue;
    const Summary& theirs = arms[best.value_or(i)].test_error;
    const bool fewer = ours.diverged < theirs.diverged;
    if (!best || fewer || (ours.diverged == theirs.diverged && *ours.mean < *theirs.mean)) best = i;
  }
  return best;
}

std::vector<Place> places(const std::vector<Arm>& arms, std::optional<std::size_t> best) {
  std::vector<Place> places(arms.size(), Place::kNoResult);
  if (!best) return places;
  std::vector<std::size_t> compared;
  std::vector<double> p;
  std::vector<double> smallest;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (i == *best || !arms[i].test_error.mean) continue;
    const std::vector<double> found = differences(arms[*best], arms[i]);
    compared.push_back(i);
    p.push_back(sign_flip_p(found));
    smallest.push_back(smallest_sign_flip_p(found.size()));
  }
  p = holm(p);
  smallest = holm(smallest);
  for (std::size_t k = 0; k < compared.size(); ++k) {
    const std::size_t i = compared[k];
    const bool more_diverged = arms[i].test_error.diverged > arms[*best].test_error.diverged;
    const bool apart = p[k] <= kLevel;
    if (more_diverged) {
      places[i] = Place::kDiverged;
    } else if (apart) {
      places[i] = Place::kWorse;
    } else {
      places[i] = smallest[k] > kLevel ? Place::kTooFewSeeds : Place::kTie;
    }
  }
  places[*best] = Place::kBest;
  return places;
}

PooledAnswer pool(const Sweep& sweep, std::size_t baseline, std::size_t arm) {
  PooledAnswer pooled;
  std::vector<std::vector<double>> pairs;
  std::int64_t baseline_diverged = 0;
  for (const Setting& setting : sweep.settings) {
    const Arm& ours = setting.arms[arm];
    pairs.push_back(differences(setting.arms[baseline], ours));
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
  pooled.smallest = smallest_sign_flip_p(pooled.difference.pairs);
  if (pooled.diverged <= baseline_diverged) pooled.not_worse = not_worse(pooled.difference.interval);
  return pooled;
}

}  // namespace

bool SettingAnswer::among_best(std::size_t arm) const {
  return places[arm] == Place::kBest || places[arm] == Place::kTie || places[arm] == Place::kTooFewSeeds;
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
  std::vector<AgainstBaseline*> family;
  for (const Setting& setting : sweep.settings) {
    SettingAnswer here;
    for (const Arm& arm : setting.arms) here.against.push_back(against(setting.arms[found.baseline], arm));
    here.against[found.baseline].verdict = Verdict::kBaseline;
    here.best = best_of(setting.arms);
    here.places = places(setting.arms, here.best);
    found.settings.push_back(std::move(here));
  }
  std::vector<PooledAnswer*> pooled_family;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm)
    found.pooled.push_back(pool(sweep, found.baseline, arm));
  for (std::size_t arm = 0; arm < found.pooled.size(); ++arm) {
    if (arm == found.baseline) continue;
    if (found.pooled[arm].difference.pairs > 0) pooled_family.push_back(&found.pooled[arm]);
    for (SettingAnswer& here : found.settings) {
      if (here.against[arm].difference.n > 0) family.push_back(&here.against[arm]);
    }
  }
  correct(family);
  correct(pooled_family);
  found.comparisons = family.size();
  found.sentences = sweep_sentences(sweep, found);
  found.cautions = sweep_cautions(sweep, found);
  return found;
}

}  // namespace refnorm::report
