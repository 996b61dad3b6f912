#pragma once

#include <refnorm/norms/norm_layer.h>

namespace refnorm {

/// Where the reference statistics of a layer come from.
enum class Reference {
  kRefreshed,  ///< the reference batch's, taken again with the current weights every `refresh_every` steps
  kFixed,      ///< the reference batch's, taken once with the initial weights (section 3 of the paper, to the
               ///< letter)
  kLive,    ///< the reference batch's in the current forward pass, gradients flowing through it (Algorithm 2,
            ///< to the letter)
  kMoving,  ///< no reference batch: the layer's own moving averages of mu_B and var_B (a control)
};

/// What capture_reference() and ReferenceKeeper know of a layer that has a reference.
class ReferenceLayer {
 public:
  virtual ~ReferenceLayer() = default;

  virtual Reference policy() const = 0;
  /// Whether the layer blends in a reference at all (a batch norm does not).
  virtual bool has_reference() const { return true; }
  /// Steps between two captures of a refreshed reference.
  virtual std::int64_t refresh_every() const { return 1; }
  /// Whether the layer has no use for a reference now, since it goes by stored statistics.
  virtual bool reference_idle() const { return false; }
  /// Whether evaluation, too, goes by the reference, which should then be of the current weights.
  virtual bool evaluates_by_reference() const { return false; }

  bool reference_captured() const;

  /// While on, forward() takes the statistics of its input as the reference and normalizes by them alone;
  /// nothing else is updated. Used by capture_reference().
  void capture(bool on) { capturing_ = on; }
  /// In live mode: the first `rows` samples of the coming inputs are the reference's. Used by
  /// ReferenceKeeper.
  void reference_rows(std::int64_t rows) { reference_rows_ = rows; }

  torch::Tensor ref_mean, ref_var, num_ref_captures;  ///< [C], [C], int64; undefined without a reference

 protected:
  void register_reference(torch::nn::Module& self, std::int64_t channels);
  void reset_reference();
  /// Takes them as the reference, if they are finite: true.
  bool store_reference(const torch::Tensor& mean, const torch::Tensor& var);

  bool capturing_ = false;
  std::int64_t reference_rows_ = 0;
};

}  // namespace refnorm
