#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/population.h>

namespace refnorm {
namespace {

using torch::Tensor;

/// Weighted averages of mu_k, v_k and n/(n−1)·v_k, and the weighted variance of mu_k (West 1979), in float64.
class Averages {
 public:
  void add(const Tensor& batch_mean, const Tensor& batch_var, std::int64_t values) {
    const Tensor mean = batch_mean.to(torch::kDouble);
    const Tensor var = batch_var.to(torch::kDouble);
    const auto n = static_cast<double>(values);
    if (weight_ == 0) mean_ = squares_ = within_ = within_unbiased_ = torch::zeros_like(mean);
    weight_ += n;
    const Tensor step = mean - mean_;
    mean_ = mean_ + step * (n / weight_);
    squares_ = squares_ + step * (mean - mean_) * n;
    within_ = within_ + (var - within_) * (n / weight_);
    within_unbiased_ =
        within_unbiased_ + (var * (n > 1 ? n / (n - 1) : 1.0) - within_unbiased_) * (n / weight_);
  }
  /// Both together (Chan).
  void add(const Averages& other) {
    if (other.weight_ == 0) return;
    if (weight_ == 0) {
      *this = other;
      return;
    }
    const double weight = weight_ + other.weight_;
    const double share = other.weight_ / weight;
    const Tensor step = other.mean_ - mean_;
    squares_ = squares_ + other.squares_ + step.square() * (weight_ * share);
    mean_ = mean_ + step * share;
    within_ = within_ + (other.within_ - within_) * share;
    within_unbiased_ = within_unbiased_ + (other.within_unbiased_ - within_unbiased_) * share;
    weight_ = weight;
  }
  /// As numbers of [5, channels].
  Tensor pack(std::int64_t channels) const {
    const Tensor none = torch::zeros({channels}, torch::kDouble);
    if (weight_ == 0) return torch::stack({none, none, none, none, none});
    return torch::stack({none + weight_, mean_, squares_, within_, within_unbiased_}).to(torch::kCPU);
  }
  static Averages unpack(const Tensor& numbers) {
    Averages averages;
    averages.weight_ = numbers[0][0].item<double>();
    averages.mean_ = numbers[1];
    averages.squares_ = numbers[2];
    averages.within_ = numbers[3];
    averages.within_unbiased_ = numbers[4];
    return averages;
  }
  bool empty() const { return weight_ == 0; }
  LayerPopulation::Estimate printed() const { return {mean_, within_unbiased_}; }
  LayerPopulation::Estimate between() const { return {mean_, within_ + squares_ / weight_}; }

 private:
  double weight_ = 0;
  Tensor mean_, squares_, within_, within_unbiased_;
};

bool finite(const BatchObservation& seen) {
  const Tensor all = torch::stack({seen.raw_mean, seen.raw_var, seen.blended_mean, seen.blended_var});
  return torch::isfinite(all).all().item<bool>();
}

}  // namespace

std::string_view to_string(PopulationReading reading) {
  static constexpr std::array<std::string_view, 4> kNames{"blended_between", "blended_printed", "raw_between",
                                                          "raw_printed"};
  return kNames[static_cast<std::size_t>(reading)];
}

struct PopulationPass::Watch {
  std::string name;
  std::shared_ptr<BatchStatisticsLayer> layer;
  Statistics statistics_before;
  bool updates_before;
  Averages blended, raw;

  void observe(const BatchObservation& seen) {
    if (!finite(seen)) return;
    blended.add(seen.blended_mean, seen.blended_var, seen.values);
    raw.add(seen.raw_mean, seen.raw_var, seen.values);
  }
};

PopulationPass::PopulationPass(torch::nn::Module& model) {
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) {
    if (layer->kept_frozen()) continue;
    watches_.push_back(std::make_unique<Watch>(
        Watch{name, layer, layer->statistics(), layer->updates_statistics(), {}, {}}));
    Watch* watch = watches_.back().get();
    layer->use_statistics(Statistics::kBatch);
    layer->update_statistics(false);
    layer->observe_batches([watch](const BatchObservation& seen) { watch->observe(seen); });
  }
}

PopulationPass::~PopulationPass() {
  for (const auto& watch : watches_) {
    watch->layer->observe_batches({});
    watch->layer->use_statistics(watch->statistics_before);
    watch->layer->update_statistics(watch->updates_before);
  }
}

void PopulationPass::join(const std::function<std::vector<Tensor>(const Tensor&)>& gather) {
  for (const auto& watch : watches_) {
    for (Averages* averages : {&watch->blended, &watch->raw}) {
      Averages all;
      for (const Tensor& one : gather(averages->pack(watch->layer->channels())))
        all.add(Averages::unpack(one));
      *averages = all;
    }
  }
}

PopulationStatistics PopulationPass::finish() const {
  PopulationStatistics population;
  for (const auto& watch : watches_) {
    if (watch->blended.empty()) {
      user_error("population statistics: layer '{}' saw no batch with finite statistics", watch->name);
    }
    population[watch->name].readings = {watch->blended.between(), watch->blended.printed(),
                                        watch->raw.between(), watch->raw.printed()};
  }
  return population;
}

void set_population(torch::nn::Module& model, const PopulationStatistics& population,
                    PopulationReading reading) {
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) {
    if (layer->kept_frozen()) continue;
    const auto found = population.find(name);
    if (found == population.end()) user_error("population statistics: none for layer '{}'", name);
    const LayerPopulation::Estimate& estimate = found->second[reading];
    layer->set_population(estimate.mean, estimate.var);
  }
}

}  // namespace refnorm
