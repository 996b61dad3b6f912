#pragma once

#include <cstdint>

#include <refnorm/data/image_set.h>
#include <refnorm/metrics/tally.h>
#include <refnorm/norms/batch_statistics.h>
#include <refnorm/train/evaluate.h>

namespace refnorm::train {

/// The search for the worst change of each pixel by at most `strength` (of pixel values 0 … 1, and kept
/// within them): x <- clip(x + step · sign(dL/dx)), the cross entropy L being that of the true label. One
/// step of `strength` is FGSM (Goodfellow et al. 2015), several of 2.5 · strength / steps PGD (Madry et al.
/// 2018), here from the picture itself.
struct Attack {
  double strength = 0;
  std::int64_t steps = 1;
};

/// [N, C, H, W], values as the set's. The network is in eval().
torch::Tensor attacked(const Network& network, const data::Batch& batch, const data::PixelScale& scale,
                       const Attack& attack);

/// Error on the first `samples` samples of the set, attacked, by `statistics`; gradients of parameters are
/// left alone.
metrics::Tally evaluate_attacked(const Network& network, const data::ImageSet& set, std::int64_t samples,
                                 Statistics statistics, const Attack& attack, const Compute& compute);

}  // namespace refnorm::train
