#include <gtest/gtest.h>

#include <refnorm/data/sampler.h>

namespace refnorm::data {
namespace {

TEST(StepPlan, LaysStepsOneBehindTheOtherAndLeavesTheRestOfAnEpochOut) {
  const StepPlan plan{7, 2};
  EXPECT_EQ(plan.steps_per_epoch(), 3);
  EXPECT_EQ(plan.steps(4), 12);
  EXPECT_EQ(plan.place(4).epoch, 1);
  EXPECT_EQ(plan.place(4).batch, 2);
  EXPECT_FALSE(plan.ends_epoch(2));
  EXPECT_TRUE(plan.ends_epoch(3));
  EXPECT_EQ(plan.batches_before(5), 10);
  EXPECT_EQ(plan.as_if_unchanged(5), 5);
}

// 10 batches an epoch: 3 steps of 2 batches, then steps of 3 from batch 6 on: one in this epoch (6, 7, 8; 9
// does not fill one), three in each later one.
TEST(StepPlan, GoesOnFromWhereItStandsWithOtherSteps) {
  StepPlan plan{10, 2};
  plan.change(3, 3);
  EXPECT_EQ(plan.place(2).batch, 4);
  EXPECT_EQ(plan.place(2).per_step, 2);
  EXPECT_EQ(plan.place(3).epoch, 0);
  EXPECT_EQ(plan.place(3).batch, 6);
  EXPECT_EQ(plan.place(3).per_step, 3);
  EXPECT_EQ(plan.place(4).epoch, 1);
  EXPECT_EQ(plan.place(4).batch, 0);
  EXPECT_EQ(plan.place(6).batch, 6);
  EXPECT_TRUE(plan.ends_epoch(4));
  EXPECT_TRUE(plan.ends_epoch(7));
  EXPECT_FALSE(plan.ends_epoch(3));
  EXPECT_EQ(plan.steps(1), 4);
  EXPECT_EQ(plan.steps(3), 10);
  EXPECT_EQ(plan.batches_before(4), 3 * 2 + 3);
  // Batch 6 of 10 is where the third of three steps of 3 begins.
  EXPECT_EQ(plan.as_if_unchanged(3), 2);
  EXPECT_EQ(plan.as_if_unchanged(5), 4);
}

TEST(StepPlan, BeginsTheNextEpochWhereTheRestFillsNoStep) {
  StepPlan plan{10, 2};
  plan.change(4, 4);  // batches 8 and 9 are left
  EXPECT_EQ(plan.place(4).epoch, 1);
  EXPECT_EQ(plan.place(4).batch, 0);
  EXPECT_EQ(plan.steps(2), 6);
  // Twice at the same step, as by a run that was stopped at once.
  plan.change(4, 5);
  EXPECT_EQ(plan.place(4).batch, 0);
  EXPECT_EQ(plan.place(4).per_step, 5);
  EXPECT_EQ(plan.batches_before(5), 8 + 5);
  // At the end of the last epoch, nothing is left.
  StepPlan done{10, 2};
  done.change(5, 3);
  EXPECT_EQ(done.steps(1), 5);
}

}  // namespace
}  // namespace refnorm::data
