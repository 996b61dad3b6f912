#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace refnorm::deploy {

/// Values in row-major order.
struct Weights {
  std::vector<std::int64_t> shape;
  std::vector<float> values;

  bool empty() const { return values.empty(); }
};

enum class Op {
  kConv,           ///< weight [out, in/groups, kernel…], bias [out] or none
  kConvTranspose,  ///< weight [in, out/groups, kernel…], bias [out] or none
  kLinear,         ///< weight [out, in], bias [out] or none; x [N, in]
  kAffine,         ///< scale[c] · x + shift[c], c along axis 1; weight is scale, bias is shift
  kNormalize,      ///< by statistics of each sample, see Blend
  kRelu,
  kAdd,  ///< of two inputs
  kMaxPool,
  kAveragePool,        ///< over windows, padding counted
  kGlobalAveragePool,  ///< [N, C, H, W] -> [N, C, 1, 1]
  kFlatten,            ///< all axes from 1 on
};

/// "Conv"
const char* name_of(Op op);

/// Of convolutions and pooling; one number for each spatial axis.
struct Window {
  std::vector<std::int64_t> kernel, stride, padding, dilation, output_padding;
  std::int64_t groups = 1;
  bool ceil_mode = false;

  bool padded() const;
};

/// What a norm that is not affine in inference normalizes by: M = sum_k mean_weights[k] · mean_k and V
/// likewise over the statistics of groups of `channels[k]` neighbouring channels of a sample (1: instance
/// norm, all of them: layer norm), and last, where there are any, over the stored ones. `mixture` as in
/// ops::NormalizeBy.
struct SampleBlend {
  std::vector<std::int64_t> channels;
  Weights stored_mean, stored_var;
  std::vector<double> mean_weights, var_weights;
  bool mixture = false;
  double eps = 1e-5;
};

/// One step of an inference network.
struct Node {
  Op op = Op::kRelu;
  std::string name;  ///< of the layer that it came from ("conv1", "layer1.0.bn2"), or made up; unique
  std::vector<std::string> inputs;
  std::string output;               ///< unique
  std::vector<std::int64_t> shape;  ///< of the output, without the batch axis
  Weights weight, bias;
  Window window;
  SampleBlend blend;  ///< of kNormalize, whose weight and bias are per channel, or empty
};

/// An inference network: its nodes in an order in which they can be computed.
struct Graph {
  std::string input = "images";
  std::string output = "scores";
  std::vector<Node> nodes;

  /// How many nodes read a value; the network's output counts as read.
  std::int64_t readers(const std::string& value) const;
};

}  // namespace refnorm::deploy
