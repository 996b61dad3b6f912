#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <torch/types.h>

namespace refnorm::data {

struct Batch {
  torch::Tensor images;  ///< [N, C, H, W] float32, normalized
  torch::Tensor labels;  ///< [N] int64
  /// Places in the batch, rising, whose picture cannot be read, in a set that passes over such: zeros stand
  /// there. Loader puts others in their place, or leaves them out.
  std::vector<std::int64_t> missing;
};

/// A picture that cannot be read.
struct Unreadable {
  std::string file, why;

  bool operator<(const Unreadable& other) const { return file < other.file; }
};

/// How a batch's values come from pixel values of 0 … 1: (pixel − mean) / deviation, with an entry for each
/// channel or one for all.
struct PixelScale {
  std::vector<float> mean{0}, deviation{1};

  /// Of [C, H, W] or [N, C, H, W].
  torch::Tensor pixels(const torch::Tensor& values) const;
  torch::Tensor values(const torch::Tensor& pixels) const;
};

/// What divides a set besides labels: domains, or groups of the user's own such as cameras, patients or days.
struct Grouping {
  std::string kind;                ///< "domain" or "group", as the sampler of one group a batch is called
  std::vector<std::string> names;  ///< of the groups
};

/// A set of labelled pictures. Batches may be made in several threads at once.
class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual std::int64_t size() const = 0;
  virtual std::int64_t label(std::int64_t index) const = 0;
  /// The samples of these indices as evaluation sees them, in this order and in memory of their own. Indices
  /// must be in 0 … size() − 1.
  virtual Batch batch(std::span<const std::int64_t> indices) const = 0;
  /// As training sees them in that epoch, where that is something else: changed at random, by draws that
  /// depend on epoch and index alone.
  virtual Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const;
  virtual std::int64_t channels() const = 0;
  /// Height and width of the pictures of a batch.
  virtual std::int64_t side() const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;
  virtual PixelScale pixel_scale() const { return {}; }
  /// Null where the samples are not in groups.
  virtual const Grouping* grouping() const { return nullptr; }
  /// The sample's place in grouping()->names. Requires a grouping.
  virtual std::int64_t group(std::int64_t index) const;
  /// The pictures found unreadable so far, of a set that passes over them; by name, none twice.
  virtual std::vector<Unreadable> unreadable() const { return {}; }
};

/// Another set seen in another way: passes through what is not overridden.
class ImageSetView : public ImageSet {
 public:
  explicit ImageSetView(std::shared_ptr<const ImageSet> all) : all_(std::move(all)) {}
  std::int64_t size() const override { return all_->size(); }
  std::int64_t label(std::int64_t index) const override { return all_->label(index); }
  Batch batch(std::span<const std::int64_t> indices) const override { return all_->batch(indices); }
  Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const override {
    return all_->training_batch(indices, epoch);
  }
  std::int64_t channels() const override { return all_->channels(); }
  std::int64_t side() const override { return all_->side(); }
  const std::vector<std::string>& class_names() const override { return all_->class_names(); }
  PixelScale pixel_scale() const override { return all_->pixel_scale(); }
  const Grouping* grouping() const override { return all_->grouping(); }
  std::int64_t group(std::int64_t index) const override { return all_->group(index); }
  std::vector<Unreadable> unreadable() const override { return all_->unreadable(); }

 protected:
  const ImageSet& all() const { return *all_; }

 private:
  std::shared_ptr<const ImageSet> all_;
};

/// The label of each sample.
std::vector<std::int64_t> labels_of(const ImageSet& set);

/// The group of each sample; empty where the set has none.
std::vector<std::int64_t> groups_of(const ImageSet& set);

/// A choice of another set's samples.
std::shared_ptr<const ImageSet> subset(std::shared_ptr<const ImageSet> all,
                                       std::vector<std::int64_t> indices);

/// As a set comes.
struct TrainAndTest {
  std::shared_ptr<const ImageSet> train, test;
};

struct Splits {
  std::shared_ptr<const ImageSet> train, validation, test;
};

/// Takes `validation` samples out of `train`. Which ones is a fixed draw, the same for every seed of a run.
Splits hold_out(std::shared_ptr<const ImageSet> train, std::shared_ptr<const ImageSet> test,
                std::int64_t validation);

/// So many samples of the training set, 0 for all. Which ones is a fixed draw, the same for every seed of a
/// run; a larger number takes the same ones and more.
std::shared_ptr<const ImageSet> limit(std::shared_ptr<const ImageSet> train, std::int64_t samples);

}  // namespace refnorm::data
