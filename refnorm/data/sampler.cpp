#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {
namespace {

using Indices = std::vector<std::int64_t>;

/// What a sampler is made for.
struct Task {
  Indices labels;
  std::int64_t batch_size;
  std::uint64_t seed;
  std::string value;  ///< what followed the kind's name; empty where nothing did

  std::int64_t samples() const { return static_cast<std::int64_t>(labels.size()); }
};

/// The number that followed the kind's name, if that is all that did.
template <class Number>
std::optional<Number> value_of(const Task& task) {
  Number number{};
  const char* const last = task.value.data() + task.value.size();
  const auto [end, failure] = std::from_chars(task.value.data(), last, number);
  return failure == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

/// A sampler that lays out an epoch at a time: whole batches, one behind the other. What is over waits for
/// another epoch.
class EpochSampler : public Sampler {
 public:
  explicit EpochSampler(const Task& task)
      : samples_(task.samples()), batch_size_(task.batch_size), seed_(task.seed) {}

  std::int64_t batches_per_epoch() const override { return samples_ / batch_size_; }

  Indices batch(std::int64_t epoch, std::int64_t place) override {
    if (epoch != epoch_) {
      RandomStream random(seed_, "order", static_cast<std::uint64_t>(epoch));
      order_ = order(random);
      epoch_ = epoch;
    }
    const auto begin = order_.begin() + place * batch_size_;
    return {begin, begin + batch_size_};
  }

 protected:
  /// At least batches_per_epoch() · batch_size() samples.
  virtual Indices order(RandomStream& random) const = 0;
  std::int64_t samples() const { return samples_; }
  std::int64_t batch_size() const { return batch_size_; }

 private:
  std::int64_t samples_, batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  Indices order_;
};

class IidSampler : public EpochSampler {
 public:
  using EpochSampler::EpochSampler;

 protected:
  Indices order(RandomStream& random) const override { return random.permutation(samples()); }
};

/// The samples of each label that occurs, labels in ascending order.
std::vector<Indices> by_label(const Indices& labels) {
  std::map<std::int64_t, Indices> found;
  for (std::size_t i = 0; i < labels.size(); ++i) found[labels[i]].push_back(static_cast<std::int64_t>(i));
  std::vector<Indices> groups;
  for (auto& [label, samples] : found) groups.push_back(std::move(samples));
  return groups;
}

Indices shuffled(const Indices& values, RandomStream& random) {
  Indices result;
  result.reserve(values.size());
  for (const std::int64_t place : random.permutation(static_cast<std::int64_t>(values.size())))
    result.push_back(values[static_cast<std::size_t>(place)]);
  return result;
}

/// Draws from one label's samples: all of them once, in random order, before any comes again.
class Deck {
 public:
  explicit Deck(const Indices& samples) : samples_(samples) {}
  std::int64_t draw(RandomStream& random) {
    if (left_.empty()) left_ = shuffled(samples_, random);
    const std::int64_t drawn = left_.back();
    left_.pop_back();
    return drawn;
  }

 private:
  const Indices& samples_;
  Indices left_;
};

/// What looks at labels.
class LabelSampler : public EpochSampler {
 public:
  explicit LabelSampler(const Task& task) : EpochSampler(task), groups_(by_label(task.labels)) {}

 protected:
  /// The samples of each label.
  const std::vector<Indices>& groups() const { return groups_; }

 private:
  std::vector<Indices> groups_;
};

/// An epoch of batches, each filled from the labels' decks.
class DeckSampler : public LabelSampler {
 public:
  using LabelSampler::LabelSampler;

 protected:
  Indices order(RandomStream& random) const override {
    std::vector<Deck> decks(groups().begin(), groups().end());
    Indices all;
    all.reserve(static_cast<std::size_t>(batches_per_epoch() * batch_size()));
    for (std::int64_t b = 0; b < batches_per_epoch(); ++b) {
      for (const std::size_t label : labels_of_batch(random)) all.push_back(decks[label].draw(random));
    }
    return all;
  }
  /// Places in groups(), one for each sample of a batch.
  virtual std::vector<std::size_t> labels_of_batch(RandomStream& random) const = 0;
};

class PkSampler : public DeckSampler {
 public:
  explicit PkSampler(const Task& task)
      : DeckSampler(task), labels_(value_of<std::int64_t>(task).value_or(0)) {
    const auto known = static_cast<std::int64_t>(groups().size());
    if (labels_ < 1 || labels_ > known) {
      user_error("sampler.kind: pk: '{}', expected the number of labels in a batch, 1 to {}, such as pk:2",
                 printable(task.value), known);
    }
    if (batch_size() % labels_ != 0) {
      user_error("sampler.kind: pk:{}: a batch of {} samples does not divide into {} labels", labels_,
                 batch_size(), labels_);
    }
  }

 protected:
  std::vector<std::size_t> labels_of_batch(RandomStream& random) const override {
    const Indices drawn = random.permutation(static_cast<std::int64_t>(groups().size()));
    std::vector<std::size_t> labels;
    for (std::int64_t p = 0; p < labels_; ++p) {
      labels.insert(labels.end(), static_cast<std::size_t>(batch_size() / labels_),
                    static_cast<std::size_t>(drawn[static_cast<std::size_t>(p)]));
    }
    return labels;
  }

 private:
  std::int64_t labels_;
};

class DirichletSampler : public DeckSampler {
 public:
  explicit DirichletSampler(const Task& task)
      : DeckSampler(task), alpha_(value_of<double>(task).value_or(0)) {
    if (!(alpha_ > 0 && alpha_ <= kLargestAlpha)) {
      user_error(
          "sampler.kind: dirichlet: '{}', expected the concentration, above 0 and at most {}, such as "
          "dirichlet:0.1",
          printable(task.value), kLargestAlpha);
    }
  }

 protected:
  std::vector<std::size_t> labels_of_batch(RandomStream& random) const override {
    const std::vector<double> mix = draw_mix(random);
    std::vector<std::size_t> labels;
    for (std::int64_t i = 0; i < batch_size(); ++i) {
      double left = random.uniform();
      std::size_t label = 0;
      while (label + 1 < mix.size() && left >= mix[label]) left -= mix[label++];
      labels.push_back(label);
    }
    return labels;
  }

 private:
  static constexpr double kLargestAlpha = 1e6;

  /// Dirichlet(alpha · C · share of each label), so that the mean is the set's own mix.
  std::vector<double> draw_mix(RandomStream& random) const {
    std::vector<double> mix;
    for (const Indices& group : groups()) {
      const double share = static_cast<double>(group.size()) / static_cast<double>(samples());
      mix.push_back(random.gamma(alpha_ * static_cast<double>(groups().size()) * share));
    }
    const double sum = std::accumulate(mix.begin(), mix.end(), 0.0);
    // With a tiny alpha all may be too small for a double; in the limit one label has everything.
    if (sum == 0) {
      mix[random.below(mix.size())] = 1;
      return mix;
    }
    for (double& part : mix) part /= sum;
    return mix;
  }

  double alpha_;
};

class SortedSampler : public LabelSampler {
 public:
  using LabelSampler::LabelSampler;

 protected:
  Indices order(RandomStream& random) const override {
    Indices all;
    for (const std::int64_t label : random.permutation(static_cast<std::int64_t>(groups().size()))) {
      const Indices samples = shuffled(groups()[static_cast<std::size_t>(label)], random);
      all.insert(all.end(), samples.begin(), samples.end());
    }
    return all;
  }
};

template <class Any>
std::unique_ptr<Sampler> make(const Task& task) {
  return std::make_unique<Any>(task);
}

struct Entry {
  std::string name;
  std::string value;  ///< what its value is called; empty where it takes none
  std::string what;
  std::unique_ptr<Sampler> (*make)(const Task&);
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all{
      {"iid", "", "independent draws: each epoch goes through the training set once, in a new random order",
       make<IidSampler>},
      {"pk", "P",
       "each batch has P labels drawn at random, and equally many samples of each (Ioffe 2017: 16 labels x "
       "2)",
       make<PkSampler>},
      {"dirichlet", "ALPHA",
       "each batch's mix of labels is drawn from a Dirichlet distribution about the set's own mix, with "
       "ALPHA a "
       "label: 0.1 gives one or two labels a batch, 100 nearly i.i.d. ones",
       make<DirichletSampler>},
      {"sorted", "",
       "label after label, in a new random order of labels and samples each epoch: the limit of skew",
       make<SortedSampler>},
  };
  return all;
}

}  // namespace

std::vector<SamplerKind> sampler_kinds() {
  std::vector<SamplerKind> kinds;
  for (const Entry& entry : entries()) {
    kinds.push_back({entry.value.empty() ? entry.name : entry.name + ":" + entry.value, entry.what});
  }
  return kinds;
}

std::unique_ptr<Sampler> make_sampler(const std::string& spec, std::vector<std::int64_t> labels,
                                      std::int64_t batch_size, std::uint64_t seed) {
  const std::size_t colon = spec.find(':');
  const std::string name = spec.substr(0, colon);
  const auto entry =
      std::find_if(entries().begin(), entries().end(), [&](const Entry& one) { return one.name == name; });
  if (entry == entries().end()) {
    std::vector<std::string> names;
    for (const Entry& one : entries()) names.push_back(one.name);
    user_error("sampler.kind: '{}' is not known{}", printable(name), suggestion(name, names));
  }
  if (entry->value.empty() && colon != std::string::npos)
    user_error("sampler.kind: {}: takes no value, got '{}'", name, printable(spec.substr(colon + 1)));
  Task task{std::move(labels), batch_size, seed, colon == std::string::npos ? "" : spec.substr(colon + 1)};
  if (batch_size < 1 || batch_size > task.samples()) {
    user_error("train.batch_size: {} samples, expected 1 to {} (the training set)", batch_size,
               task.samples());
  }
  return entry->make(task);
}

}  // namespace refnorm::data
