#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/data/loader.h>

#include "tests/data/folders.h"
#include "tests/data/numbers.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;
using Missing = BatchOrder::Missing;

/// Numbers whose samples in training are 1000 · epoch greater; making some of them is slow or fails.
class Probed : public Numbers {
 public:
  using Numbers::Numbers;
  Batch batch(std::span<const std::int64_t> indices) const override {
    const int now = ++making_;
    most_at_once_ = std::max(most_at_once_.load(), now);
    ++made_;
    if (indices[0] == slow) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    --making_;
    if (indices[0] == failing) user_error("sample {} fails", failing);
    Batch batch = Numbers::batch(indices);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (!unreadable_ones.contains(indices[i])) continue;
      batch.missing.push_back(static_cast<std::int64_t>(i));
      batch.images[static_cast<std::int64_t>(i)].zero_();
    }
    return batch;
  }
  Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const override {
    Batch found = batch(indices);
    found.images += 1000 * epoch;
    return found;
  }
  int made() const { return made_; }
  int most_at_once() const { return most_at_once_; }

  std::int64_t slow = -1, failing = -1;
  std::set<std::int64_t> unreadable_ones;

 private:
  mutable std::atomic<int> making_ = 0, most_at_once_ = 0, made_ = 0;
};

Loader::Plan in_order(std::int64_t batch_size, std::optional<std::int64_t> epoch = std::nullopt) {
  return [=](std::int64_t place) {
    BatchOrder order{{}, epoch};
    for (std::int64_t i = 0; i < batch_size; ++i) order.indices.push_back(place * batch_size + i);
    return order;
  };
}

TEST(Loaders, BringBatchesInOrder) {
  for (const std::int64_t workers : {0, 1, 4}) {
    Probed set(200);
    set.slow = 20;  // others overtake it
    Loader loader(set, 20, in_order(10, 2), workers);
    for (std::int64_t place = 0; place < 20; ++place) {
      const auto batch = loader.next();
      ASSERT_TRUE(batch);
      EXPECT_EQ(batch->indices, in_order(10)(place).indices);
      EXPECT_EQ(batch->images[3].item<float>(), static_cast<float>(2000 + 10 * place + 3));
      EXPECT_EQ(batch->labels[3].item<std::int64_t>(), 3);
    }
    EXPECT_FALSE(loader.next());
    EXPECT_FALSE(loader.next());
    EXPECT_EQ(set.made(), 20);
  }
}

TEST(Loaders, WorkAheadButNotFar) {
  Probed set(1000);
  Loader loader(set, 100, in_order(10), 2);
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(set.made(), 1 + 3) << "workers + 1 beside the one in use";
  Probed idle(1000);
  Loader none(idle, 100, in_order(10), 0);
  none.next();
  EXPECT_EQ(idle.made(), 1);
}

TEST(Loaders, ThrowInTheirTurn) {
  for (const std::int64_t workers : {0, 3}) {
    Probed set(100);
    set.failing = 20;
    Loader loader(set, 10, in_order(10), workers);
    loader.next();
    loader.next();
    EXPECT_EQ(user_error_of([&] { loader.next(); }), "sample 20 fails");
    EXPECT_EQ(loader.next()->indices[0], 30) << "what comes behind it is there";
  }
}

TEST(Loaders, EndBeforeTheirBatchesDo) {
  for (int i = 0; i < 50; ++i) {
    Probed set(100000);
    Loader loader(set, 10000, in_order(10), 4);
    for (int taken = 0; taken < i % 5; ++taken) loader.next();
  }
  Probed set(10);
  Loader nothing(set, 0, in_order(10), 3);
  EXPECT_FALSE(nothing.next());
}

TEST(Loaders, PutOthersInThePlaceOfMissingSamples) {
  Probed set(40);  // sample i has label i mod 10
  set.unreadable_ones = {3, 13};
  BatchOrder order{{5, 3, 23, 1}, 1};
  LoadedBatch batch = load_batch(set, order);
  // The next with label 3 is 13, which cannot be read, then 23, which is in the batch.
  EXPECT_EQ(batch.indices, (std::vector<std::int64_t>{5, 33, 23, 1}));
  EXPECT_EQ(batch.images[1].item<float>(), 1033);
  EXPECT_EQ(batch.labels[1].item<std::int64_t>(), 3);
  // Behind the last comes the first.
  set.unreadable_ones = {38};
  EXPECT_EQ(load_batch(set, {{38}, {}}).indices, (std::vector<std::int64_t>{8}));
  // None of the label is free: one that is in the batch already.
  set.unreadable_ones = {3, 13, 33};
  EXPECT_EQ(load_batch(set, {{3, 23}, {}}).indices, (std::vector<std::int64_t>{23, 23}));
  // None of the label at all: any.
  set.unreadable_ones = {3, 13, 23, 33, 4};
  batch = load_batch(set, {{3}, {}});
  EXPECT_EQ(batch.indices, (std::vector<std::int64_t>{5}));
  EXPECT_EQ(batch.labels[0].item<std::int64_t>(), 5);
  for (std::int64_t i = 0; i < 40; ++i) set.unreadable_ones.insert(i);
  EXPECT_EQ(user_error_of([&] { load_batch(set, {{3}, {}}); }), "none of 40 pictures can be read");
}

TEST(Loaders, LeaveMissingSamplesOutOfEvaluation) {
  for (const std::int64_t workers : {0, 2}) {
    Probed set(25);
    set.unreadable_ones = {1, 4, 10, 11, 12, 13, 14, 24};
    Loader loader = evaluation_loader(set, 25, 5, workers);
    EXPECT_EQ(loader.next()->indices, (std::vector<std::int64_t>{0, 2, 3}));
    EXPECT_EQ(loader.next()->indices, (std::vector<std::int64_t>{5, 6, 7, 8, 9}));
    const auto batch = loader.next();  // that of 10 … 14 has nothing
    EXPECT_EQ(batch->indices, (std::vector<std::int64_t>{15, 16, 17, 18, 19}));
    EXPECT_EQ(batch->images[0].item<float>(), 15);
    EXPECT_EQ(loader.next()->indices.size(), 4U);
    EXPECT_FALSE(loader.next());
    for (std::int64_t i = 0; i < 25; ++i) set.unreadable_ones.insert(i);
    Loader nothing = evaluation_loader(set, 25, 5, workers);
    EXPECT_EQ(user_error_of([&] { nothing.next(); }), "none of 25 pictures can be read");
  }
}

TEST(Loaders, AnyNumberOfWorkersGivesTheSameBits) {
  ::testing::internal::CaptureStderr();
  const TemporaryFolder folder;
  put_pictures(folder, 12);
  put(folder, "train/b/3.png", "no picture");
  const auto all = load_image_folder(folder.path(), small_looks(OnError::kSkip)).train;
  const Splits splits = hold_out(all, all, 6);
  const auto batches_of = [&](std::int64_t workers) {
    std::vector<torch::Tensor> images;
    Loader loader(
        *splits.train, 24,
        [&](std::int64_t place) {
          BatchOrder order{{}, place / 6};
          for (std::int64_t i = 0; i < 5; ++i) order.indices.push_back(place % 6 * 5 + i);
          return order;
        },
        workers);
    while (const auto batch = loader.next()) images.push_back(batch->images);
    return torch::cat(images);
  };
  const torch::Tensor alone = batches_of(0);
  EXPECT_EQ(alone.size(0), 24 * 5);
  EXPECT_TRUE(torch::equal(batches_of(1), alone));
  EXPECT_TRUE(torch::equal(batches_of(4), alone));
  ::testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace refnorm::data
