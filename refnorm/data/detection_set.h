#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include <refnorm/base/instance_mask.h>
#include <refnorm/data/coco_instances.h>
#include <refnorm/data/found_unreadable.h>
#include <refnorm/data/image_folder.h>
#include <refnorm/data/whole_look.h>

namespace refnorm::data {

struct DetectionOptions {
  /// Of a picture: the shorter side after resizing, as long as the longer one does not exceed `long_side`.
  std::int64_t short_side = 800, long_side = 1333;
  std::int64_t multiple = 32;  ///< a batch's height and width are multiples of it
  double flip = 0.5;           ///< the chance in training that a picture is mirrored
  PictureLook look;            ///< mean, deviation, channels_last
  std::uint64_t seed = 0;      ///< of what training changes at random
  /// Pictures in which nothing is annotated, or crowds alone. kDrop: they are not in the set.
  enum class Empty { kKeep, kDrop } empty = Empty::kKeep;
  /// kStop: a problem of the annotations is a UserError, and so is a picture that cannot be read or is not of
  /// the size that they say. kSkip: annotations with a problem are left out; such a picture is a missing one
  /// of its batch.
  OnError on_error = OnError::kStop;
};

struct PictureSize {
  std::int64_t height = 0, width = 0;

  bool operator==(const PictureSize&) const = default;
};

/// The size that a picture is resized to: both sides by one factor, each rounded, at least 1.
PictureSize resized(const PictureSize& size, std::int64_t short_side, std::int64_t long_side);

/// What is to be found in a picture of a batch. Of n objects, in the file's order:
struct DetectionTargets {
  torch::Tensor boxes;   ///< [n, 4] float32: x1, y1, x2, y2 in the batch's picture, cut off at its border
  torch::Tensor labels;  ///< [n] int64: 1 … K, by rising category id
  torch::Tensor crowd;   ///< [n] bool
  /// In the file's picture; crop_mask(*mask, place, box, …) is the mask within a box of the batch's picture.
  std::vector<std::shared_ptr<const InstanceMask>> masks;
  Placement place;       ///< from the file's picture to the batch's
  PictureSize original;  ///< of the file's picture
  PictureSize size;      ///< of the batch's picture: its top left part
  std::int64_t image_id = 0;
};

struct DetectionBatch {
  /// [N, 3, H, W] float32, normalized; zeros beside and below each picture.
  torch::Tensor images;
  std::vector<DetectionTargets> targets;  ///< of each picture
  std::vector<std::int64_t> indices;      ///< likewise
  /// Places in the batch, rising, whose picture cannot be read, in a set that passes over such.
  std::vector<std::int64_t> missing;
};

/// Pictures with the objects in them. Batches may be made in several threads at once.
class DetectionSet {
 public:
  /// `pictures` is the folder of the files. Throws UserError naming `origin`, the annotations' file, by
  /// on_error, and where the set is empty; and for sizes that cannot be.
  DetectionSet(CocoInstances instances, std::filesystem::path pictures, DetectionOptions options,
               const std::string& origin);

  std::int64_t size() const { return static_cast<std::int64_t>(images_.size()); }
  const CocoInstances& instances() const { return *instances_; }
  const CocoImage& image(std::int64_t index) const;
  /// K: labels are 1 … K, and 0 is the background.
  std::int64_t classes() const { return static_cast<std::int64_t>(instances_->categories.size()); }
  const CocoCategory& category(std::int64_t label) const;
  /// For each picture 1 where it is wider than high, else 0: pictures of one kind fill their batch better.
  std::vector<std::int64_t> orientations() const;

  /// As evaluation sees them.
  DetectionBatch batch(std::span<const std::int64_t> indices) const;
  /// As training sees them in that epoch: each picture perhaps mirrored, by a draw that depends on seed,
  /// epoch and index alone.
  DetectionBatch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const;
  /// The pictures found unreadable so far; by name (FOLDER/FILE, the folder's last part), none twice.
  std::vector<Unreadable> unreadable() const { return unreadable_.list(); }
  /// Takes up what another process has found of the same set.
  void add_unreadable(const std::vector<Unreadable>& found) const;
  /// The folder of the files.
  const std::filesystem::path& pictures() const { return pictures_; }
  /// instances() without the pictures found unreadable so far: what can be evaluated.
  std::shared_ptr<const CocoInstances> readable() const;

 private:
  struct Entry {
    std::int64_t image = 0;  ///< its place in instances_->images
    std::vector<const CocoAnnotation*> annotations;
  };

  /// What unreadable() calls it.
  std::string name_of(const CocoImage& image) const;
  DetectionBatch filled(std::span<const std::int64_t> indices, const std::vector<bool>& mirrored,
                        std::int64_t margin) const;
  DetectionTargets targets_of(std::int64_t index, bool mirrored) const;
  bool fill(std::int64_t index, const DetectionTargets& targets, std::int64_t margin, Workspace& workspace,
            const Canvas& out) const;

  std::shared_ptr<const CocoInstances> instances_;
  std::filesystem::path pictures_;
  DetectionOptions options_;
  std::vector<Entry> images_;
  FoundUnreadable unreadable_;
};

/// Reads the annotations, too.
std::shared_ptr<const DetectionSet> load_detection_set(const std::filesystem::path& annotations,
                                                       const std::filesystem::path& pictures,
                                                       const DetectionOptions& options);

}  // namespace refnorm::data
