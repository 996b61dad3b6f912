#include <cstring>
#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/data/idx.h>
#include <refnorm/data/mnist.h>

namespace refnorm::data {
namespace {

class BytePictures : public ImageSet {
 public:
  BytePictures(const IdxDataset& raw, double mean, double deviation, std::vector<std::string> class_names)
      : mean_(mean), deviation_(deviation), class_names_(std::move(class_names)) {
    const auto& shape = raw.images.shape;
    images_ = torch::empty({shape[0], 1, shape[1], shape[2]}, torch::kByte);
    std::memcpy(images_.data_ptr(), raw.images.bytes.data(), raw.images.bytes.size());
    labels_.assign(raw.labels.bytes.begin(), raw.labels.bytes.end());
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t label(std::int64_t index) const override { return labels_[static_cast<std::size_t>(index)]; }
  std::int64_t channels() const override { return 1; }
  std::int64_t side() const override { return images_.size(2); }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  PixelScale pixel_scale() const override {
    return {{static_cast<float>(mean_)}, {static_cast<float>(deviation_)}};
  }

  Batch batch(std::span<const std::int64_t> indices) const override {
    const auto count = static_cast<std::int64_t>(indices.size());
    const torch::Tensor chosen = torch::empty({count}, torch::kLong);
    const torch::Tensor labels = torch::empty({count}, torch::kLong);
    auto* index = chosen.data_ptr<std::int64_t>();
    auto* label_out = labels.data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      index[i] = indices[i];
      label_out[i] = label(indices[i]);
    }
    const torch::Tensor pixels = images_.index_select(0, chosen).to(torch::kFloat);
    return {pixels.mul_(1.0 / 255).sub_(mean_).div_(deviation_), labels};
  }

 private:
  double mean_, deviation_;
  std::vector<std::string> class_names_;
  torch::Tensor images_;
  std::vector<std::int64_t> labels_;
};

}  // namespace

MnistFacts mnist_facts(const std::string& kind) {
  if (kind == "fashion-mnist") {
    return {{"T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
             "ankle boot"},
            0.2860,
            0.3530};
  }
  return {{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, 0.1307, 0.3081};
}

TrainAndTest load_mnist(const std::filesystem::path& folder, const std::string& kind) {
  const MnistFacts facts = mnist_facts(kind);
  const auto load = [&](const char* part) {
    return std::make_shared<BytePictures>(read_mnist_files(folder, part, kind), facts.mean, facts.deviation,
                                          facts.class_names);
  };
  return {load("train"), load("t10k")};
}

}  // namespace refnorm::data
