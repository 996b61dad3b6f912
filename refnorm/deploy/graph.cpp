#include <algorithm>

#include <refnorm/deploy/graph.h>

namespace refnorm::deploy {

const char* name_of(Op op) {
  switch (op) {
    case Op::kConv:
      return "Conv";
    case Op::kConvTranspose:
      return "ConvTranspose";
    case Op::kLinear:
      return "Linear";
    case Op::kAffine:
      return "Affine";
    case Op::kNormalize:
      return "Normalize";
    case Op::kRelu:
      return "Relu";
    case Op::kAdd:
      return "Add";
    case Op::kMaxPool:
      return "MaxPool";
    case Op::kAveragePool:
      return "AveragePool";
    case Op::kGlobalAveragePool:
      return "GlobalAveragePool";
    case Op::kFlatten:
      break;
  }
  return "Flatten";
}

bool Window::padded() const {
  return std::any_of(padding.begin(), padding.end(), [](std::int64_t p) { return p != 0; });
}

std::int64_t Graph::readers(const std::string& value) const {
  std::int64_t count = value == output ? 1 : 0;
  for (const Node& node : nodes) count += std::count(node.inputs.begin(), node.inputs.end(), value);
  return count;
}

}  // namespace refnorm::deploy
