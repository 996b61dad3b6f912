#include <functional>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/models/classifier.h>
#include <refnorm/models/lenet5.h>
#include <refnorm/models/resnet.h>
#include <refnorm/models/vgg16.h>

namespace refnorm::models {
namespace {

struct Entry {
  ModelKind kind;
  std::function<std::shared_ptr<Classifier>(const ModelOptions&)> make;
};

Entry resnet(std::int64_t depth, const std::string& what) {
  return {{fmt::format("resnet{}", depth), what, "He et al. 2016, with the stride in the 3x3 convolutions",
           224, 3, 1000},
          [depth](const ModelOptions& options) { return std::make_shared<ResNetImpl>(depth, options); }};
}

const std::vector<Entry>& registry() {
  static const std::vector<Entry> entries{
      {{"lenet5", "2 convolutions, 3 dense layers, for 28x28 pictures; 61,706 parameters without norms",
        "LeCun et al. 1998, with ReLU and maximum pooling", 28, 1, 10},
       [](const ModelOptions& options) { return std::make_shared<LeNet5Impl>(options); }},
      {{"vgg16", "13 convolutions, 3 dense layers, for 224x224 pictures, or small ones from 28x28",
        "Simonyan & Zisserman 2015, configuration D", 224, 3, 1000},
       [](const ModelOptions& options) { return std::make_shared<VGG16Impl>(options); }},
      resnet(18, "8 residual blocks of 2 convolutions, for 224x224 pictures"),
      resnet(34, "16 residual blocks of 2 convolutions, for 224x224 pictures"),
      resnet(50, "16 residual blocks of 3 convolutions, for 224x224 pictures"),
      resnet(101, "33 residual blocks of 3 convolutions, for 224x224 pictures"),
  };
  return entries;
}

const Entry& entry_of(const std::string& name) {
  std::vector<std::string> names;
  for (const Entry& entry : registry()) {
    if (entry.kind.name == name) return entry;
    names.push_back(entry.kind.name);
  }
  user_error("model: '{}' is not known{}", printable(name), suggestion(name, names));
}

}  // namespace

std::vector<ModelKind> model_kinds() {
  std::vector<ModelKind> kinds;
  for (const Entry& entry : registry()) kinds.push_back(entry.kind);
  return kinds;
}

ModelKind model_kind(const std::string& name) {
  return entry_of(name).kind;
}

std::shared_ptr<Classifier> make_model(const std::string& kind, const ModelOptions& options) {
  const Entry& entry = entry_of(kind);
  ModelOptions complete = options;
  if (complete.side == 0) complete.side = entry.kind.side;
  return entry.make(complete);
}

}  // namespace refnorm::models
