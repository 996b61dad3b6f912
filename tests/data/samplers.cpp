#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <boost/math/distributions/chi_squared.hpp>
#include <gtest/gtest.h>

#include <refnorm/base/error.h>
#include <refnorm/data/label_skew.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {
namespace {

using Indices = std::vector<std::int64_t>;

/// Label of sample i: i mod `classes`.
Indices even_labels(std::int64_t samples, std::int64_t classes) {
  Indices labels;
  for (std::int64_t i = 0; i < samples; ++i) labels.push_back(i % classes);
  return labels;
}

std::map<std::int64_t, std::int64_t> counts(const Indices& batch, const Indices& labels) {
  std::map<std::int64_t, std::int64_t> found;
  for (const std::int64_t index : batch) ++found[labels[static_cast<std::size_t>(index)]];
  return found;
}

Indices epoch_of(Sampler& sampler, std::int64_t epoch) {
  Indices all;
  for (std::int64_t place = 0; place < sampler.batches_per_epoch(); ++place) {
    const Indices batch = sampler.batch(epoch, place);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

/// Fifty samples of five labels, and half of them in either domain.
SampleKeys keys_of_fifty() {
  return {even_labels(50, 5), even_labels(50, 2), "domain"};
}

class EverySampler : public ::testing::TestWithParam<const char*> {};

TEST_P(EverySampler, GivesWholeBatchesOfTheSetInANewOrderEachEpoch) {
  const auto sampler = make_sampler(GetParam(), keys_of_fifty(), 8, 1);
  EXPECT_EQ(sampler->batches_per_epoch(), 6);  // 48 of 50
  const Indices first = epoch_of(*sampler, 0);
  EXPECT_EQ(first.size(), 48U);
  EXPECT_TRUE(std::all_of(first.begin(), first.end(), [](std::int64_t i) { return i >= 0 && i < 50; }));
  EXPECT_NE(first, epoch_of(*sampler, 1));
}

// What a run that goes on from a checkpoint relies on.
TEST_P(EverySampler, DependsOnSeedEpochAndPlaceAlone) {
  const auto make = [](std::uint64_t seed) { return make_sampler(GetParam(), keys_of_fifty(), 8, seed); };
  const auto one = make(1);
  one->batch(0, 0);
  one->batch(3, 1);
  EXPECT_EQ(one->batch(2, 4), make(1)->batch(2, 4));
  EXPECT_NE(one->batch(2, 4), make(2)->batch(2, 4));
}

INSTANTIATE_TEST_SUITE_P(Kinds, EverySampler,
                         ::testing::Values("iid", "pk:2", "dirichlet:0.3", "sorted", "domain"));

TEST(IidSampler, UsesEachSampleAtMostOnceAnEpoch) {
  const Indices all = epoch_of(*make_sampler("iid", {even_labels(50, 5)}, 8, 1), 0);
  EXPECT_EQ(std::set<std::int64_t>(all.begin(), all.end()).size(), 48U);
}

TEST(PkSampler, HasExactlySoManyLabelsWithEquallyManySamplesEach) {
  const Indices labels = even_labels(1000, 10);
  const auto sampler = make_sampler("pk:4", {labels}, 32, 1);
  for (std::int64_t place = 0; place < sampler->batches_per_epoch(); ++place) {
    const auto found = counts(sampler->batch(0, place), labels);
    ASSERT_EQ(found.size(), 4U);
    for (const auto& [label, count] : found) ASSERT_EQ(count, 8) << "label " << label;
  }
}

// B batches each take P of C labels without replacement: every count has the mean BP/C and the variance
// B · P/C · (1 − P/C), counts of two labels correlate by −1/(C − 1), and so (C − 1)/(C − P) times the usual
// sum is chi-square with C − 1 degrees of freedom.
TEST(PkSampler, DrawsItsLabelsUniformly) {
  const Indices labels = even_labels(100000, 10);
  const auto sampler = make_sampler("pk:3", {labels}, 6, 5);
  std::map<std::int64_t, double> batches_of;
  for (std::int64_t place = 0; place < sampler->batches_per_epoch(); ++place) {
    for (const auto& [label, count] : counts(sampler->batch(0, place), labels)) ++batches_of[label];
  }
  const double expected = static_cast<double>(sampler->batches_per_epoch()) * 3 / 10;
  double sum = 0;
  for (const auto& [label, count] : batches_of) sum += (count - expected) * (count - expected) / expected;
  EXPECT_EQ(batches_of.size(), 10U);
  const boost::math::chi_squared distribution(9);
  EXPECT_LT(sum * 9 / 7, boost::math::quantile(boost::math::complement(distribution, 1e-3)));
}

TEST(PkSampler, UsesAllSamplesOfALabelBeforeOneComesAgain) {
  const Indices labels = even_labels(1000, 10);
  const Indices all = epoch_of(*make_sampler("pk:1", {labels}, 20, 1), 0);
  std::map<std::int64_t, std::int64_t> uses;
  for (const std::int64_t index : all) ++uses[index];
  for (std::int64_t label = 0; label < 10; ++label) {
    std::int64_t least = 1000;
    std::int64_t most = 0;
    for (std::int64_t i = label; i < 1000; i += 10) {
      least = std::min(least, uses[i]);
      most = std::max(most, uses[i]);
    }
    EXPECT_LE(most - least, 1);
  }
}

// Two samples of a batch have the same label with probability sum of E[q_c^2], which for a Dirichlet
// distribution of parameters a_c with the sum A is sum of a_c (a_c + 1) / (A (A + 1)).
TEST(DirichletSampler, MixesLabelsAsItsConcentrationSays) {
  Indices labels = even_labels(60000, 4);
  for (std::size_t i = 0; i < labels.size(); i += 8) labels[i] = 1;  // shares: 1/8, 3/8, 1/4, 1/4
  const std::vector<double> share{0.125, 0.375, 0.25, 0.25};
  for (const auto& [spec, alpha] :
       std::map<std::string, double>{{"dirichlet:0.1", 0.1}, {"dirichlet:1", 1.0}, {"dirichlet:50", 50.0}}) {
    const auto sampler = make_sampler(spec, {labels}, 20, 3);
    std::vector<double> same;
    std::vector<double> of_label(4);
    for (std::int64_t place = 0; place < sampler->batches_per_epoch(); ++place) {
      double pairs = 0;
      for (const auto& [label, count] : counts(sampler->batch(0, place), labels)) {
        pairs += static_cast<double>(count * (count - 1));
        of_label[static_cast<std::size_t>(label)] += static_cast<double>(count) / 20;
      }
      same.push_back(pairs / (20 * 19));
    }
    const auto n = static_cast<double>(same.size());
    const double mean = std::accumulate(same.begin(), same.end(), 0.0) / n;
    double squares = 0;
    for (const double value : same) squares += (value - mean) * (value - mean);
    const double total = alpha * 4;
    double expected = 0;
    for (std::size_t c = 0; c < 4; ++c) {
      const double a = total * share[c];
      expected += a * (a + 1) / (total * (total + 1));
      // A batch's share of a label has a variance of at most q (1 − q).
      EXPECT_NEAR(of_label[c] / n, share[c], 4 * std::sqrt(share[c] * (1 - share[c]) / n)) << spec;
    }
    EXPECT_NEAR(mean, expected, 4 * std::sqrt(squares / (n - 1) / n)) << spec;
  }
}

TEST(DirichletSampler, OfATinyConcentrationHasOneLabelABatch) {
  const Indices labels = even_labels(400, 4);
  const auto sampler = make_sampler("dirichlet:1e-9", {labels}, 10, 1);
  std::set<std::int64_t> seen;
  for (std::int64_t place = 0; place < 40; ++place) {
    const auto found = counts(sampler->batch(0, place), labels);
    ASSERT_EQ(found.size(), 1U);
    seen.insert(found.begin()->first);
  }
  EXPECT_EQ(seen.size(), 4U);
}

TEST(SortedSampler, GoesThroughLabelAfterLabelOnce) {
  const Indices labels = even_labels(60, 3);
  const auto sampler = make_sampler("sorted", {labels}, 10, 1);
  const Indices all = epoch_of(*sampler, 0);
  EXPECT_EQ(std::set<std::int64_t>(all.begin(), all.end()).size(), 60U);
  int changes = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    changes +=
        labels[static_cast<std::size_t>(all[i])] != labels[static_cast<std::size_t>(all[i - 1])] ? 1 : 0;
  }
  EXPECT_EQ(changes, 2);
}

// Groups of 25, 17, 8, 7 and 3 samples: of batches of 8 they fill 3, 2, 1, 0 and 0.
Indices uneven_groups() {
  Indices groups;
  for (const auto& [group, size] :
       std::map<std::int64_t, std::int64_t>{{0, 7}, {1, 25}, {2, 3}, {3, 17}, {4, 8}})
    groups.insert(groups.end(), static_cast<std::size_t>(size), group);
  std::reverse(groups.begin() + 10, groups.end());
  return groups;
}

class GroupSamplers : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Sampler> make(const Indices& groups, std::int64_t batch_size, std::uint64_t seed = 1) {
    return make_sampler(GetParam(), {Indices(groups.size(), 0), groups, GetParam()}, batch_size, seed);
  }
};

TEST_P(GroupSamplers, FillEachBatchFromOneGroupAndUseASampleAtMostOnce) {
  const Indices groups = uneven_groups();
  const auto sampler = make(groups, 8);
  EXPECT_EQ(sampler->batches_per_epoch(), 6);
  EXPECT_EQ(sampler->never_drawn(), 10);
  std::set<std::int64_t> used;
  for (std::int64_t epoch = 0; epoch < 100; ++epoch) {
    std::map<std::int64_t, std::int64_t> batches_of;
    std::set<std::int64_t> in_epoch;
    for (std::int64_t place = 0; place < 6; ++place) {
      const Indices batch = sampler->batch(epoch, place);
      const auto found = counts(batch, groups);
      ASSERT_EQ(found.size(), 1U);
      ASSERT_EQ(found.begin()->second, 8);
      ++batches_of[found.begin()->first];
      in_epoch.insert(batch.begin(), batch.end());
    }
    EXPECT_EQ(batches_of, (std::map<std::int64_t, std::int64_t>{{1, 3}, {3, 2}, {4, 1}}));
    EXPECT_EQ(in_epoch.size(), 48U) << "none twice";
    used.insert(in_epoch.begin(), in_epoch.end());
  }
  EXPECT_EQ(used.size(), 50U) << "which ones wait for another epoch changes";
}

// A batch of group 4, one of six, is first in one epoch of six: 600 epochs give 100, deviation sqrt(600 ·
// 5/36) = 9.1.
TEST_P(GroupSamplers, PutBatchesInRandomOrder) {
  const Indices groups = uneven_groups();
  const auto sampler = make(groups, 8);
  int first = 0;
  for (std::int64_t epoch = 0; epoch < 600; ++epoch)
    first += groups[static_cast<std::size_t>(sampler->batch(epoch, 0)[0])] == 4 ? 1 : 0;
  EXPECT_NEAR(first, 100, 4 * 9.1);
}

TEST_P(GroupSamplers, DependOnSeedEpochAndPlaceAlone) {
  const auto one = make(uneven_groups(), 8);
  one->batch(0, 0);
  one->batch(3, 1);
  EXPECT_EQ(one->batch(2, 4), make(uneven_groups(), 8)->batch(2, 4));
  EXPECT_NE(one->batch(2, 4), make(uneven_groups(), 8, 2)->batch(2, 4));
  EXPECT_NE(one->batch(2, 4), one->batch(3, 4));
}

TEST_P(GroupSamplers, NeedAGroupThatFillsABatch) {
  EXPECT_EQ(make(uneven_groups(), 25)->batches_per_epoch(), 1);
  try {
    make(uneven_groups(), 26);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.what(), std::string("train.batch_size: 26 samples, and the largest ") + GetParam() +
                                " of the training set has 25, expected at most that");
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, GroupSamplers, ::testing::Values("domain", "group"));

std::string refusal(const std::string& spec, std::int64_t batch_size) {
  try {
    make_sampler(spec, {even_labels(50, 5)}, batch_size, 1);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(MakeSampler, SaysWhatIsWrong) {
  EXPECT_EQ(refusal("idd", 8), "sampler.kind: 'idd' is not known, did you mean 'iid'?");
  EXPECT_EQ(refusal("iid:3", 8), "sampler.kind: iid: takes no value, got '3'");
  EXPECT_EQ(refusal("iid", 51), "train.batch_size: 51 samples, expected 1 to 50 (the training set)");
  EXPECT_EQ(refusal("iid", 0), "train.batch_size: 0 samples, expected 1 to 50 (the training set)");
  EXPECT_EQ(refusal("domain", 8),
            "sampler.kind: domain: the samples are in no domains, expected a list of them as data.domains");
  EXPECT_EQ(
      refusal("group", 8),
      "sampler.kind: group: the samples are in no groups, expected a CSV file with the columns index and "
      "group as data.groups");
  const std::string labels = "expected the number of labels in a batch, 1 to 5, such as pk:2";
  EXPECT_EQ(refusal("pk", 8), "sampler.kind: pk: '', " + labels);
  EXPECT_EQ(refusal("pk:6", 6), "sampler.kind: pk: '6', " + labels);
  EXPECT_EQ(refusal("pk:2x", 8), "sampler.kind: pk: '2x', " + labels);
  EXPECT_EQ(refusal("pk:3", 8), "sampler.kind: pk:3: a batch of 8 samples does not divide into 3 labels");
  for (const char* spec : {"dirichlet", "dirichlet:0", "dirichlet:-1", "dirichlet:nan", "dirichlet:1e9"}) {
    EXPECT_NE(refusal(spec, 8).find("expected the concentration, above 0 and at most"), std::string::npos)
        << spec;
  }
}

TEST(LabelSkew, IsEntropyAndDivergenceInBits) {
  const LabelSkew skew(even_labels(40, 4));
  // Two labels, half and half, of four equal ones: 1 bit, and 1 bit missing.
  const Skew two = skew.of(Indices{0, 4, 1, 5});
  EXPECT_DOUBLE_EQ(two.entropy, 1);
  EXPECT_DOUBLE_EQ(two.divergence, 1);
  const Skew all = skew.of(Indices{0, 1, 2, 3});
  EXPECT_DOUBLE_EQ(all.entropy, 2);
  EXPECT_NEAR(all.divergence, 0, 1e-15);
  const Skew one = skew.of(Indices{2, 6});
  EXPECT_EQ(one.entropy, 0);
  EXPECT_DOUBLE_EQ(one.divergence, 2);
  // Labels of unlike shares, 3/4 and 1/4: log2(4/3) where a batch has the frequent one alone.
  EXPECT_DOUBLE_EQ(LabelSkew({7, 7, 7, 9}).of(Indices{0, 1}).divergence, std::log2(4.0 / 3));
}

TEST(CountUses, CountsEachSample) {
  const auto sampler = make_sampler("iid", {even_labels(50, 5)}, 8, 1);
  const Uses epoch = count_uses(*sampler, {6, 1}, 50, 6);
  EXPECT_EQ(epoch.least, 0);
  EXPECT_EQ(epoch.most, 1);
  EXPECT_EQ(epoch.never, 2);
  EXPECT_DOUBLE_EQ(epoch.mean, 48.0 / 50);
  EXPECT_EQ(count_uses(*sampler, {6, 1}, 50, 7).most, 2) << "the first batch of the second epoch";
}

}  // namespace
}  // namespace refnorm::data
