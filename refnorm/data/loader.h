#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <refnorm/data/ahead.h>
#include <refnorm/data/image_set.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {

/// What a batch shall be of.
struct BatchOrder {
  std::vector<std::int64_t> indices;
  /// As training sees the samples in this epoch; without: as evaluation does.
  std::optional<std::int64_t> epoch;
  /// What becomes of samples whose picture cannot be read, in a set that passes over such. kReplace: the next
  /// readable sample behind it in the set (after the last comes the first) takes its place, with its label:
  /// one of the same label and group and not in the batch already; where there is none, one of the same
  /// label; then any. So a batch keeps its size, and depends on the order and the files alone. kLeaveOut: the
  /// batch is smaller.
  enum class Missing { kReplace, kLeaveOut } missing = Missing::kReplace;
};

/// Which samples a batch has, counted from 0.
using BatchPlan = std::function<BatchOrder(std::int64_t)>;

struct LoadedBatch {
  torch::Tensor images, labels;       ///< as in Batch; no picture is missing
  std::vector<std::int64_t> indices;  ///< of each row
};

/// Makes one batch. Throws UserError where no sample can take another's place.
LoadedBatch load_batch(const ImageSet& set, const BatchOrder& order);

/// Batch after batch, made ahead of their use by threads. Their number changes when a batch is made, and not
/// what is in it.
class Loader {
 public:
  using Plan = BatchPlan;

  /// `plan` is called in order, in the thread that makes and uses the loader, some batches ahead. `workers`
  /// 0: batches are made in next(). Else they have up to workers + 1 batches in the making or ready, beside
  /// the one that is in use. The set must outlive the loader.
  Loader(const ImageSet& set, std::int64_t batches, Plan plan, std::int64_t workers);

  /// The next batch that has samples; nothing after the last one. What making it threw is thrown here, in its
  /// turn. Throws UserError where none of all has samples.
  std::optional<LoadedBatch> next();

 private:
  const ImageSet& set_;
  bool none_ = true;  ///< no batch has had samples yet
  Ahead<BatchOrder, LoadedBatch> batches_;
};

/// One process's part of batches that are shared by `of` processes: every so many-th, from number `rank` on.
struct Share {
  std::int64_t rank = 0, of = 1;
  /// Of so many batches.
  std::int64_t part(std::int64_t batches) const { return (batches - rank + of - 1) / of; }
};

/// The first `samples` samples in order, as evaluation sees them, so many a batch; what cannot be read is
/// left out.
BatchPlan evaluation_plan(std::int64_t samples, std::int64_t batch_size, Share share = {});

/// How many batches that makes.
std::int64_t evaluation_batches(std::int64_t samples, std::int64_t batch_size, Share share = {});

/// The first `samples` samples of a set in order, as evaluation sees them, so many a batch; what cannot be
/// read is left out.
Loader evaluation_loader(const ImageSet& set, std::int64_t samples, std::int64_t batch_size,
                         std::int64_t workers, Share share = {});

/// The first `batches` batches of a sampler's epoch, or as many as it has, as training sees them. The sampler
/// must outlive the loader.
Loader epoch_loader(const ImageSet& set, Sampler& sampler, std::int64_t epoch, std::int64_t batches,
                    std::int64_t workers, Share share = {});

/// For the batches of training steps from `first_step` on, of each step's batches those of the share, which
/// must divide them.
BatchPlan training_plan(Sampler& sampler, const StepPlan& steps, std::int64_t first_step, Share share = {});

}  // namespace refnorm::data
