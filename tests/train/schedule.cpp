#include <gtest/gtest.h>

#include <refnorm/train/schedule.h>

namespace refnorm::train {
namespace {

TEST(Schedule, ConstantStays) {
  const Schedule schedule{.kind = "constant", .lr = 0.3, .epochs = 5, .steps_per_epoch = 10};
  EXPECT_DOUBLE_EQ(schedule.at(0), 0.3);
  EXPECT_DOUBLE_EQ(schedule.at(49), 0.3);
}

TEST(Schedule, MultistepFallsAfterEachMilestone) {
  const Schedule schedule{.kind = "multistep",
                          .lr = 1,
                          .milestones = {2, 3, 100},
                          .gamma = 0.1,
                          .epochs = 5,
                          .steps_per_epoch = 10};
  EXPECT_DOUBLE_EQ(schedule.at(19), 1);
  EXPECT_DOUBLE_EQ(schedule.at(20), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at(29), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at(30), 0.01);
}

// Half a cosine from 1 to 0.2 over 40 steps: the middle at step 20, a quarter (cos(pi/4) = 0.7071) at
// step 10.
TEST(Schedule, CosineFallsToItsEnd) {
  const Schedule schedule{.kind = "cosine", .lr = 1, .final_lr = 0.2, .epochs = 4, .steps_per_epoch = 10};
  EXPECT_DOUBLE_EQ(schedule.at(0), 1);
  EXPECT_NEAR(schedule.at(20), 0.6, 1e-12);
  EXPECT_NEAR(schedule.at(10), 0.2 + 0.8 * (1 + 0.70710678118654752) / 2, 1e-12);
  EXPECT_GT(schedule.at(39), 0.2);
  EXPECT_NEAR(schedule.at(40), 0.2, 1e-12);
}

// 0.5 epochs of 8 steps: 4 warm-up steps at 1/5 … 4/5 of the rate, the full rate from step 4 on.
TEST(Schedule, WarmUpRisesLinearly) {
  const Schedule schedule{
      .kind = "constant", .lr = 10, .warmup_epochs = 0.5, .epochs = 2, .steps_per_epoch = 8};
  for (int step = 0; step < 4; ++step) EXPECT_NEAR(schedule.at(step), 2 * (step + 1), 1e-12);
  EXPECT_DOUBLE_EQ(schedule.at(4), 10);
  const Schedule cosine{.kind = "cosine", .lr = 10, .warmup_epochs = 1, .epochs = 3, .steps_per_epoch = 8};
  EXPECT_DOUBLE_EQ(cosine.at(8), 10) << "the cosine begins where the warm-up ends";
  EXPECT_NEAR(cosine.at(16), 5, 1e-12);
}

}  // namespace
}  // namespace refnorm::train
