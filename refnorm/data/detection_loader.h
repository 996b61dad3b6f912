#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <refnorm/data/ahead.h>
#include <refnorm/data/detection_set.h>
#include <refnorm/data/loader.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {

/// Makes one batch, without missing pictures. In the place of one that cannot be read comes the next behind
/// it in the set (after the last, the first) that is as wide or tall and not in the batch, then any; or it is
/// left out, as the order says: what the batch is depends on the order and the files alone. Throws UserError
/// where none can take another's place.
DetectionBatch load_batch(const DetectionSet& set, const BatchOrder& order);

/// Batch after batch of a detection set, made ahead of their use by threads, as Loader's are.
class DetectionLoader {
 public:
  DetectionLoader(const DetectionSet& set, std::int64_t batches, BatchPlan plan, std::int64_t workers);

  /// The next batch that has pictures; nothing after the last one. What making it threw is thrown here, in
  /// its turn. Throws UserError where none of all has pictures.
  std::optional<DetectionBatch> next();

 private:
  const DetectionSet& set_;
  bool none_ = true;  ///< no batch has had pictures yet
  Ahead<BatchOrder, DetectionBatch> batches_;
};

/// Batches of pictures that are all wider than high, or all not. An epoch uses a picture at most once. Throws
/// UserError where neither kind fills a batch.
std::unique_ptr<Sampler> orientation_sampler(const DetectionSet& set, std::int64_t batch_size,
                                             std::uint64_t seed);

}  // namespace refnorm::data
