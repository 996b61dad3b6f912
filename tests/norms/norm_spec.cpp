#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/norms/reference_batch_norm.h>

#include "tests/support/tensors.h"

namespace refnorm {
namespace {

using refnorm::testing::message_of;

std::string parse_error(const std::string& text) {
  return message_of<UserError>([&] { NormSpec::parse(text); });
}

TEST(NormSpec, IsWrittenAsItIsRead) {
  for (const char* text : {"none", "bn", "bn:eps=1e-3,plain", "rbn", "rbn:fixed", "rbn:live,weight=0.1",
                           "rbn:every=50,variance=mixture", "gn:16", "gn:2,eps=1e-3", "ghost:8", "vbn",
                           "brn:r_max=2,warmup=100", "sn", "in:plain", "frozen_bn"}) {
    EXPECT_EQ(NormSpec::parse(text).to_string(), text);
  }
}

TEST(NormSpec, TakesABareNumberForWhatItIsCalledBy) {
  EXPECT_EQ(NormSpec::parse("gn:16"), NormSpec::parse("gn:groups=16"));
  EXPECT_EQ(NormSpec::parse("ghost:size=4").to_string(), "ghost:4");
  EXPECT_EQ(parse_error("bn:16"),
            "norm: bn: option '16' is not known; known are: eps, plain, momentum, cumulative");
}

TEST(NormSpec, IsWrittenAndReadAsToml) {
  EXPECT_EQ(NormSpec::parse("rbn:live,weight=0.1").to_toml(),
            "{ kind = \"rbn\", live = true, weight = 0.1 }");
  EXPECT_EQ(NormSpec::parse("rbn:variance=mixture").to_toml(), "{ kind = \"rbn\", variance = \"mixture\" }");
  EXPECT_EQ(NormSpec::parse("gn:16").to_toml(), "{ kind = \"gn\", groups = 16 }");
  for (const char* text : {"none", "rbn:live,weight=0.1", "gn:16", "brn:r_max=2,warmup=100",
                           "bn:eps=1e-3,plain", "rbn:every=50,variance=mixture"}) {
    const NormSpec spec = NormSpec::parse(text);
    // A table has no order: the options are compared as a set.
    NormSpec read = NormSpec::from_toml(spec.to_toml());
    NormSpec sorted = spec;
    std::sort(read.options.begin(), read.options.end());
    std::sort(sorted.options.begin(), sorted.options.end());
    EXPECT_EQ(read.kind, sorted.kind);
    ASSERT_EQ(read.options.size(), sorted.options.size()) << text;
    for (std::size_t i = 0; i < read.options.size(); ++i)
      EXPECT_EQ(read.options[i].first, sorted.options[i].first);
    make_norm(read, 16, 2);
  }
  EXPECT_EQ(NormSpec::from_toml("{ kind = 'rbn', live = false, weight = 0.25 }"),
            NormSpec::parse("rbn:weight=0.25"));
}

TEST(NormSpec, SaysWhatIsWrongWithToml) {
  const auto error = [](const char* text) {
    return message_of<UserError>([&] { NormSpec::from_toml(text); });
  };
  EXPECT_NE(error("{ kind = ").find("is no TOML table"), std::string::npos);
  EXPECT_NE(error("3").find("is no TOML table"), std::string::npos);
  EXPECT_NE(error("{ weight = 0.1 }").find("has no kind"), std::string::npos);
  EXPECT_EQ(error("{ kind = 'rbn', wieght = 0.1 }"),
            "norm: rbn: option 'wieght' is not known, did you mean 'weight'?");
  EXPECT_EQ(error("{ kind = 'gn', groups = [1] }"),
            "norm: gn: 'groups' is a list or a table, expected one value");
}

TEST(NormSpec, KnowsThePaperFamily) {
  std::vector<std::string> names;
  for (const NormKind& kind : norm_kinds()) names.push_back(kind.name);
  EXPECT_EQ(names, (std::vector<std::string>{"none", "bn", "rbn", "brn", "ln", "in", "gn", "sn", "frozen_bn",
                                             "ghost", "vbn"}));
}

TEST(NormSpec, NamesGroupsThatWouldDivide) {
  EXPECT_EQ(
      message_of<UserError>([] { make_norm(NormSpec::parse("gn"), 30, 2); }),
      "group_norm: 30 channels do not divide into 32 groups, expected one of 1, 2, 3, 5, 6, 10, 15, 30");
}

TEST(NormSpec, BecomesTheLayerThatItDescribes) {
  const auto layer = std::dynamic_pointer_cast<ReferenceBatchNormBase>(make_norm(
      NormSpec::parse(
          "rbn:moving,weight=0.25,every=7,variance=mixture,ref_momentum=0.5,eps=0.01,cumulative,plain"),
      6, 2));
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer->options.num_features(), 6);
  EXPECT_EQ(layer->options.reference(), Reference::kMoving);
  EXPECT_EQ(layer->options.reference_weight(), 0.25);
  EXPECT_EQ(layer->options.refresh_every(), 7);
  EXPECT_EQ(layer->options.variance(), VarianceBlend::kMixture);
  EXPECT_EQ(layer->options.reference_momentum(), 0.5);
  EXPECT_EQ(layer->options.eps(), 0.01);
  EXPECT_FALSE(layer->options.momentum().has_value());
  EXPECT_FALSE(layer->options.affine());
  EXPECT_TRUE(layer->has_reference());
}

TEST(NormSpec, KnowsEveryPolicyAndTheDefaults) {
  const auto policy = [](const char* text) {
    return std::dynamic_pointer_cast<ReferenceBatchNormBase>(make_norm(NormSpec::parse(text), 2, 0))->options;
  };
  EXPECT_EQ(policy("rbn").reference(), Reference::kRefreshed);
  EXPECT_EQ(policy("rbn:refreshed").reference(), Reference::kRefreshed);
  EXPECT_EQ(policy("rbn:fixed").reference(), Reference::kFixed);
  EXPECT_EQ(policy("rbn:live").reference(), Reference::kLive);
  EXPECT_EQ(policy("rbn").refresh_every(), 10);
  EXPECT_EQ(policy("rbn").reference_weight(), 0.3);
  EXPECT_EQ(policy("rbn:weight=0.5").reference_weight(), 0.5);
  EXPECT_FALSE(policy("rbn:weight=paper").reference_weight().has_value());
}

TEST(NormSpec, FitsTheLayerToTheInput) {
  const std::vector<std::vector<std::int64_t>> shapes{{4, 3}, {4, 3, 5}, {4, 3, 5, 5}, {4, 3, 5, 5, 5}};
  for (int dims = 0; dims <= 3; ++dims) {
    const auto layer = make_norm(NormSpec::parse("bn"), 3, dims);
    EXPECT_EQ(layer->forward(torch::randn(shapes[static_cast<std::size_t>(dims)])).sizes().vec(),
              shapes[static_cast<std::size_t>(dims)]);
  }
  EXPECT_EQ(make_norm(NormSpec::parse("none"), 3, 2)->parameters().size(), 0U);
}

TEST(NormSpec, SaysWhatIsWrongInOneLine) {
  EXPECT_EQ(parse_error("rbm"), "norm: 'rbm' is not known, did you mean 'rbn'?");
  EXPECT_EQ(parse_error("rbn:fixd"), "norm: rbn: option 'fixd' is not known, did you mean 'fixed'?");
  EXPECT_EQ(parse_error("rbn:weight=2"), "norm: rbn: weight is '2', expected a number from 0 to 1");
  EXPECT_EQ(parse_error("rbn:weight=abc"), "norm: rbn: weight is 'abc', expected a number from 0 to 1");
  EXPECT_EQ(parse_error("rbn:weight=nan"), "norm: rbn: weight is 'nan', expected a number from 0 to 1");
  EXPECT_EQ(parse_error("rbn:every=0"), "norm: rbn: every is '0', expected a whole number of at least 1");
  EXPECT_EQ(parse_error("rbn:fixed,live"), "norm: rbn: 'fixed' and 'live' exclude each other");
  EXPECT_EQ(parse_error("rbn:fixed=1"), "norm: rbn: 'fixed' takes no value");
  EXPECT_EQ(parse_error("rbn:weight=0.1,weight=0.2"), "norm: rbn: 'weight' stands twice");
  EXPECT_EQ(parse_error("rbn:"), "norm: 'rbn:' has an empty option, expected KIND:OPTION,OPTION");
  EXPECT_EQ(parse_error("none:eps=1"), "norm: none: takes no options, got 'eps'");
  EXPECT_EQ(parse_error("rbn:variance=both"), "norm: rbn: variance is 'both', expected linear or mixture");
  EXPECT_THROW(make_norm(NormSpec::parse("bn"), 0, 2), UserError);
}

TEST(NormKinds, EachHasItsFormulaAndSource) {
  for (const NormKind& kind : norm_kinds()) {
    EXPECT_FALSE(kind.formula.empty() || kind.source.empty() || kind.title.empty()) << kind.name;
    EXPECT_NO_THROW(NormSpec::parse(kind.name));
  }
}

}  // namespace
}  // namespace refnorm
