// Generated data sets with the figures that COCO's own tools (pycocotools) give for them: small ones, crowds,
// ties between scores, sparse categories, and more than a hundred objects and detections in a picture.
#include <gtest/gtest.h>

#include <refnorm/experiment/evaluate_detections.h>

namespace refnorm::experiment {
namespace {

class ReferenceCases : public ::testing::TestWithParam<std::tuple<const char*, const char*, int>> {};

TEST_P(ReferenceCases, AllFiguresAreTheSame) {
  const auto [name, kind, threads] = GetParam();
  const std::string folder = std::string(REFNORM_COCO_CASES) + "/" + name;
  const Json found = evaluate_detection_files(
      {folder + "/instances.json", folder + "/detections_" + kind + ".json", threads, true});
  const Json expected = read_json(folder + "/expected.json").at(kind);
  ASSERT_EQ(expected.at("names").size(), 12U);
  for (std::size_t i = 0; i < 12; ++i) {
    const std::string figure = expected.at("names")[i];
    EXPECT_NEAR(found.at(kind).at(figure).get<double>(), expected.at("values")[i].get<double>(), 1e-9)
        << figure;
  }
  const Json& categories = found.at(kind).at("categories");
  EXPECT_EQ(categories.size(), expected.at("AP_per_category").size());
  for (const Json& one : categories) {
    // Null stands for a category without objects.
    const Json& value = expected.at("AP_per_category").at(std::to_string(one.at("id").get<int>()));
    EXPECT_NEAR(one.at("AP").get<double>(), value.is_null() ? -1 : value.get<double>(), 1e-9) << one.at("id");
  }
}

INSTANTIATE_TEST_SUITE_P(Coco, ReferenceCases,
                         ::testing::Combine(::testing::Values("small", "crowds", "ties", "sparse", "many"),
                                            ::testing::Values("bbox", "segm"), ::testing::Values(1, 3)));

}  // namespace
}  // namespace refnorm::experiment
