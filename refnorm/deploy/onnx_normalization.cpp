#include <numeric>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/onnx_nodes.h>

namespace refnorm::deploy {
namespace {

/// Writes the operators of one norm, under names of their own.
class Normalization {
 public:
  Normalization(OnnxNodes& to, const Node& node) : to_(to), node_(node), x_(node.inputs[0]) {
    channels_ = node.shape.at(0);
    per_channel_.assign(node.shape.size(), 1);
    per_channel_[0] = channels_;
    for (std::size_t i = 1; i <= node.shape.size(); ++i) sample_axes_.push_back(static_cast<std::int64_t>(i));
    spatial_axes_.assign(sample_axes_.begin() + 1, sample_axes_.end());
  }

  void write() {
    const SampleBlend& blend = node_.blend;
    const bool single = blend.channels.size() == 1 && blend.stored_mean.empty() &&
                        blend.mean_weights[0] == 1 && blend.var_weights[0] == 1;
    if (!single) return mixed();
    if (blend.channels[0] == 1 && node_.shape.size() > 1) return instances();
    if (blend.channels[0] == channels_ && node_.shape.size() == 1) return dense_layer();
    groups(channels_ / blend.channels[0]);
  }

 private:
  std::string value(const char* what) const { return fmt::format("{}.{}", node_.name, what); }
  std::string op(const char* type, const char* what, const std::vector<std::string>& inputs) {
    to_.add(type, value(what), inputs, value(what));
    return value(what);
  }
  /// weight or bias as [C], 1 or 0 where the norm has none.
  Weights parameter(const Weights& given, float otherwise) const {
    if (!given.empty()) return given;
    return {{channels_}, std::vector<float>(static_cast<std::size_t>(channels_), otherwise)};
  }
  /// Numbers of [C] along axis 1.
  std::string along_channels(const char* what, Weights values) {
    values.shape = per_channel_;
    return to_.constant(value(what), values);
  }
  std::string number(const char* what, double given) {
    return to_.constant(value(what), Weights{{1}, {static_cast<float>(given)}});
  }
  /// weight · x + bias, the norm's output.
  void finish(const std::string& normalized) {
    const std::string scaled =
        op("Mul", "scaled", {normalized, along_channels("weight", parameter(node_.weight, 1))});
    to_.add("Add", node_.name, {scaled, along_channels("bias", parameter(node_.bias, 0))}, node_.output);
  }

  void instances() {
    auto& made = to_.add("InstanceNormalization", node_.name,
                         {x_, to_.constant(value("weight"), parameter(node_.weight, 1)),
                          to_.constant(value("bias"), parameter(node_.bias, 0))},
                         node_.output);
    set_float(made, "epsilon", node_.blend.eps);
  }

  void dense_layer() {
    auto& made = to_.add("LayerNormalization", node_.name,
                         {x_, to_.constant(value("weight"), parameter(node_.weight, 1)),
                          to_.constant(value("bias"), parameter(node_.bias, 0))},
                         node_.output);
    set_int(made, "axis", 1);
    set_float(made, "epsilon", node_.blend.eps);
  }

  /// A group is an instance of [N, groups, all the rest]; layer norm has one.
  void groups(std::int64_t count) {
    const std::string split = op("Reshape", "split", {x_, to_.constant(value("groups"), {0, count, -1})});
    const Weights one{{count}, std::vector<float>(static_cast<std::size_t>(count), 1)};
    const Weights none{{count}, std::vector<float>(static_cast<std::size_t>(count), 0)};
    auto& made = to_.add("InstanceNormalization", value("instances"),
                         {split, to_.constant(value("ones"), one), to_.constant(value("zeros"), none)},
                         value("instances"));
    set_float(made, "epsilon", node_.blend.eps);
    std::vector<std::int64_t> shape{0};
    shape.insert(shape.end(), node_.shape.begin(), node_.shape.end());
    finish(op("Reshape", "joined", {value("instances"), to_.constant(value("shape"), shape)}));
  }

  struct Source {
    std::string mean, var;
  };
  std::string reduce(const std::string& what, const std::string& x, const std::vector<std::int64_t>& axes) {
    auto& made = to_.add("ReduceMean", what, {x}, what);
    set_ints(made, "axes", axes);
    set_int(made, "keepdims", 1);
    return what;
  }
  Source source(std::size_t k) {
    const std::string name = fmt::format("{}.source{}", node_.name, k + 1);
    const std::int64_t channels = node_.blend.channels[k];
    if (channels != channels_ && channels != 1)
      user_error("layer '{}': a blend of group statistics cannot be exported", node_.name);
    const auto& axes = channels == channels_ ? sample_axes_ : spatial_axes_;
    const std::string mean = axes.empty() ? x_ : reduce(name + ".mean", x_, axes);
    to_.add("Sub", name + ".away", {x_, mean}, name + ".away");
    to_.add("Mul", name + ".square", {name + ".away", name + ".away"}, name + ".square");
    return {mean, axes.empty() ? name + ".square" : reduce(name + ".var", name + ".square", axes)};
  }
  /// sum_k weights[k] · values[k].
  std::string sum(const char* what, const std::vector<std::string>& values,
                  const std::vector<double>& weights) {
    std::string total;
    for (std::size_t k = 0; k < values.size(); ++k) {
      const std::string part = fmt::format("{}.{}{}", node_.name, what, k + 1);
      const std::string weight =
          to_.constant(part + ".weight", Weights{{1}, {static_cast<float>(weights[k])}});
      to_.add("Mul", part, {values[k], weight}, part);
      if (k == 0) {
        total = part;
        continue;
      }
      to_.add("Add", part + ".sum", {total, part}, part + ".sum");
      total = part + ".sum";
    }
    return total;
  }

  /// var + (mean − M)^2: the source's part of the variance of the mixture.
  std::string spread_around(const std::string& centre, std::size_t k, const Source& of) {
    const std::string name = fmt::format("{}.spread{}", node_.name, k + 1);
    to_.add("Sub", name + ".away", {of.mean, centre}, name + ".away");
    to_.add("Mul", name + ".square", {name + ".away", name + ".away"}, name + ".square");
    to_.add("Add", name, {of.var, name + ".square"}, name);
    return name;
  }

  /// Of several sources, the stored one last.
  void mixed() {
    const SampleBlend& blend = node_.blend;
    std::vector<std::string> means;
    std::vector<std::string> vars;
    for (std::size_t k = 0; k < blend.channels.size(); ++k) {
      const Source one = source(k);
      means.push_back(one.mean);
      vars.push_back(one.var);
    }
    if (!blend.stored_mean.empty()) {
      means.push_back(along_channels("stored_mean", blend.stored_mean));
      vars.push_back(along_channels("stored_var", blend.stored_var));
    }
    const std::string centre = sum("mean", means, blend.mean_weights);
    for (std::size_t k = 0; k < vars.size() && blend.mixture; ++k)
      vars[k] = spread_around(centre, k, {means[k], vars[k]});
    const std::string away = op("Sub", "away", {x_, centre});
    const std::string safe =
        op("Add", "var_eps", {sum("var", vars, blend.var_weights), number("eps", blend.eps)});
    finish(op("Div", "normalized", {away, op("Sqrt", "deviation", {safe})}));
  }

  OnnxNodes& to_;
  const Node& node_;
  std::string x_;
  std::int64_t channels_;
  std::vector<std::int64_t> per_channel_, sample_axes_, spatial_axes_;
};

}  // namespace

void add_normalization(OnnxNodes& to, const Node& node) {
  Normalization(to, node).write();
}

}  // namespace refnorm::deploy
