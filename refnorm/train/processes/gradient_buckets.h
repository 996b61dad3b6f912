#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/types.h>

#include <refnorm/train/processes/group.h>

namespace refnorm::train {

/// Adds up the gradients of all processes while backward still runs. Parameters lie in buckets, in the
/// reverse of their order, which is about that in which backward gets to them; a bucket's sum is begun as
/// soon as all gradients in it are there and the bucket before it is on its way. Sums are of float32,
/// whatever the gradients are.
///
///     buckets.expect();      // before the last backward pass of a step
///     loss.backward();       // each process's part of the loss
///     buckets.finish();      // from here on, the gradients are those of all processes
///
/// A parameter that got no gradient in any process has none afterwards; one that got it in some counts as 0
/// in the others.
class GradientBuckets {
 public:
  static constexpr std::int64_t kBucketBytes = std::int64_t{25} << 20;
  /// The first bucket, whose sum begins the overlap, is a small one.
  static constexpr std::int64_t kFirstBytes = std::int64_t{1} << 20;

  GradientBuckets(std::shared_ptr<Group> group, const std::vector<torch::Tensor>& parameters,
                  std::int64_t bucket_bytes = kBucketBytes, std::int64_t first_bytes = kFirstBytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  void expect();
  /// Begins what backward did not reach, waits for all sums, and puts them into the gradients' place.
  void finish();

  std::int64_t buckets() const;
  /// Bytes that a step's sums have.
  std::int64_t bytes() const;
  /// Seconds that the last finish() waited: what backward did not hide.
  double waited() const { return waited_; }

 private:
  struct Bucket;
  void arrived(std::size_t bucket);
  void begin_ready(bool all);

  std::shared_ptr<Group> group_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, std::uintptr_t>> hooks_;
  bool expecting_ = false;
  std::size_t begun_ = 0;
  double waited_ = 0;
};

}  // namespace refnorm::train
