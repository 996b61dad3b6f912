#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/random.h>
#include <refnorm/data/folder_index.h>
#include <refnorm/data/found_unreadable.h>
#include <refnorm/data/image_folder.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

class FolderSet : public ImageSet {
 public:
  FolderSet(FolderIndex index, FolderOptions options) : index_(std::move(index)), options_(options) {}

  std::int64_t size() const override { return index_.size(); }
  std::int64_t label(std::int64_t index) const override { return index_.label(index); }
  std::int64_t channels() const override { return 3; }
  std::int64_t side() const override { return options_.look.size; }
  const std::vector<std::string>& class_names() const override { return index_.classes(); }
  PixelScale pixel_scale() const override {
    const PictureLook& look = options_.look;
    return {{look.mean.begin(), look.mean.end()}, {look.deviation.begin(), look.deviation.end()}};
  }
  std::vector<Unreadable> unreadable() const override { return found_.list(); }

  Batch batch(std::span<const std::int64_t> indices) const override {
    return filled(indices, [&](std::int64_t, PictureSource& source, Workspace& workspace, float* out) {
      write_evaluation_look(source, options_.look, workspace, out);
    });
  }

  Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const override {
    const std::uint64_t seed = stream_seed(options_.seed, "augmentation", static_cast<std::uint64_t>(epoch));
    return filled(indices, [&](std::int64_t index, PictureSource& source, Workspace& workspace, float* out) {
      RandomStream random(seed, "sample", static_cast<std::uint64_t>(index));
      write_training_look(source, options_.look, options_.augmentation, random, workspace, out);
    });
  }

 private:
  template <class Write>
  Batch filled(std::span<const std::int64_t> indices, const Write& write) const {
    const PictureLook& look = options_.look;
    const auto count = static_cast<std::int64_t>(indices.size());
    Batch batch{
        torch::empty({count, 3, look.size, look.size}, look.channels_last ? torch::MemoryFormat::ChannelsLast
                                                                          : torch::MemoryFormat::Contiguous),
        torch::empty({count}, torch::kLong),
        {}};
    auto* const values = batch.images.data_ptr<float>();
    auto* const labels = batch.labels.data_ptr<std::int64_t>();
    Workspace workspace;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t index = indices[static_cast<std::size_t>(i)];
      labels[i] = label(index);
      float* const out = values + i * look.values();
      if (fill(index, write, workspace, out)) continue;
      std::fill_n(out, look.values(), 0.0F);
      batch.missing.push_back(i);
    }
    return batch;
  }

  template <class Write>
  bool fill(std::int64_t index, const Write& write, Workspace& workspace, float* out) const {
    const fs::path file = index_.file(index);
    std::string bytes = read_file(file);
    try {
      PictureSource source(std::move(bytes), file.string());
      write(index, source, workspace, out);
    } catch (const UserError& error) {
      if (options_.on_error == OnError::kStop) throw;
      const std::string origin = file.string() + ": ";
      const std::string why = error.what();
      const fs::path part = index_.folder().filename();
      found_.add((part / index_.name(index)).string(),
                 why.starts_with(origin) ? why.substr(origin.size()) : why);
      return false;
    }
    return true;
  }

  FolderIndex index_;
  FolderOptions options_;
  FoundUnreadable found_;
};

void check(const PictureLook& look) {
  if (look.resize < look.size)
    user_error("data.resize: {} pixels, expected at least data.size, {}", look.resize, look.size);
}

}  // namespace

TrainAndTest load_image_folder(const fs::path& path, const FolderOptions& options) {
  check(options.look);
  for (const char* part : {"train", "val"}) {
    std::error_code ignored;
    if (fs::is_directory(path / part, ignored)) continue;
    user_error("{}: has no folder {}, expected an image folder: train/CLASS/PICTURE and val/CLASS/PICTURE",
               path.string(), part);
  }
  FolderIndex train(path / "train");
  FolderIndex test(path / "val");
  check_same_classes(train, test);
  return {std::make_shared<FolderSet>(std::move(train), options),
          std::make_shared<FolderSet>(std::move(test), options)};
}

}  // namespace refnorm::data
