#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include <refnorm/norms/batch_statistics.h>

namespace refnorm {

/// How Algorithm 3's averages over batches k are read. Mean in each case: E[mu_k], weighted by the values in
/// a batch.
/// - blended: mu_k = mu', v_k = var', what training normalized by; raw: mu_k = mu_B, v_k = var_B.
/// - printed: Var = E[n/(n−1) · v_k], the paper's formula; between: Var = E[v_k] + Var(mu_k), the variance
/// between
///   batches that the printed formula leaves out. `raw`, `between` of fixed inputs is exactly the biased
///   variance of all values, however they are split into batches.
enum class PopulationReading { kBlendedBetween, kBlendedPrinted, kRawBetween, kRawPrinted };

inline constexpr std::array<PopulationReading, 4> kPopulationReadings{
    PopulationReading::kBlendedBetween, PopulationReading::kBlendedPrinted, PopulationReading::kRawBetween,
    PopulationReading::kRawPrinted};

/// "blended_between" and so on, as in result.json.
std::string_view to_string(PopulationReading reading);

/// What is used where nobody asks for another one (docs/findings.md has the numbers).
inline constexpr PopulationReading kDefaultPopulationReading = PopulationReading::kBlendedBetween;

/// One layer's statistics under each reading; float64, [C].
struct LayerPopulation {
  struct Estimate {
    torch::Tensor mean, var;
  };
  std::array<Estimate, 4> readings;
  const Estimate& operator[](PopulationReading reading) const {
    return readings[static_cast<std::size_t>(reading)];
  }
};

/// By layer name.
using PopulationStatistics = std::map<std::string, LayerPopulation>;

/// A streaming pass over training batches (Algorithm 3): while it lives, every layer with batch statistics
/// that is not frozen is observed, normalizes by them as in training and updates nothing. Run batches through
/// the model in train(), then call finish(). Batches whose statistics are not finite are left out.
class PopulationPass {
 public:
  explicit PopulationPass(torch::nn::Module& model);
  ~PopulationPass();
  PopulationPass(const PopulationPass&) = delete;
  PopulationPass& operator=(const PopulationPass&) = delete;

  /// Takes in what the passes of other processes saw, of the same model: `gather` gives a tensor of each of
  /// them, this one's among them, in the same order in each.
  void join(const std::function<std::vector<torch::Tensor>(const torch::Tensor&)>& gather);

  /// Throws UserError if a layer saw no batch.
  PopulationStatistics finish() const;

 private:
  struct Watch;
  std::vector<std::unique_ptr<Watch>> watches_;
};

/// Gives each layer that is not frozen its statistics under `reading`; they are used where
/// Statistics::kPopulation is set. Throws UserError naming a layer that has none.
void set_population(torch::nn::Module& model, const PopulationStatistics& population,
                    PopulationReading reading);

}  // namespace refnorm
