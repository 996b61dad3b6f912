#pragma once

#include <optional>

#include <refnorm/norms/channel_norm.h>

namespace refnorm {

/// Which statistics a layer with batch statistics normalizes by.
enum class Statistics {
  kByMode,      ///< batch in train(), running in eval()
  kBatch,       ///< those of the batch, as in training (for RBN: blended with the reference)
  kRunning,     ///< the moving averages
  kPopulation,  ///< Algorithm 3's; see population.h
};

/// What one batch showed a layer; tensors of [C] without gradient.
struct BatchObservation {
  torch::Tensor raw_mean, raw_var;          ///< mu_B and the biased var_B
  torch::Tensor blended_mean, blended_var;  ///< mu' and var', what the batch was normalized by
  std::int64_t values = 0;                  ///< values a channel had in the batch
};

/// A normalization that trains on the statistics of the batch and evaluates on stored ones, by one affine map
/// (but switchable norm, which has sources of another kind besides). Two switches, each of which survives
/// train() and eval(): which statistics are used, whether they are updated.
///
/// State beside weight and bias: running_mean, running_var [C], num_batches_tracked (int64), as in PyTorch. A
/// batch whose statistics are not finite is normalized by them, and none of it enters a stored statistic.
class BatchStatisticsLayer : public ChannelNorm {
 public:
  void use_statistics(Statistics which) { statistics_ = which; }
  Statistics statistics() const { return statistics_; }

  /// Whether a stored statistic is used in train() too: the layer is frozen.
  bool frozen() const {
    return statistics_ == Statistics::kRunning || statistics_ == Statistics::kPopulation;
  }

  /// Whether it is as freeze() leaves it: by a stored statistic in any mode, and none is updated. What sets
  /// modes or takes statistics for a while leaves such layers alone.
  bool kept_frozen() const { return frozen() && !update_statistics_; }

  /// Whether running averages (and a moving reference) are updated by batches in train(). Default: true.
  void update_statistics(bool on) { update_statistics_ = on; }
  bool updates_statistics() const { return update_statistics_; }

  /// Algorithm 3's statistics, [C] each; kept beside the state, not in it. Throws UserError unless finite, of
  /// [C].
  void set_population(const torch::Tensor& mean, const torch::Tensor& var);
  bool has_population() const { return population_mean_.defined(); }
  /// The switches and the population statistics of another layer.
  void take_over(const BatchStatisticsLayer& other);

  /// Weight of the newest batch in the running averages; nothing: the plain average over all batches.
  std::optional<double> momentum() const { return momentum_; }

  /// Called with every batch that is normalized by batch statistics (with each virtual batch, where there are
  /// such); an empty function ends it.
  void observe_batches(std::function<void(const BatchObservation&)> observer) {
    observer_ = std::move(observer);
  }

  void reset_running_stats();
  void reset_parameters() override;

  torch::Tensor running_mean, running_var, num_batches_tracked;

 protected:
  /// `momentum`: weight of the newest batch in the running averages; nothing: the plain average over all
  /// batches. Throws UserError unless in [0, 1].
  BatchStatisticsLayer(const Common& common, std::optional<double> momentum);

  void register_state() override;
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;
  /// By the statistics of x; calls record().
  virtual torch::Tensor compute_by_batch(const torch::Tensor& x, const ops::Then& then) = 0;
  /// By stored ones, [C] each.
  virtual torch::Tensor compute_by_stored(const torch::Tensor& x, const torch::Tensor& mean,
                                          const torch::Tensor& var, const ops::Then& then);

  bool updating() const { return is_training() && update_statistics_; }
  void observe(const BatchObservation& seen) const {
    if (observer_) observer_(seen);
  }
  /// Where updating: takes a mean and a variance into the running averages, if they are finite.
  void update_running(const torch::Tensor& mean, const torch::Tensor& var);
  /// observe(), and update_running() with the blended mean and the unbiased blended variance, as PyTorch has
  /// it.
  void record(const BatchObservation& seen);

 private:
  std::optional<double> momentum_;
  Statistics statistics_ = Statistics::kByMode;
  bool update_statistics_ = true;
  std::function<void(const BatchObservation&)> observer_;
  torch::Tensor population_mean_, population_var_;
};

/// stored <- stored + rate · (fresh − stored), where mean and variance are finite; true if they are.
bool average_into(torch::Tensor& stored_mean, torch::Tensor& stored_var, const torch::Tensor& mean,
                  const torch::Tensor& var, double rate);

/// The observation of a batch that is normalized by its own statistics alone: a source's [1, C] of `values`.
BatchObservation plain_observation(const ops::SetMoments& moments, std::int64_t values);

/// Sets the first switch on every layer of the model that has it.
void use_statistics(torch::nn::Module& model, Statistics which);

/// Freezes every normalization of the model: stored statistics (population ones where they were taken, else
/// running) in train() too, none updated, parameters without gradient. Virtual batch norm goes on by its
/// reference. unfreeze() sets the defaults again.
void freeze(torch::nn::Module& model);
void unfreeze(torch::nn::Module& model);

}  // namespace refnorm
