#pragma once

#include <string>
#include <vector>

#include <refnorm/norms/norm_spec.h>

namespace refnorm {

/// What convert() did.
struct ConversionReport {
  struct Layer {
    std::string name;      ///< "layer1.0.bn1"
    std::string from, to;  ///< types, such as "torch::nn::BatchNorm2dImpl" and "ReferenceBatchNorm2d"
    std::vector<std::string> carried;  ///< state that the new layer took over
    std::vector<std::string> lost;     ///< state of the old one that means nothing to the new one
  };
  struct Unreached {
    std::string name, type, reason;
  };
  std::vector<Layer> converted;
  std::vector<Unreached> unreached;

  /// One line a layer.
  std::string to_string() const;
};

/// Replaces the normalization layers of a model in place: those in norm slots, and, wherever they stand in a
/// torch::nn::Sequential, ours and LibTorch's BatchNorm, InstanceNorm and GroupNorm. A typed member of a
/// foreign module cannot be reached: such layers stay, and the report names them, with the reason.
///
/// State of the same name and shape is carried over (weight, bias; running_mean, running_var and
/// num_batches_tracked among the norms with batch statistics; ref_mean and so on), and so are eps, the
/// momentum of running averages and the lack of weight and bias, unless the spec says otherwise; device,
/// dtype, mode and switches too. A layer that evaluated by the batch (track_running_stats(false)) goes on to
/// do so. A new reference must be captured. Where a dense layer, or Flatten, comes before, norms are made for
/// dense layers.
///
/// Throws UserError if a layer cannot be made (such as groups that do not divide the channels), before
/// anything is replaced.
ConversionReport convert(torch::nn::Module& model, const NormSpec& spec);

}  // namespace refnorm
