#pragma once

#include <limits>

#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

/// What a value may be. Only what fits the field's type is looked at.
struct Allowed {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  std::vector<std::string> words;
};

inline Allowed at_least(double low) {
  return {.low = low};
}
inline Allowed between(double low, double high) {
  return {.low = low, .high = high};
}
inline Allowed one_of(std::vector<std::string> words) {
  return {.words = std::move(words)};
}

/// Every key of every section, in one place: `visit(section, key, field, allowed)` is called for each.
/// Reading, writing and listing recipes are three visitors.
template <class AnyRecipe, class Visit>
void visit_fields(AnyRecipe& recipe, Visit&& visit) {
  visit("", "name", recipe.name, Allowed{});
  visit("", "note", recipe.note, Allowed{});
  visit("data", "kind", recipe.data.kind, one_of({"mnist", "fashion-mnist", "folder", "coco"}));
  visit("data", "path", recipe.data.path, Allowed{});
  visit("data", "validation", recipe.data.validation, at_least(0));
  visit("data", "samples", recipe.data.samples, at_least(0));
  visit("data", "domains", recipe.data.domains, Allowed{});
  visit("data", "groups", recipe.data.groups, Allowed{});
  visit("data", "size", recipe.data.size, between(1, 8192));
  visit("data", "resize", recipe.data.resize, between(1, 8192));
  visit("data", "crop_scale", recipe.data.crop_scale, between(1e-6, 1));
  visit("data", "crop_ratio", recipe.data.crop_ratio, between(0.01, 100));
  visit("data", "flip", recipe.data.flip, between(0, 1));
  visit("data", "brightness", recipe.data.brightness, at_least(0));
  visit("data", "contrast", recipe.data.contrast, at_least(0));
  visit("data", "saturation", recipe.data.saturation, at_least(0));
  visit("data", "hue", recipe.data.hue, between(0, 0.5));
  visit("data", "erase", recipe.data.erase, between(0, 1));
  visit("data", "on_error", recipe.data.on_error, one_of({"stop", "skip"}));
  visit("data", "workers", recipe.data.workers, between(-1, 256));
  visit("data", "train", recipe.data.train, Allowed{});
  visit("data", "val", recipe.data.val, Allowed{});
  visit("data", "short_side", recipe.data.short_side, between(1, 8192));
  visit("data", "long_side", recipe.data.long_side, between(1, 8192));
  visit("data", "empty", recipe.data.empty, one_of({"drop", "keep"}));
  visit("model", "kind", recipe.model.kind, Allowed{});
  visit("model", "weights", recipe.model.weights, Allowed{});
  visit("model", "zero_init_residual", recipe.model.zero_init_residual, Allowed{});
  visit("detection", "frozen_stages", recipe.detection.frozen_stages, between(0, 4));
  visit("detection", "region_norm", recipe.detection.region_norm, Allowed{});
  visit("detection", "head_norm", recipe.detection.head_norm, Allowed{});
  visit("detection", "anchor_sizes", recipe.detection.anchor_sizes, between(1, 1e5));
  visit("detection", "anchors", recipe.detection.anchors, between(2, 1e5));
  visit("detection", "regions", recipe.detection.regions, between(1, 1e5));
  visit("detection", "proposals_before", recipe.detection.proposals_before, between(1, 1e6));
  visit("detection", "proposals", recipe.detection.proposals, between(1, 1e6));
  visit("detection", "test_proposals_before", recipe.detection.test_proposals_before, between(1, 1e6));
  visit("detection", "test_proposals", recipe.detection.test_proposals, between(1, 1e6));
  visit("detection", "region_size", recipe.detection.region_size, between(2, 64));
  visit("detection", "mask_channels", recipe.detection.mask_channels, between(1, 1e5));
  visit("detection", "score", recipe.detection.score, between(0, 1));
  visit("detection", "suppress", recipe.detection.suppress, between(0, 1));
  visit("detection", "most", recipe.detection.most, between(1, 1e5));
  visit("train", "epochs", recipe.train.epochs, between(1, 1e6));
  visit("train", "batch_size", recipe.train.batch_size, between(1, 1e6));
  visit("train", "optimizer", recipe.train.optimizer, one_of({"sgd"}));
  visit("train", "lr", recipe.train.lr, at_least(0));
  visit("train", "momentum", recipe.train.momentum, between(0, 1));
  visit("train", "nesterov", recipe.train.nesterov, Allowed{});
  visit("train", "weight_decay", recipe.train.weight_decay, at_least(0));
  visit("train", "norm_weight_decay", recipe.train.norm_weight_decay, at_least(0));
  visit("train", "schedule", recipe.train.schedule, one_of({"constant", "multistep", "cosine"}));
  visit("train", "milestones", recipe.train.milestones, at_least(1));
  visit("train", "gamma", recipe.train.gamma, at_least(0));
  visit("train", "final_lr", recipe.train.final_lr, at_least(0));
  visit("train", "warmup_epochs", recipe.train.warmup_epochs, at_least(0));
  visit("train", "accumulate", recipe.train.accumulate, between(1, 1e6));
  visit("train", "sync_statistics", recipe.train.sync_statistics, Allowed{});
  visit("train", "label_smoothing", recipe.train.label_smoothing, between(0, 1));
  visit("train", "clip_norm", recipe.train.clip_norm, at_least(0));
  visit("train", "ema", recipe.train.ema, between(0, 1));
  visit("train", "precision", recipe.train.precision, one_of({"fp32", "bf16"}));
  visit("train", "memory_format", recipe.train.memory_format,
        one_of({"auto", "contiguous", "channels_last"}));
  visit("train", "checkpoint_every", recipe.train.checkpoint_every, at_least(1));
  visit("train", "log_every", recipe.train.log_every, at_least(1));
  visit("train", "give_up", recipe.train.give_up, between(0, 1));
  visit("sampler", "kind", recipe.sampler.kind, Allowed{});
  visit("reference", "size", recipe.reference.size, at_least(1));
  visit("reference", "sampler", recipe.reference.sampler, Allowed{});
  visit("reference", "per_process", recipe.reference.per_process, Allowed{});
  visit("population", "batches", recipe.population.batches, at_least(0));
  visit("population", "reading", recipe.population.reading,
        one_of({"blended_between", "blended_printed", "raw_between", "raw_printed"}));
  visit("run", "seed", recipe.run.seed, at_least(0));
  visit("run", "threads", recipe.run.threads, between(0, 4096));
  visit("run", "processes", recipe.run.processes, between(0, 1 << 20));
  visit("run", "device", recipe.run.device, one_of({"cpu", "cuda"}));
  visit("run", "test", recipe.run.test, Allowed{});
  visit("measure", "every", recipe.measure.every, at_least(0));
  visit("measure", "target", recipe.measure.target, between(0, 100));
  visit("measure", "corruptions", recipe.measure.corruptions, Allowed{});
  visit("measure", "fgsm", recipe.measure.fgsm, between(0, 1));
  visit("measure", "pgd", recipe.measure.pgd, between(0, 1));
  visit("measure", "pgd_steps", recipe.measure.pgd_steps, at_least(1));
  visit("measure", "attacked", recipe.measure.attacked, at_least(1));
  visit("tune", "lr", recipe.tune.lr, at_least(0));
  visit("tune", "seeds", recipe.tune.seeds, between(1, 1000));
  visit("tune", "give_up", recipe.tune.give_up, between(0, 1));
}

}  // namespace refnorm::experiment
