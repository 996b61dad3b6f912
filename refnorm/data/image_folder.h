#pragma once

#include <cstdint>
#include <filesystem>

#include <refnorm/data/augmentation.h>
#include <refnorm/data/image_set.h>
#include <refnorm/data/picture_look.h>

namespace refnorm::data {

enum class OnError { kStop, kSkip };

struct FolderOptions {
  PictureLook look;
  Augmentation augmentation;
  std::uint64_t seed = 0;  ///< of what training changes at random
  /// kStop: a picture that cannot be read is a UserError that names it. kSkip: it is a missing one of its
  /// batch and in unreadable(). A file that cannot be opened is an error in any case: it is no bad picture.
  OnError on_error = OnError::kStop;
};

/// ImageNet's layout: PATH/train/CLASS/PICTURE and PATH/val/CLASS/PICTURE, the latter being the test set.
/// Only names are held in memory. A sample's changes in training depend on seed, epoch and its index among
/// all training pictures. Throws UserError where a folder is missing or has no classes, a class has no
/// pictures, or the two have other classes (FolderIndex), and for looks that cannot be.
TrainAndTest load_image_folder(const std::filesystem::path& path, const FolderOptions& options);

}  // namespace refnorm::data
