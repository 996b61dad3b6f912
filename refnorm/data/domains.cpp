#include <algorithm>
#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/data/domains.h>
#include <refnorm/data/transform.h>

namespace refnorm::data {
namespace {

using torch::Tensor;

struct Entry {
  DomainKind kind;
  /// Null where pictures stay as they are.
  Tensor (*change)(const Tensor& picture, RandomStream& random);
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all{
      {{"plain", "as the file has them"}, nullptr},
      {{"inverted", "the negative: each pixel value v of 0 … 1 becomes 1 − v"},
       [](const Tensor& picture, RandomStream&) { return inverted(picture, 1); }},
      {{"rotated", "by 90 degrees counter-clockwise"},
       [](const Tensor& picture, RandomStream&) { return rotated(picture, 1); }},
      {{"noisy", "Gaussian noise of deviation 0.3 on pixel values of 0 … 1, cut off there"},
       [](const Tensor& picture, RandomStream& random) { return noisy(picture, 0.3, random); }},
      {{"blurred", "a Gaussian blur of deviation 1.5 pixels"},
       [](const Tensor& picture, RandomStream&) { return blurred(picture, 1.5); }},
  };
  return all;
}

const Entry& find(const std::string& name) {
  std::vector<std::string> names;
  for (const Entry& entry : entries()) {
    if (entry.kind.name == name) return entry;
    names.push_back(entry.kind.name);
  }
  user_error("data.domains: '{}' is not known{}", printable(name), suggestion(name, names));
}

constexpr std::uint64_t kSameForEverySeed = 0;

class Domains : public ImageSetView {
 public:
  Domains(std::shared_ptr<const ImageSet> set, const std::vector<std::string>& domains,
          const std::string& part)
      : ImageSetView(std::move(set)), grouping_{"domain", domains}, stream_("domain picture " + part) {
    for (const std::string& name : domains) domains_.push_back(&find(name));
    RandomStream random(kSameForEverySeed, "domain " + part);
    for (std::int64_t i = 0; i < size(); ++i)
      domain_of_.push_back(static_cast<std::int64_t>(random.below(domains.size())));
  }

  const Grouping* grouping() const override { return &grouping_; }
  std::int64_t group(std::int64_t index) const override {
    return domain_of_[static_cast<std::size_t>(index)];
  }

  Batch batch(std::span<const std::int64_t> indices) const override {
    return moved(all().batch(indices), indices);
  }
  Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const override {
    return moved(all().training_batch(indices, epoch), indices);
  }

 private:
  Batch moved(const Batch& batch, std::span<const std::int64_t> indices) const {
    std::vector<std::int64_t> places;  // of the samples that do not stay as they are
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (domain(indices[i]).change != nullptr) places.push_back(static_cast<std::int64_t>(i));
    }
    if (places.empty()) return batch;
    const Tensor chosen = torch::tensor(places);
    const Tensor pixels = pixel_scale().pixels(batch.images.index_select(0, chosen));
    for (std::size_t i = 0; i < places.size(); ++i)
      change(pixels[static_cast<std::int64_t>(i)], indices[static_cast<std::size_t>(places[i])]);
    batch.images.index_copy_(0, chosen, pixel_scale().values(pixels));
    return batch;
  }

  const Entry& domain(std::int64_t index) const { return *domains_[static_cast<std::size_t>(group(index))]; }

  /// The picture of that sample, in place.
  void change(const Tensor& picture, std::int64_t index) const {
    RandomStream random(kSameForEverySeed, stream_, static_cast<std::uint64_t>(index));
    const Tensor changed = domain(index).change(picture, random);
    if (changed.sizes() != picture.sizes()) {
      user_error("data.domains: {}: pictures of {} x {} cannot be turned, expected square ones",
                 domain(index).kind.name, picture.size(1), picture.size(2));
    }
    picture.copy_(changed);
  }

  Grouping grouping_;
  std::string stream_;
  std::vector<const Entry*> domains_;
  std::vector<std::int64_t> domain_of_;
};

}  // namespace

std::vector<DomainKind> domain_kinds() {
  std::vector<DomainKind> kinds;
  for (const Entry& entry : entries()) kinds.push_back(entry.kind);
  return kinds;
}

std::shared_ptr<const ImageSet> with_domains(std::shared_ptr<const ImageSet> set,
                                             const std::vector<std::string>& domains,
                                             const std::string& part) {
  if (domains.empty()) user_error("data.domains: the list is empty, expected at least one domain");
  for (std::size_t i = 0; i < domains.size(); ++i) {
    find(domains[i]);
    if (std::count(domains.begin(), domains.end(), domains[i]) > 1)
      user_error("data.domains: '{}' is listed twice", domains[i]);
  }
  return std::make_shared<Domains>(std::move(set), domains, part);
}

}  // namespace refnorm::data
