#pragma once

#include <optional>
#include <string>

#include <torch/nn/pimpl.h>

#include <refnorm/norms/cloneable.h>
#include <refnorm/norms/norm_layer.h>

namespace refnorm {

/// What the normalizations over [N, C, *] have in common: a weight and a bias for each of C channels, eps,
/// and the checks of their input. Throws UserError for an input that does not fit.
///
/// An empty batch gives an empty output and zero gradients, and changes no statistic.
class ChannelNorm : public NormLayer {
 public:
  torch::Tensor normalize(const torch::Tensor& x, const ops::Then& then) final;
  void reset_parameters() override;
  void pretty_print(std::ostream& stream) const override;

  std::int64_t channels() const { return channels_; }
  double eps() const { return eps_; }
  /// "BatchNorm2d"
  const std::string& type_name() const { return type_name_; }
  /// Spatial axes of the input (1: or none); nothing: any number of them.
  std::optional<int> dims() const { return dims_ == kAnyDims ? std::nullopt : std::optional<int>(dims_); }

  torch::Tensor weight, bias;  ///< [C]; undefined without affine

 protected:
  struct Common {
    const char* name;  ///< "BatchNorm"; the spatial axes are added to it
    int dims;          ///< spatial axes of the input; kAnyDims: as many as it has
    std::int64_t channels;
    double eps;
    bool affine;
  };
  static constexpr int kAnyDims = -1;

  /// Throws UserError unless there is a channel and eps is above 0.
  explicit ChannelNorm(const Common& common);

  /// Registers parameters and buffers, with the values of a new layer.
  virtual void register_state();
  /// The norm itself; x is checked and not empty.
  virtual torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) = 0;
  /// The options beside channels, eps and affine, for print: ", groups=2".
  virtual std::string more_options() const { return {}; }

  /// By the statistics of the batch, whose samples are the last `samples` of x: those of all processes where
  /// statistics are synchronized. Its size is in `batch`.
  static ops::NormalizeBy by_batch(const torch::Tensor& x, std::int64_t samples);
  /// ops::normalize with this layer's weight and bias; `by.eps` is set to the layer's.
  ops::Normalized apply(const torch::Tensor& x, ops::NormalizeBy by, const ops::Then& then) const;
  /// Throws UserError where a set of so many values is just one, which would normalize to 0 whatever it is.
  void require_values(std::int64_t values, const torch::Tensor& x, const char* where) const;
  bool affine() const { return affine_; }

 private:
  void check_input(const torch::Tensor& x) const;

  std::string type_name_;
  int dims_;
  std::int64_t channels_;
  double eps_;
  bool affine_;
};

/// The layer of D spatial axes of a norm `Base`, which has `Options` and a constructor (Options, dims).
template <class Base, int D>
class Dimensional : public Cloneable<Dimensional<Base, D>, Base> {
 public:
  explicit Dimensional(const typename Base::Options& given)
      : Cloneable<Dimensional<Base, D>, Base>(given, D) {
    Base::register_state();
  }
  void reset() override { Base::register_state(); }
};

/// NAME1d, NAME2d and NAME3d of NAMEBase, in LibTorch's idiom of module holders. 1d takes [N, C] and [N, C,
/// L].
#define REFNORM_NORM_MODULES(NAME)                 \
  using NAME##1dImpl = Dimensional<NAME##Base, 1>; \
  using NAME##2dImpl = Dimensional<NAME##Base, 2>; \
  using NAME##3dImpl = Dimensional<NAME##Base, 3>; \
  TORCH_MODULE(NAME##1d);                          \
  TORCH_MODULE(NAME##2d);                          \
  TORCH_MODULE(NAME##3d)

/// The layer of a norm for inputs of `dims` (0 to 3) spatial axes.
template <class Base>
std::shared_ptr<NormLayer> make_dimensional(const typename Base::Options& options, int dims) {
  if (dims == 3) return std::make_shared<Dimensional<Base, 3>>(options);
  if (dims == 2) return std::make_shared<Dimensional<Base, 2>>(options);
  return std::make_shared<Dimensional<Base, 1>>(options);
}

}  // namespace refnorm
