#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <refnorm/data/corruption.h>
#include <refnorm/metrics/classification.h>
#include <refnorm/train/attack.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using torch::Tensor;

/// One pixel of value v and two classes with the scores w v and 0: class 0 is told from class 1 by v > 0. The
/// gradient of the loss by v is w (p - 1) < 0 for class 0 and w p > 0 for class 1, p being class 0's share,
/// so an attack lowers the pixels of class 0 and raises those of class 1.
struct OneWeight : torch::nn::Module {
  OneWeight() { weight = register_parameter("weight", torch::full({1}, 3.0)); }
  Tensor forward(const Tensor& images) const {
    const Tensor score = images.flatten(1).sum(1) * weight;
    return torch::stack({score, torch::zeros_like(score)}, 1);
  }
  Tensor weight;
};

train::Network network_of(const std::shared_ptr<OneWeight>& model) {
  return {model, [model](const Tensor& images) { return model->forward(images); }};
}

/// Pixels p in 0 ... 1, as values (p - 0.5) / 0.25.
const data::PixelScale kScale{{0.5F}, {0.25F}};

class Pixels : public data::ImageSet {
 public:
  Pixels(std::vector<float> pixels, std::vector<std::int64_t> labels)
      : pixels_(std::move(pixels)), labels_(std::move(labels)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(pixels_.size()); }
  std::int64_t label(std::int64_t index) const override { return labels_[static_cast<std::size_t>(index)]; }
  data::Batch batch(std::span<const std::int64_t> indices) const override {
    std::vector<float> pixels;
    std::vector<std::int64_t> labels;
    for (const std::int64_t i : indices) {
      pixels.push_back(pixels_[static_cast<std::size_t>(i)]);
      labels.push_back(label(i));
    }
    const auto n = static_cast<std::int64_t>(pixels.size());
    return {kScale.values(torch::tensor(pixels).reshape({n, 1, 1, 1})), torch::tensor(labels)};
  }
  std::int64_t channels() const override { return 1; }
  std::int64_t side() const override { return 1; }
  const std::vector<std::string>& class_names() const override { return names_; }
  data::PixelScale pixel_scale() const override { return kScale; }

 private:
  std::vector<float> pixels_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> names_{"above", "below"};
};

