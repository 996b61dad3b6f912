#pragma once

#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <refnorm/base/random.h>
#include <refnorm/models/mask_rcnn/options.h>
#include <refnorm/models/mask_rcnn/target.h>

namespace refnorm::models {

/// What the network says about all anchors of a batch, in float32.
struct AnchorScores {
  torch::Tensor objectness;  ///< [N, A], logits
  torch::Tensor deltas;      ///< [N, A, 4], see ops::BoxCoder
  torch::Tensor anchors;     ///< [A, 4], on the CPU
};

/// The region proposal network (Ren et al. 2015): a 3x3 convolution, ReLU, and of each anchor at each
/// position its objectness and its box. Children conv, bn (where heads have norms), cls_logits, bbox_pred.
class ProposalNetworkImpl : public torch::nn::Cloneable<ProposalNetworkImpl> {
 public:
  ProposalNetworkImpl(std::int64_t channels_given, MaskRcnnOptions given);
  void reset() override;
  /// features[N, C, H, W]
  AnchorScores forward(const torch::Tensor& features);

  std::int64_t channels;
  MaskRcnnOptions options;
  torch::nn::Conv2d conv{nullptr}, cls_logits{nullptr}, bbox_pred{nullptr};
  NormSlot norm;
};
TORCH_MODULE(ProposalNetwork);

/// Of each picture the boxes [n, 4] that are proposed, by falling objectness; without gradient, on the CPU.
std::vector<torch::Tensor> propose(const AnchorScores& scores, const std::vector<ops::PictureSize>& sizes,
                                   const ProposalOptions& options, ProposalOptions::Counts counts);

/// objectness and proposal_boxes of DetectionLosses; draws anchors from the stream, picture by picture.
struct ProposalLosses {
  torch::Tensor objectness, boxes;
};
ProposalLosses proposal_losses(const AnchorScores& scores, const std::vector<ops::PictureSize>& sizes,
                               const std::vector<Target>& targets, const MaskRcnnOptions& options,
                               RandomStream& stream);

/// The boxes of a target that are no crowds, or those that are, and their indices in it.
struct Truths {
  torch::Tensor boxes, indices;
};
Truths truths_of(const Target& target, bool crowds);

/// `matched`, but kBetween for what is background and lies in a crowd by at least that part.
torch::Tensor leave_out_crowds(const torch::Tensor& matched, const torch::Tensor& boxes, const Target& target,
                               double part);

}  // namespace refnorm::models
