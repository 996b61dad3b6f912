#include <gtest/gtest.h>

#include <refnorm/base/text.h>
#include <refnorm/report/sweep_answer.h>

#include "tests/base/helpers.h"
#include "tests/report/sample_sweep.h"

namespace refnorm::report {
namespace {

using namespace testing;

/// One or more settings of one axis; arms as in sweep_setting.
Sweep sweep_of(const std::vector<std::vector<std::optional<double>>>& levels, int seeds = 10) {
  Json json = sample_sweep();
  json["axes"] = Json::array({{{"key", "train.batch_size"}, {"values", Json::array()}}});
  json["settings"] = Json::array();
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const int batch = 4 << i;
    json["axes"][0]["values"].push_back(batch);
    Json setting = sweep_setting("iid", batch, 1.0, levels[i], seeds);
    setting["values"] = {{"train.batch_size", batch}};
    json["settings"].push_back(setting);
  }
  return parsed(json);
}

std::string all(const std::vector<std::string>& sentences) {
  return join(sentences, "\n");
}

TEST(SweepAnswer, AgainstTheBaselineByHand) {
  // Ten differences of one sign: p = 2 / 1024; four settings of three arms less the one that diverged make 11
  // comparisons. Ten of them have that p, so Holm multiplies it by 11: 0.0215.
  const SweepAnswer found = answer(parsed(sample_sweep()));
  EXPECT_EQ(found.comparisons, 11U);
  const AgainstBaseline& rbn = found.settings[0].against[2];
  EXPECT_EQ(rbn.verdict, Verdict::kBetter);
  EXPECT_DOUBLE_EQ(rbn.p, 2.0 / 1024);
  EXPECT_DOUBLE_EQ(rbn.corrected, 11 * 2.0 / 1024);
  EXPECT_DOUBLE_EQ(rbn.smallest, 11 * 2.0 / 1024);
  EXPECT_NEAR(rbn.difference.mean.value(), -0.3, 1e-9);
  EXPECT_EQ(found.settings[0].against[3].verdict, Verdict::kWorse);
  EXPECT_EQ(found.settings[0].against[1].verdict, Verdict::kBaseline);
  // The differences of RBN from BN are kArmNoise, which sums to 0: every way to sign them is as far from 0.
  EXPECT_DOUBLE_EQ(found.settings[1].against[2].p, 1);
  EXPECT_EQ(found.settings[1].against[2].verdict, Verdict::kTie);
  EXPECT_EQ(found.settings[2].against[3].verdict, Verdict::kNoResult);
  EXPECT_EQ(found.settings[2].against[3].lost, 10U);
}

TEST(SweepAnswer, TheBestAndItsTies) {
  const SweepAnswer found = answer(parsed(sample_sweep()));
  const Place expected[] = {Place::kWorse, Place::kWorse, Place::kBest, Place::kWorse};
  for (std::size_t arm = 0; arm < 4; ++arm) EXPECT_EQ(found.settings[0].to_best[arm].place, expected[arm]);
  EXPECT_EQ(found.settings[1].to_best[2].place, found.settings[1].best == 2U ? Place::kBest : Place::kTie);
  EXPECT_EQ(found.settings[1].to_best[3].place, Place::kWorse);
  EXPECT_EQ(found.settings[2].best, 0U);
  EXPECT_EQ(found.settings[2].to_best[3].place, Place::kNoResult);
}

TEST(SweepAnswer, WhereBatchesDecideNoNormIsNamedForAll) {
  const SweepAnswer found = answer(parsed(sample_sweep()));
  ASSERT_EQ(found.sentences.size(), 3U);
  EXPECT_TRUE(contains(found.sentences[0], "No one normalization was among the best")) << found.sentences[0];
  EXPECT_TRUE(contains(found.sentences[1], "iid batch 4: RBN alone; iid batch 16: GN, BN and RBN"))
      << found.sentences[1];
  EXPECT_EQ(
      found.sentences[2],
      "Against BN, in points, mean over all settings: GN (−24.56), RBN (−24.57) and IN (−9.67) had a lower "
      "error (at most p = 0.0059); setting by setting the means are the other way round for GN in 1 and IN "
      "in "
      "2 of 4.");
  EXPECT_TRUE(contains(all(found.cautions), "10 of 40 runs of IN diverged.")) << all(found.cautions);
  EXPECT_TRUE(contains(all(found.cautions), "lowest or the highest of those tried for GN (in 4 of 4)"));
}

TEST(SweepAnswer, OneNormThatIsAmongTheBestEverywhere) {
  const SweepAnswer found = answer(sweep_of({{1.5, 0.9, 0.9, 2.0}, {1.5, 1.9, 0.9, 2.0}}));
  EXPECT_TRUE(found.sentences[0].starts_with("Train with RBN: in each of the 2 settings"))
      << found.sentences[0];
}

TEST(SweepAnswer, WhatIsNotToldApartIsATie) {
  const SweepAnswer found = answer(sweep_of({{0.9, 0.9, 0.9, 0.9}, {1.0, 1.0, 1.0, 1.0}}));
  EXPECT_TRUE(found.sentences[0].starts_with("These runs do not tell the 4 normalizations apart"))
      << found.sentences[0];
  for (const PooledAnswer& pooled : found.pooled)
    EXPECT_TRUE(pooled.verdict == Verdict::kTie || pooled.verdict == Verdict::kBaseline);
  EXPECT_EQ(found.pooled[2].not_worse, true);
}

TEST(SweepAnswer, AMeanOverSettingsDoesNotHideWhereAnArmIsWorse) {
  // GN is 0.6 worse in one setting and 8 better in the other: better on the whole, not worse in one of two.
  const SweepAnswer found = answer(sweep_of({{1.5, 0.9, 0.9, 2.0}, {1.0, 9.0, 0.9, 2.0}}));
  EXPECT_EQ(found.pooled[0].verdict, Verdict::kBetter);
  EXPECT_EQ(found.pooled[0].not_worse, true);
  EXPECT_EQ(found.settings_higher(0), 1U);
  EXPECT_EQ(found.settings_lower(0), 1U);
  EXPECT_EQ(found.settings_not_worse(0), 1U);
  EXPECT_TRUE(contains(all(found.sentences), "the other way round for GN in 1 and IN in 1 of 2"))
      << all(found.sentences);
}

TEST(SweepAnswer, FiveSeedsCannotSay) {
  // 2 / 32 = 0.0625 before any correction; six comparisons need 6 · 2 / 2^n <= 0.05, n = 8.
  const SweepAnswer found = answer(sweep_of({{1.5, 9.0, 0.9, 2.0}, {1.5, 9.9, 0.9, 2.0}}, 5));
  EXPECT_EQ(found.settings[0].against[2].verdict, Verdict::kTooFewSeeds);
  EXPECT_EQ(found.settings[0].to_best[1].place, Place::kTooFewSeeds);
  EXPECT_TRUE(found.sentences[0].starts_with("There are too few seeds to tell the arms apart"))
      << found.sentences[0];
  EXPECT_TRUE(contains(all(found.cautions), "5 seeds cannot go below p = 0.0625")) << all(found.cautions);
  EXPECT_TRUE(contains(all(found.cautions), "for 6 comparisons; 8 seeds could.")) << all(found.cautions);
  // Nor can more settings of the same five: their pairs are ten, but seeds flip as a whole. Three arms.
  EXPECT_EQ(found.pooled[2].difference.pairs, 10U);
  EXPECT_DOUBLE_EQ(found.pooled[2].smallest, 3 * 2.0 / 32);
  EXPECT_EQ(found.pooled[2].verdict, Verdict::kTooFewSeeds);
}

TEST(SweepAnswer, AnArmThatDivergesIsNoneOfTheBest) {
  Json json = sample_sweep();
  json["settings"] = Json::array({sweep_setting("iid", 4, 1.0, {1.5, 1.4, 0.9, 2.0})});
  Json runs = json["settings"][0]["arms"][2]["runs"];
  runs[3] = diverged_run(4, "x/seed-4");
  json["settings"][0]["arms"][2] = sweep_arm("RBN", "rbn", arm_of("RBN", runs), 0.03);
  const SweepAnswer found = answer(parsed(json));
  EXPECT_EQ(found.settings[0].best, 1U);
  EXPECT_EQ(found.settings[0].to_best[2].place, Place::kDiverged);
  EXPECT_EQ(found.pooled[2].lost, 1U);
  EXPECT_EQ(found.pooled[2].not_worse, std::nullopt);
  EXPECT_TRUE(found.sentences[0].starts_with("Train with BN:")) << found.sentences[0];
  EXPECT_TRUE(contains(all(found.cautions), "1 of 10 runs of RBN diverged")) << all(found.cautions);
  EXPECT_TRUE(contains(all(found.cautions), "Not all runs are done: 40 of 160")) << all(found.cautions);
}

TEST(SweepAnswer, WithoutAnyResult) {
  const std::vector<std::optional<double>> none(4);
  const SweepAnswer found = answer(sweep_of({none, none}));
  EXPECT_EQ(found.sentences,
            std::vector<std::string>{"No run has a result yet, or every one diverged or failed."});
  EXPECT_FALSE(found.settings[0].best);
}

TEST(SweepAnswer, RatesAtTheEdgeOfWhatWasTried) {
  const auto rate = [](double chosen) {
    return Rate{chosen, {{0.01, 2.0}, {0.03, 1.9}, {0.1, std::nullopt}}};
  };
  EXPECT_TRUE(at_the_edge(rate(0.01)));
  EXPECT_FALSE(at_the_edge(rate(0.03)));
  EXPECT_TRUE(at_the_edge(rate(0.1)));
  EXPECT_FALSE(at_the_edge(Rate{0.1, {{0.1, 2.0}}}));
}

}  // namespace
}  // namespace refnorm::report
