#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {
namespace {

/// Every epoch a new order of all samples, cut into batches; what does not fill a batch waits for another
/// epoch.
class IidSampler : public Sampler {
 public:
  IidSampler(std::int64_t samples, std::int64_t batch_size, std::uint64_t seed)
      : samples_(samples), batch_size_(batch_size), seed_(seed) {}

  std::int64_t batches_per_epoch() const override { return samples_ / batch_size_; }

  std::vector<std::int64_t> batch(std::int64_t epoch, std::int64_t place) override {
    if (epoch != epoch_) {
      order_ = RandomStream(seed_, "order", static_cast<std::uint64_t>(epoch)).permutation(samples_);
      epoch_ = epoch;
    }
    const auto begin = order_.begin() + place * batch_size_;
    return {begin, begin + batch_size_};
  }

 private:
  std::int64_t samples_, batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace

std::vector<SamplerKind> sampler_kinds() {
  return {{"iid", "independent draws: each epoch goes through the training set once, in a new random order"}};
}

std::unique_ptr<Sampler> make_sampler(const std::string& kind, std::int64_t samples, std::int64_t batch_size,
                                      std::uint64_t seed) {
  std::vector<std::string> names;
  for (const SamplerKind& known : sampler_kinds()) names.push_back(known.name);
  if (std::find(names.begin(), names.end(), kind) == names.end()) {
    user_error("sampler.kind: '{}' is not known{}", printable(kind), suggestion(kind, names));
  }
  if (batch_size < 1 || batch_size > samples) {
    user_error("train.batch_size: {} samples, expected 1 to {} (the training set)", batch_size, samples);
  }
  return std::make_unique<IidSampler>(samples, batch_size, seed);
}

}  // namespace refnorm::data
