#include <algorithm>
#include <map>

#include <refnorm/report/paired.h>

namespace refnorm::report {
namespace {

Place place_of(const Arm& arm, const Arm& best, const AgainstBest& found) {
  if (arm.test_error.diverged > best.test_error.diverged) return Place::kDiverged;
  if (found.told_apart()) return *found.difference.mean < 0 ? Place::kLowerInCommon : Place::kWorse;
  return found.too_few() ? Place::kTooFewSeeds : Place::kTie;
}

}  // namespace

FlipTest flip_test(const std::vector<double>& differences) {
  return {sign_flip_p(differences), 1, smallest_sign_flip_p(differences.size()), differences.size()};
}

void correct(const std::vector<FlipTest*>& family) {
  std::vector<double> found;
  std::vector<double> smallest;
  for (const FlipTest* test : family) {
    found.push_back(test->p);
    smallest.push_back(smallest_sign_flip_p(test->pairs));
  }
  found = holm(found);
  smallest = holm(smallest);
  for (std::size_t i = 0; i < family.size(); ++i) {
    family[i]->corrected = found[i];
    family[i]->smallest = smallest[i];
  }
}

Verdict verdict_of(double difference, const FlipTest& test) {
  if (test.too_few()) return Verdict::kTooFewSeeds;
  if (!test.told_apart()) return Verdict::kTie;
  return difference < 0 ? Verdict::kBetter : Verdict::kWorse;
}

std::optional<double> test_error_of(const Run& run) {
  return run.test_error;
}

Summary summarize(const Arm& arm, const RunValue& value) {
  std::vector<double> values;
  for (const Run& run : arm.runs) {
    const std::optional<double> found = run.counts() ? value(run) : std::nullopt;
    if (found) values.push_back(*found);
  }
  return summarize(values, arm.test_error.diverged);
}

std::vector<double> Pairs::differences() const {
  std::vector<double> out = second;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] -= first[i];
  return out;
}

BySeed Pairs::differences_by_seed() const {
  BySeed out;
  for (std::size_t i = 0; i < seeds.size(); ++i) out[seeds[i]] = second[i] - first[i];
  return out;
}

Pairs pair_by_seed(const Arm& first, const Arm& second, const RunValue& value) {
  std::map<std::uint64_t, double> of_first;
  for (const Run& run : first.runs) {
    const auto found = run.counts() ? value(run) : std::nullopt;
    if (found) of_first[run.seed] = *found;
  }
  Pairs pairs;
  for (const Run& run : second.runs) {
    const auto here = run.counts() ? value(run) : std::nullopt;
    const auto there = of_first.find(run.seed);
    if (!here || there == of_first.end()) continue;
    pairs.seeds.push_back(run.seed);
    pairs.first.push_back(there->second);
    pairs.second.push_back(*here);
  }
  return pairs;
}

std::size_t lost_pairs(const Arm& a, const Arm& b) {
  std::map<std::uint64_t, bool> counts;
  for (const Run& run : a.runs) counts[run.seed] = run.counts();
  return static_cast<std::size_t>(std::count_if(b.runs.begin(), b.runs.end(), [&](const Run& run) {
    const auto found = counts.find(run.seed);
    return found != counts.end() && !(found->second && run.counts());
  }));
}

std::optional<std::size_t> bn_arm(const std::vector<Arm>& arms) {
  const auto found = std::find_if(arms.begin(), arms.end(), [](const Arm& arm) {
    return arm.norm == "bn" || arm.norm.starts_with("bn:");
  });
  if (found == arms.end()) return std::nullopt;
  return static_cast<std::size_t>(found - arms.begin());
}

std::vector<AgainstBaseline> against_baseline(const std::vector<Arm>& arms, std::size_t baseline) {
  std::vector<AgainstBaseline> all;
  for (const Arm& arm : arms) {
    const Pairs pairs = pair_by_seed(arms[baseline], arm);
    AgainstBaseline& against = all.emplace_back();
    static_cast<FlipTest&>(against) = flip_test(pairs.differences());
    against.difference = paired_difference(pairs.first, pairs.second);
    against.lost = lost_pairs(arms[baseline], arm);
    if (against.difference.spread && arm.test_error.diverged <= arms[baseline].test_error.diverged)
      against.not_worse = not_worse(against.difference.interval);
  }
  all[baseline].verdict = Verdict::kBaseline;
  return all;
}

void decide(const std::vector<AgainstBaseline*>& family) {
  std::vector<FlipTest*> tests;
  for (AgainstBaseline* against : family) {
    if (against->pairs > 0 && against->verdict != Verdict::kBaseline) tests.push_back(against);
  }
  correct(tests);
  for (AgainstBaseline* against : family) {
    if (against->pairs > 0 && against->verdict != Verdict::kBaseline)
      against->verdict = verdict_of(*against->difference.mean, *against);
  }
}

std::optional<std::size_t> best_of(const std::vector<Arm>& arms, const RunValue& value) {
  std::optional<std::size_t> best;
  std::optional<double> least;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    const std::optional<double> mean = summarize(arms[i], value).mean;
    if (!mean) continue;
    const std::int64_t ours = arms[i].test_error.diverged;
    const std::int64_t theirs = best ? arms[*best].test_error.diverged : ours;
    if (best && (ours > theirs || (ours == theirs && *mean >= *least))) continue;
    best = i;
    least = mean;
  }
  return best;
}

std::vector<AgainstBest> against_best(const std::vector<Arm>& arms, std::optional<std::size_t> best,
                                      const RunValue& value) {
  std::vector<AgainstBest> all(arms.size());
  if (!best) return all;
  std::vector<FlipTest*> family;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (i == *best || !summarize(arms[i], value).mean) continue;
    const Pairs pairs = pair_by_seed(arms[*best], arms[i], value);
    static_cast<FlipTest&>(all[i]) = flip_test(pairs.differences());
    all[i].difference = paired_difference(pairs.first, pairs.second);
    all[i].lost = lost_pairs(arms[*best], arms[i]);
    if (all[i].pairs > 0) family.push_back(&all[i]);
  }
  correct(family);
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (i != *best && summarize(arms[i], value).mean) all[i].place = place_of(arms[i], arms[*best], all[i]);
  }
  all[*best].place = Place::kBest;
  return all;
}

}  // namespace refnorm::report
