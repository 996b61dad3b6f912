#include <refnorm/norms/norm_layer.h>

namespace refnorm {

void use_statistics(torch::nn::Module& model, Statistics which) {
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) layer->use_statistics(which);
}

}  // namespace refnorm
