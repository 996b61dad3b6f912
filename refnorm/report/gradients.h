#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <refnorm/report/result.h>

namespace refnorm::report {

/// One run's gradient norms: by layer, in the order of the network, and by step.
struct GradientTrace {
  std::vector<std::string> layers;
  std::map<std::string, std::map<std::uint64_t, double>> norms;
};

/// From the step lines of a metrics.jsonl; empty where it has none. Malformed ones are a UserError naming
/// `origin` and the line, as with parse_metrics().
GradientTrace parse_gradients(std::string_view text, const std::string& origin);

/// gradients.svg: the gradient's norm against step, a panel for each of at most six layers that all arms
/// have, spread over the network's depth; a line an arm, its mean over seeds. Empty where no run has any.
std::string gradients_svg(const std::filesystem::path& folder, const Result& result);

/// The same of the parts of the loss, of networks that detect objects: curves.svg in the place of accuracies.
/// Empty where no run has any.
std::string losses_svg(const std::filesystem::path& folder, const Result& result);

}  // namespace refnorm::report
