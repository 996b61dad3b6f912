#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/report/answer_table.h>

#include "tests/base/helpers.h"
#include "tests/report/sample.h"

namespace refnorm::report {
namespace {

using namespace testing;

const std::string& first(const Answer& found) {
  return found.sentences.at(0);
}

Json all_diverged() {
  return Json::array({diverged_run(1, "x/seed-1"), diverged_run(2, "x/seed-2")});
}

/// An arm whose differences from an arm of errors 1 with all seeds are these.
Json beside_one(const std::string& name, const std::string& norm, std::vector<double> differences) {
  for (double& difference : differences) difference += 1;
  Json arm = sample_arm(name, differences);
  arm["norm"] = norm;
  return arm;
}

std::vector<double> repeated(const std::vector<double>& values, int times) {
  std::vector<double> out;
  for (int i = 0; i < times; ++i) out.insert(out.end(), values.begin(), values.end());
  return out;
}

TEST(Answer, WorseByMoreThanChance) {
  // Six differences of one sign: p = 2 / 64 = 0.031.
  const Answer found = answer(sample_result(
      {sample_arm("BN", {1.8, 2.0, 1.9, 1.8, 2.0, 1.9}), sample_arm("RBN", {0.8, 0.9, 1.0, 0.8, 0.9, 1.0})}));
  EXPECT_EQ(found.best, 1U);
  EXPECT_EQ(found.to_best[0].place, Place::kWorse);
  EXPECT_EQ(found.to_best[1].place, Place::kBest);
  EXPECT_EQ(found.compared, 1U);
  EXPECT_DOUBLE_EQ(found.to_best[0].p, 2.0 / 64);
  EXPECT_EQ(found.sentences,
            std::vector<std::string>{
                "RBN had the lowest mean test error, 0.90 % over 6 seeds; BN (1.90 %) did worse by more than "
                "chance between seeds explains (paired sign-flip tests over common seeds)."});
}

TEST(Answer, CannotBeToldApart) {
  // Differences 0.4, 0.2, −0.1 and three 0: half of the signs are as far from 0, see SignFlip.
  const Answer found = answer(sample_result(
      {beside_one("RBN", "rbn", repeated({0}, 6)), beside_one("LN", "ln", {0.4, 0.2, -0.1, 0, 0, 0})}));
  EXPECT_EQ(found.to_best[1].place, Place::kTie);
  EXPECT_DOUBLE_EQ(found.to_best[1].p, 0.5);
  EXPECT_TRUE(contains(first(found), "; LN (1.08 %) cannot be told apart from RBN with these seeds"))
      << first(found);
}

TEST(Answer, ComparisonsAreCorrectedAsOneFamily) {
  // Of 256 signs 2 are as far as eight differences of one sign; of seven 1 and a −0.5, which sum to 6.5, 4:
  // the −0.5 may turn as well. Holm: 3 · 2 / 256 = 0.023, 2 · 4 / 256 = 0.031, 0.5.
  std::vector<double> one_other = repeated({0.1}, 7);
  one_other.push_back(-0.05);
  const std::vector<Json> arms{
      beside_one("RBN", "rbn", repeated({0}, 8)), beside_one("LN", "ln", repeated({0.1, 0.2}, 4)),
      beside_one("IN", "in", one_other), beside_one("GN", "gn:2", {0.4, 0.2, -0.1, 0, 0, 0, 0, 0})};
  const Answer found = answer(sample_result(arms));
  EXPECT_EQ(found.compared, 3U);
  EXPECT_DOUBLE_EQ(found.to_best[1].corrected, 6.0 / 256);
  EXPECT_DOUBLE_EQ(found.to_best[2].corrected, 8.0 / 256);
  EXPECT_DOUBLE_EQ(found.to_best[3].corrected, 0.5);
  EXPECT_EQ(found.to_best[2].place, Place::kWorse);
  EXPECT_EQ(found.to_best[3].place, Place::kTie);
  EXPECT_TRUE(contains(first(found), "LN (1.15 %) and IN (1.08 %) did worse")) << first(found);
  EXPECT_TRUE(contains(first(found), "Holm-corrected for 3 comparisons")) << first(found);
}

TEST(Answer, TooFewSeedsAreSaidToBeTooFew) {
  // 2 / 64 would do for one comparison; for three 3 · 2 / 64 = 0.094, and 3 · 2 / 128 = 0.047 would.
  const Json best = beside_one("RBN", "rbn", repeated({0}, 6));
  const Json worse = beside_one("LN", "ln", repeated({7}, 6));
  EXPECT_EQ(answer(sample_result({best, worse})).to_best[1].place, Place::kWorse);
  const Answer found = answer(sample_result(
      {best, worse, beside_one("IN", "in", repeated({8}, 6)), beside_one("GN", "gn:2", repeated({9}, 6))}));
  for (const std::size_t arm : {1, 2, 3}) EXPECT_EQ(found.to_best[arm].place, Place::kTooFewSeeds);
  EXPECT_TRUE(
      contains(first(found),
               "too few seeds to tell LN (8.00 %), IN (9.00 %) and GN (10.00 %) apart from RBN: 6 seeds "
               "cannot go below p = 0.0312, and that is to be corrected for 3 comparisons; 7 seeds could"))
      << first(found);
  EXPECT_FALSE(contains(first(found), "cannot be told apart")) << first(found);
}

TEST(Answer, OneSeedCannotTell) {
  const Answer found =
      answer(sample_result({sample_arm("BN", {1.0}), sample_arm("RBN", {0.9}), sample_arm("LN", {1.5})}));
  EXPECT_EQ(found.to_best[0].place, Place::kTooFewSeeds);
  EXPECT_TRUE(
      first(found).starts_with("RBN had the lowest test error, 0.90 % over one seed; there are too few "
                               "seeds to tell BN (1.00 %) and LN (1.50 %) apart from RBN: 1 seed cannot "
                               "go below p = 1"))
      << first(found);
}

TEST(Answer, AgainstBNByHand) {
  // RBN − BN is −0.3 and −0.2 in turn: p = 2 / 256, corrected for two arms 0.0156. GN − BN is 0.1 and −0.1:
  // mean 0, p = 1, deviation sqrt(8 · 0.01 / 7) = 0.1069, half width 2.365 · 0.1069 / sqrt 8 = 0.0894.
  const Result result = sample_result({beside_one("GN", "gn:2", repeated({0.1, -0.1}, 4)),
                                       beside_one("BN", "bn:momentum=0.05", repeated({0}, 8)),
                                       beside_one("RBN", "rbn", repeated({-0.3, -0.2}, 4))});
  const Answer found = answer(result);
  EXPECT_EQ(found.best, 2U);
  EXPECT_EQ(found.baseline, 1U);
  EXPECT_EQ(found.against[1].verdict, Verdict::kBaseline);
  EXPECT_EQ(found.against[2].verdict, Verdict::kBetter);
  EXPECT_DOUBLE_EQ(found.against[2].corrected, 4.0 / 256);
  EXPECT_EQ(found.against[0].verdict, Verdict::kTie);
  EXPECT_DOUBLE_EQ(found.against[0].p, 1);
  EXPECT_NEAR(found.against[0].difference.interval->high, 0.0894, 1e-4);
  EXPECT_EQ(found.against[0].not_worse, true);
  EXPECT_EQ(
      found.sentences[1],
      "Against BN, in points over the same seeds: RBN (−0.25) had a lower error (p = 0.0156); GN (0.00) "
      "cannot be told apart from it.");
  EXPECT_EQ(
      found.sentences[2],
      "Not worse than BN by 0.2 points or more, by the 95 % interval of the difference, each for itself: "
      "GN and RBN.");
  const Table table = baseline_table(result, found);
  EXPECT_EQ(table.head[1], "against BN");
  EXPECT_EQ(table.rows[0], (std::vector<std::string>{"GN", "tie: not told apart", "yes", "0.00",
                                                     "[−0.09, +0.09]", "1", "1", "8", "0"}));
  EXPECT_EQ(table.rows.size(), 2U);
}

TEST(Answer, FiveSeedsSayNothingAgainstBN) {
  const Answer found = answer(sample_result(
      {beside_one("BN", "bn", repeated({0}, 5)), beside_one("RBN", "rbn", {-0.3, -0.2, -0.3, -0.2, -0.25})}));
  EXPECT_EQ(
      found.sentences[1],
      "Against BN, in points over the same seeds: there are too few seeds to say of RBN (−0.25): 5 seeds "
      "cannot go below p = 0.0625; 6 seeds could.");
  EXPECT_EQ(found.against[1].verdict, Verdict::kTooFewSeeds);
  EXPECT_EQ(found.against[1].not_worse, true) << "an interval takes two seeds";
}

TEST(Answer, WithoutBNThereIsNoPartOnIt) {
  const Result result = sample_result(
      {beside_one("LN", "ln", repeated({0, 0.1}, 4)), beside_one("RBN", "rbn", repeated({-0.3, -0.2}, 4))});
  const Answer found = answer(result);
  EXPECT_FALSE(found.baseline);
  EXPECT_EQ(found.sentences.size(), 1U);
  EXPECT_EQ(paired_sections(result, found).size(), 1U);
  EXPECT_FALSE(contains(markdown_table(result, found), "BN,"));
}

TEST(Answer, WhereBNIsTheBestItsDifferencesAreSaidOnce) {
  const Result result = sample_result(
      {beside_one("BN", "bn", repeated({0}, 8)), beside_one("RBN", "rbn", repeated({0.3, 0.2}, 4))});
  const Answer found = answer(result);
  ASSERT_EQ(found.sentences.size(), 2U);
  EXPECT_EQ(found.sentences[1],
            "Of no arm do these seeds show that it is not worse than BN by 0.2 points or more.");
  ASSERT_EQ(paired_sections(result, found).size(), 1U);
  EXPECT_EQ(paired_sections(result, found)[0].title, "Seed by seed against BN");
}

TEST(Answer, SeedsArePairedByNumberAndOthersAreLeftOut) {
  const Json best = Json::array({sample_run(1, 0.5, "a"), sample_run(2, 0.6, "b"), sample_run(3, 0.7, "c")});
  const Json other = Json::array({sample_run(3, 0.9, "d"), failed_run(2, "e"), sample_run(4, 9.0, "f")});
  const Answer found = answer(sample_result({arm_of("RBN", best), arm_of("BN", other)}));
  EXPECT_EQ(found.to_best[1].place, Place::kTooFewSeeds);
  EXPECT_EQ(found.to_best[1].pairs, 1U);
  EXPECT_EQ(found.to_best[1].lost, 1U);
  EXPECT_NEAR(found.to_best[1].difference.mean.value(), 0.2, 1e-12);
  EXPECT_TRUE(contains(first(found), "; BN: 1 failed of its 3 runs.")) << first(found);
  const Json stranger = Json::array({sample_run(7, 0.9, "d")});
  const Answer apart = answer(sample_result({arm_of("RBN", best), arm_of("BN", stranger)}));
  EXPECT_EQ(apart.compared, 0U);
  EXPECT_TRUE(contains(first(apart), "RBN has no seed in common with BN (0.90 %).")) << first(apart);
}

TEST(Answer, ATieIsCalledATie) {
  const Answer found =
      answer(sample_result({sample_arm("BN", {1.0, 1.2, 1.1}), sample_arm("RBN", {1.1, 1.0, 1.2})}));
  EXPECT_TRUE(first(found).starts_with("BN and RBN tie for the lowest mean test error, 1.10 %"))
      << first(found);
  // The same to the last digit with every seed, of which there are enough.
  const Answer same = answer(
      sample_result({beside_one("BN", "ln", repeated({0}, 6)), beside_one("RBN", "rbn", repeated({0}, 6))}));
  EXPECT_EQ(same.to_best[1].place, Place::kTie);
  EXPECT_TRUE(first(same).starts_with("BN and RBN tie")) << first(same);
  // One seed each: a tie, and no more.
  const Answer one = answer(sample_result({sample_arm("BN", {1.0}), sample_arm("RBN", {1.0})}));
  EXPECT_TRUE(first(one).starts_with("BN and RBN tie for the lowest test error, 1.00 %")) << first(one);
}

TEST(Answer, ALowerMeanOwedToFailedSeedsIsSaid) {
  // RBN lost the hard seeds 7 and 8 to crashes; over the six others BN was lower, p = 2 / 64.
  Json rbn = Json::array();
  for (int seed = 1; seed <= 6; ++seed) rbn.push_back(sample_run(seed, 0.5 + 0.01 * seed, "a"));
  for (int seed = 7; seed <= 8; ++seed) rbn.push_back(failed_run(seed, "b"));
  const Answer found =
      answer(sample_result({arm_of("RBN", rbn), sample_arm("BN", {0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 2.0, 2.0})}));
  EXPECT_EQ(found.best, 0U);
  EXPECT_EQ(found.to_best[1].place, Place::kLowerInCommon);
  EXPECT_TRUE(contains(first(found), "BN (0.80 %) did better over the seeds in common")) << first(found);
}

TEST(Answer, AnArmThatDivergesIsNotTheBest) {
  Json rbn = Json::array();
  for (int seed = 1; seed <= 5; ++seed) rbn.push_back(sample_run(seed, 0.5, "a"));
  rbn.push_back(diverged_run(6, "b"));
  Json bn = beside_one("BN", "bn", repeated({0}, 6));
  const Result result = sample_result({arm_of("RBN", rbn), bn});
  const Answer found = answer(result);
  EXPECT_EQ(found.best, 1U);
  EXPECT_EQ(found.to_best[0].place, Place::kDiverged);
  EXPECT_EQ(found.against[0].not_worse, std::nullopt);
  EXPECT_TRUE(
      first(found).starts_with("BN had the lowest mean test error of the arms that diverged least, 1.00 %"))
      << first(found);
  EXPECT_EQ(baseline_table(result, found).rows[0][2], "no: diverged more often");
  EXPECT_TRUE(contains(plain_table(result, found), "RBN †")) << plain_table(result, found);
}

TEST(Answer, AnArmThatAlwaysDiverged) {
  const Result result = sample_result({sample_arm("BN", {1.0, 1.1}), arm_of("none", all_diverged())});
  const Answer found = answer(result);
  EXPECT_EQ(found.to_best[1].place, Place::kNoResult);
  EXPECT_EQ(first(found),
            "BN is the only arm with a result: a mean test error of 1.05 % over 2 seeds; every run of none "
            "diverged.");
  EXPECT_TRUE(contains(plain_table(result, found), "none ×"));
  EXPECT_TRUE(contains(plain_table(result, found), "× every run diverged or failed"));
}

// A report is written after each run: what has not ended yet has not failed.
TEST(Answer, AnArmOfWhichNoRunHasEnded) {
  const Result result = sample_result({sample_arm("BN", {1.0, 1.1}), arm_of("LN", Json::array())});
  const Answer found = answer(result);
  EXPECT_EQ(found.to_best[1].place, Place::kNoResult);
  EXPECT_FALSE(contains(plain_table(result, found), "×")) << plain_table(result, found);
  EXPECT_FALSE(contains(markdown_table(result, found), "×"));
}

TEST(Answer, NothingHasAResult) {
  const Json failed = Json::array({failed_run(1, "y")});
  const Answer found = answer(
      sample_result({arm_of("none", all_diverged()), arm_of("BN", failed), arm_of("LN", Json::array())}));
  EXPECT_FALSE(found.best);
  EXPECT_EQ(first(found),
            "No arm has a result; every run of none diverged; every run of BN failed; LN has no run.");
}

}  // namespace
}  // namespace refnorm::report