Tensor attack(const std::vector<float>& pixels, const std::vector<std::int64_t>& labels, train::Attack how) {
  const Pixels set(pixels, labels);
  std::vector<std::int64_t> all(pixels.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const auto model = std::make_shared<OneWeight>();
  const Tensor found = attacked(network_of(model), set.batch(all), kScale, how);
  EXPECT_FALSE(model->weight.grad().defined());
  return kScale.pixels(found).flatten();
}

TEST(Attack, OneStepMovesEveryPixelByTheStrengthAgainstItsClass) {
  const Tensor found = attack({0.7F, 0.7F, 0.05F, 0.95F}, {0, 1, 0, 1}, {0.1, 1});
  // The last two meet the ends of the range.
  EXPECT_TRUE(torch::allclose(found, torch::tensor({0.6F, 0.8F, 0.0F, 1.0F}), 1e-6, 1e-6)) << found;
}

TEST(Attack, SeveralStepsStayWithinTheStrength) {
  // Steps of 2.5 * 0.1 / 4 = 0.0625: two of them reach the strength, and the others stay there.
  const Tensor found = attack({0.7F, 0.3F}, {0, 1}, {0.1, 4});
  EXPECT_TRUE(torch::allclose(found, torch::tensor({0.6F, 0.4F}), 1e-6, 1e-6)) << found;
}

TEST(Attack, TheErrorOfAnAttackedSet) {
  // Above 0.5 is class 0. By 0.1 it takes those within 0.1 of 0.5: the second and the third of the first
  // four.
  const Pixels set({0.9F, 0.55F, 0.45F, 0.1F, 0.51F}, {0, 0, 1, 1, 0});
  const auto model = std::make_shared<OneWeight>();
  const auto error = [&](double strength) {
    return evaluate_attacked(network_of(model), set, 4, Statistics::kByMode, {strength, 1}, {}).error_pct();
  };
  EXPECT_EQ(error(0.001), 0);
  EXPECT_EQ(error(0.1), 50);
  EXPECT_TRUE(model->is_training()) << "put back";
}

TEST(ErrorsByPart, TheWorstClassOverBatches) {
  metrics::ErrorsByPart errors;
  EXPECT_FALSE(errors.worst());
  const auto add = [&](const std::vector<std::int64_t>& found, const std::vector<std::int64_t>& labels) {
    errors.add(torch::one_hot(torch::tensor(found), 4), torch::tensor(labels), torch::tensor(labels));
  };
  add({0, 1, 1, 2}, {0, 1, 2, 2});  // one of two of class 2 is wrong
  add({1, 0, 2}, {1, 1, 2});  // and one of three of class 1, and now one of three of class 2; 3 has none
  add({2, 2}, {2, 2});
  ASSERT_TRUE(errors.worst());
  EXPECT_EQ(errors.worst()->part, 1);
  EXPECT_NEAR(errors.worst()->error_pct, 100.0 / 3, 1e-12);
}

TEST(ErrorsByPart, PartsThatAreNoClasses) {
  metrics::ErrorsByPart errors;
  const torch::Tensor scores = torch::one_hot(torch::tensor({0, 1, 1, 0}), 2);
  // Right, wrong, right, wrong; in the parts 2, 2, 0, 5.
  errors.add(scores, torch::tensor({0, 0, 1, 1}), torch::tensor({2, 2, 0, 5}));
  EXPECT_EQ(errors.error_pct(0), 0);
  EXPECT_EQ(errors.error_pct(1), std::nullopt);
  EXPECT_EQ(errors.error_pct(2), 50);
  EXPECT_EQ(errors.error_pct(5), 100);
  EXPECT_EQ(errors.error_pct(6), std::nullopt);
}

TEST(Corruption, TheChangeOfEachPicture) {
  const auto set = std::make_shared<Pixels>(std::vector<float>{0.2F, 0.9F}, std::vector<std::int64_t>{0, 1});
  const std::vector<std::int64_t> both{1, 0};
  const auto pixels = [&](const std::string& spec) {
    const data::Batch batch = data::corrupted(set, spec)->batch(both);
    EXPECT_TRUE(batch.labels.equal(torch::tensor({1, 0})));
    return kScale.pixels(batch.images).flatten();
  };
  EXPECT_TRUE(torch::allclose(pixels("inverted:1"), torch::tensor({0.1F, 0.8F}), 1e-6, 1e-6));
  EXPECT_TRUE(torch::allclose(pixels("inverted:0.5"), torch::tensor({0.5F, 0.5F}), 1e-6, 1e-6));
  EXPECT_TRUE(torch::allclose(pixels("rotated:2"), torch::tensor({0.9F, 0.2F}), 1e-6, 1e-6));
  EXPECT_TRUE(torch::allclose(pixels("blurred:1"), torch::tensor({0.9F, 0.2F}), 1e-6, 1e-6));
  EXPECT_TRUE(pixels("noisy:0.3").equal(pixels("noisy:0.3"))) << "the same at every reading";
  EXPECT_FALSE(pixels("noisy:0.3").equal(pixels("noisy:0")));
}

TEST(Corruption, WrongWords) {
  const auto set = std::make_shared<Pixels>(std::vector<float>{0.2F}, std::vector<std::int64_t>{0});
  const auto error = [&](const std::string& spec) {
    return testing::user_error_of([&] { data::corrupted(set, spec); });
  };
  EXPECT_EQ(error("nosy:0.3"), "measure.corruptions: 'nosy:0.3' is not known, did you mean 'noisy'?");
  for (const char* spec : {"noisy", "noisy:", "noisy:x", "noisy:-1", "inverted:2", "blurred:0", "noisy:nan"})
    EXPECT_TRUE(testing::contains(error(spec), "expected a strength of")) << spec;
  EXPECT_TRUE(testing::contains(error("rotated:0.5"), "whole quarter turns"));
}

}  // namespace
}  // namespace refnorm
