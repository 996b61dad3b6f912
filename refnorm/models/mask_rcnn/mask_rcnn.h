#pragma once

#include <string>
#include <vector>

#include <refnorm/base/safetensors.h>
#include <refnorm/models/mask_rcnn/backbone.h>
#include <refnorm/models/mask_rcnn/proposals.h>
#include <refnorm/models/mask_rcnn/region_head.h>

namespace refnorm::models {

/// Mask R-CNN (He et al. 2017) with a ResNet's conv4 as features and its conv5 on each region, Detectron's
/// R50-C4. Children: `backbone`, `rpn`, `head`, whose parameters are named as torchvision's ResNet names
/// them: backbone.conv1.weight, backbone.layer1.0.bn1.weight, head.layer4.0.conv1.weight.
///
/// Pictures of a batch are padded at their right and bottom to a common size, images[N, C, H, W]; `sizes` are
/// their own. The m of eq. 13 counts pictures in the backbone and regions in conv5. Convolutions may run in
/// bfloat16 under autocast; boxes and losses are computed in float32. Boxes, labels and what is chosen of
/// them are on the CPU, wherever the network is.
class MaskRcnnImpl : public torch::nn::Cloneable<MaskRcnnImpl> {
 public:
  /// Throws UserError for an unknown depth, and options out of their range.
  explicit MaskRcnnImpl(MaskRcnnOptions given);
  void reset() override;
  /// What is frozen stays so: children are cloned one by one, with parameters that would learn.
  std::shared_ptr<torch::nn::Module> clone(
      const c10::optional<torch::Device>& device = c10::nullopt) const override;

  /// He initialization of all convolutions of the ResNet and the mask branch (0 for the last norm of each
  /// block, where it has a weight), N(0, 0.01²) for the others, N(0, 0.001²) for the regression of boxes.
  void initialize(std::uint64_t seed);

  /// Of a batch in train(); anchors and regions are drawn from the stream. Throws UserError for targets that
  /// do not fit, and for norms whose reference is live: it would have to propose regions beside the batch's.
  DetectionLosses losses(const torch::Tensor& images, const std::vector<ops::PictureSize>& sizes,
                         const std::vector<Target>& targets, RandomStream& stream);

  /// Of each picture; without gradient. In eval() norms go by stored statistics. Otherwise conv5's are those
  /// of options.detections.regions_at_once regions.
  std::vector<Detections> detect(const torch::Tensor& images, const std::vector<ops::PictureSize>& sizes);

  /// The whole network over pictures and what it proposes there, at most regions.per_picture of each, by
  /// objectness: what ReferenceKeeper and capture_reference() call, so that a norm of the head gets the
  /// regions of the reference pictures. Returns class scores [R, 1 + classes]. Without sizes, the pictures
  /// fill the images.
  torch::Tensor forward(const torch::Tensor& images) { return forward(images, {}); }
  torch::Tensor forward(const torch::Tensor& images, const std::vector<ops::PictureSize>& sizes);

  /// Freezes what the options say, again: after convert(), which puts new norms there, or unfreeze().
  void freeze_parts();

  MaskRcnnOptions options;
  C4Backbone backbone{nullptr};
  ProposalNetwork rpn{nullptr};
  RegionHead head{nullptr};

 private:
  void reject_live_references() const;
  Detections detect_in(const torch::Tensor& features, const torch::Tensor& proposals, ops::PictureSize size);
};
TORCH_MODULE(MaskRcnn);

/// Throws UserError unless there is a size for each of the images, within them.
void check_pictures(const torch::Tensor& images, const std::vector<ops::PictureSize>& sizes);

/// Of one picture, from what the head says of its proposals [n, 4]: boxes of all classes that score enough,
/// without overlapping ones, by falling score; without masks. On the CPU.
Detections choose_detections(const RegionScores& scores, const torch::Tensor& proposals,
                             ops::PictureSize size, const MaskRcnnOptions& options);

/// What load_backbone() found.
struct BackboneWeights {
  std::vector<std::string> loaded;   ///< names in the model
  std::vector<std::string> ignored;  ///< names in the file: fc, and what this model's norms do not have
};

/// The weights of a ResNet of the same depth, under torchvision's names, as conv1 … layer3 of the backbone
/// and layer4 of the head: torchvision's, or what `refnorm export RUN --to FILE.safetensors` writes (with
/// Algorithm 3's statistics as running ones). The statistics of a reference batch may be missing. Throws
/// UserError naming `origin`, and changes nothing, where another weight is missing or one has another shape.
BackboneWeights load_backbone(MaskRcnnImpl& model, const Safetensors& weights, const std::string& origin);

}  // namespace refnorm::models
