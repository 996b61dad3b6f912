#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/data/epoch_sampler.h>
#include <refnorm/data/group_sampler.h>
#include <refnorm/data/image_set.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {
namespace {

/// What a sampler is made for.
struct Task {
  EpochTask epoch;
  SampleKeys keys;
  std::string kind;
  std::string value;  ///< what followed the kind's name; empty where nothing did
};

/// The number that followed the kind's name, if that is all that did.
template <class Number>
std::optional<Number> value_of(const Task& task) {
  Number number{};
  const char* const last = task.value.data() + task.value.size();
  const auto [end, failure] = std::from_chars(task.value.data(), last, number);
  return failure == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

class IidSampler : public EpochSampler {
 public:
  explicit IidSampler(const Task& task) : EpochSampler(task.epoch) {}

 protected:
  Indices order(RandomStream& random) const override { return random.permutation(samples()); }
};

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
  explicit LabelSampler(const Task& task) : EpochSampler(task.epoch), groups_(by_value(task.keys.labels)) {}

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

/// Batches from one domain, or from one of the user's groups: the same, of groupings that come from
/// elsewhere.
std::unique_ptr<Sampler> make_grouped(const Task& task) {
  if (task.keys.grouping != task.kind) {
    user_error("sampler.kind: {}: the samples are in no {}s, expected {}", task.kind, task.kind,
               task.kind == "domain" ? "a list of them as data.domains"
                                     : "a CSV file with the columns index and group as data.groups");
  }
  return std::make_unique<GroupSampler>(task.epoch, task.keys.groups, task.kind);
}

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
      {"domain", "", "each batch is from one of data.domains; an epoch uses a sample at most once",
       make_grouped},
      {"group", "",
       "each batch is from one of the groups of data.groups, such as a camera, a patient or a day; an epoch "
       "uses a sample at most once",
       make_grouped},
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

SampleKeys keys_of(const ImageSet& set) {
  return {labels_of(set), groups_of(set), set.grouping() != nullptr ? set.grouping()->kind : ""};
}

std::unique_ptr<Sampler> make_sampler(const std::string& spec, SampleKeys keys, std::int64_t batch_size,
                                      std::uint64_t seed) {
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
  const auto samples = static_cast<std::int64_t>(keys.labels.size());
  if (batch_size < 1 || batch_size > samples)
    user_error("train.batch_size: {} samples, expected 1 to {} (the training set)", batch_size, samples);
  return entry->make({{samples, batch_size, seed},
                      std::move(keys),
                      name,
                      colon == std::string::npos ? "" : spec.substr(colon + 1)});
}

}  // namespace refnorm::data
