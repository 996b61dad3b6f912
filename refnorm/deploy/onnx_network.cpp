#include <algorithm>
#include <cmath>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/dnn/shape_utils.hpp>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/onnx_model.h>
#include <refnorm/deploy/onnx_network.h>

namespace refnorm::deploy {
namespace {

constexpr std::int64_t kMostClasses = 1'000'000;

int say_nothing(int, const char*, const char*, const char*, int, void*) {
  return 0;
}

/// OpenCV writes each exception, and warnings besides, to standard error.
class QuietOpenCv {
 public:
  QuietOpenCv()
      : level_(cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT)),
        handler_(cv::redirectError(say_nothing, nullptr, &data_)) {}
  ~QuietOpenCv() {
    cv::redirectError(handler_, data_);
    cv::utils::logging::setLogLevel(level_);
  }
  QuietOpenCv(const QuietOpenCv&) = delete;
  QuietOpenCv& operator=(const QuietOpenCv&) = delete;

 private:
  void* data_ = nullptr;
  cv::utils::logging::LogLevel level_;
  cv::ErrorCallback handler_;
};

/// The piece of `text` between the two, from `from` on, which moves behind it; empty where there is none.
std::string between(const std::string& text, const std::string& begin, const std::string& end,
                    std::size_t& from) {
  const std::size_t first = text.find(begin, from);
  const std::size_t last = first == std::string::npos ? first : text.find(end, first + begin.size());
  if (last == std::string::npos) return {};
  from = last + end.size();
  return text.substr(first + begin.size(), last - first - begin.size());
}

/// "Node [Conv@ai.onnx]:(onnx_node!conv1) parse error: … error: (-5:Bad argument) why in function 'f'" in our
/// words.
std::string in_our_words(const std::string& text) {
  std::size_t place = 0;
  const std::string kind = between(text, "Node [", "@", place);
  const std::string name = between(text, "(onnx_node!", ")", place);
  const std::size_t reason = text.rfind("error: (");
  const std::size_t begin = reason == std::string::npos ? place : text.find(")", reason) + 1;
  const std::size_t end = std::min(text.find(" in function '", begin), text.size());
  std::string why = one_line(text.substr(begin, end - begin));
  if (why.empty()) why = one_line(text.substr(begin));
  return name.empty() ? why : fmt::format("node '{}', {}: {}", printable(name), printable(kind), why);
}

/// Calls `action`; what OpenCV throws becomes one line.
template <class Action>
void by_opencv(const std::string& origin, Action action) {
  const QuietOpenCv quiet;
  std::string what;
  try {
    action();
    return;
  } catch (const cv::Exception& error) {
    what = in_our_words(error.err);
  } catch (const std::exception& error) {
    what = one_line(error.what());
  }
  user_error("{}: OpenCV's dnn does not run this graph ({}); onnxruntime may", origin, what);
}

}  // namespace

struct OnnxNetwork::Loaded {
  std::string origin;
  OnnxModel model;
  ModelDescription description;
  std::vector<std::string> assumptions;
  cv::dnn::Net net;
  std::int64_t pixels = 0;  ///< values of one sample
  std::int64_t classes = 0;

  void describe();
  void load_net();
  void check_net();
  void check_count(std::int64_t scores) const;
  void run_batch(const float* images, std::int64_t count, std::vector<float>& out);
};

void OnnxNetwork::Loaded::describe() {
  if (has_description(model.metadata)) {
    description = description_from(model.metadata, origin);
    const auto named = static_cast<std::int64_t>(description.classes.size());
    if (named != classes)
      user_error("{}: the graph has scores for {} classes, and refnorm.classes names {}", origin, classes,
                 named);
  } else {
    if (classes > kMostClasses)
      user_error("{}: scores for {} classes, expected at most {}", origin, classes, kMostClasses);
    description.channels = model.input.shape[1];
    description.height = model.input.shape[2];
    description.width = model.input.shape[3];
    description.mean.assign(static_cast<std::size_t>(description.channels), 0);
    description.std.assign(static_cast<std::size_t>(description.channels), 1);
    for (std::int64_t i = 0; i < classes; ++i) description.classes.push_back(std::to_string(i));
    assumptions.push_back(
        fmt::format("{}: does not say how it was trained: assuming {} of values 0 to 1, and classes called "
                    "by their numbers",
                    origin, description.channels == 3 ? "pictures of red, green and blue" : "pictures"));
  }
  description.input = model.input.name;
  description.output = model.output.name;
}

/// Where dnn understands a graph in another way than ONNX does, it is mostly the shapes that tell.
void OnnxNetwork::Loaded::check_net() {
  const cv::dnn::MatShape input{static_cast<int>(model.batch), static_cast<int>(description.channels),
                                static_cast<int>(description.height), static_cast<int>(description.width)};
  std::vector<int> layers;
  std::vector<std::vector<cv::dnn::MatShape>> in;
  std::vector<std::vector<cv::dnn::MatShape>> out;
  by_opencv(origin, [&] { net.getLayersShapes(input, layers, in, out); });
  // By number, as the layers were added; forward() runs up to the last.
  const auto last = std::max_element(layers.begin(), layers.end()) - layers.begin();
  if (layers.empty() || out[static_cast<std::size_t>(last)].empty())
    user_error("{}: OpenCV's dnn finds no layer in it", origin);
  check_count(cv::dnn::total(out[static_cast<std::size_t>(last)][0]));
}

void OnnxNetwork::Loaded::check_count(std::int64_t scores) const {
  if (scores == model.batch * classes) return;
  user_error("{}: OpenCV's dnn makes {} scores, expected {} for {} samples", origin, scores,
             model.batch * classes, model.batch);
}

void OnnxNetwork::Loaded::load_net() {
  by_opencv(origin, [&] {
    net = cv::dnn::readNetFromONNX(model.bytes.data(), model.bytes.size());
    net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
  });
  check_net();
}

void OnnxNetwork::Loaded::run_batch(const float* images, std::int64_t count, std::vector<float>& out) {
  const int sizes[] = {static_cast<int>(model.batch), static_cast<int>(description.channels),
                       static_cast<int>(description.height), static_cast<int>(description.width)};
  cv::Mat scores;
  by_opencv(origin, [&] {
    cv::Mat batch(4, sizes, CV_32F,
                  cv::Scalar(0));  // a graph of a fixed batch gets zeros behind the last sample
    std::copy(images, images + count * pixels, batch.ptr<float>());
    net.setInput(batch, model.input.name);
    scores = net.forward();
  });
  check_count(scores.type() == CV_32F && scores.isContinuous() ? static_cast<std::int64_t>(scores.total())
                                                               : 0);
  out.insert(out.end(), scores.ptr<float>(), scores.ptr<float>() + count * classes);
}

OnnxNetwork::OnnxNetwork(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
OnnxNetwork::OnnxNetwork(OnnxNetwork&&) noexcept = default;
OnnxNetwork& OnnxNetwork::operator=(OnnxNetwork&&) noexcept = default;
OnnxNetwork::~OnnxNetwork() = default;

OnnxNetwork OnnxNetwork::read(const std::filesystem::path& file) {
  return parse(read_file(file), file.string());
}

OnnxNetwork OnnxNetwork::parse(std::string_view bytes, const std::string& origin) {
  auto loaded = std::make_unique<Loaded>();
  loaded->origin = origin;
  loaded->model = parse_onnx(bytes, origin);
  loaded->classes = loaded->model.output.shape.at(1);
  loaded->describe();
  loaded->pixels = loaded->description.channels * loaded->description.height * loaded->description.width;
  loaded->load_net();
  loaded->model.bytes = {};  // the net has its own copy of the weights
  return OnnxNetwork(std::move(loaded));
}

const ModelDescription& OnnxNetwork::description() const {
  return loaded_->description;
}

std::vector<std::string> OnnxNetwork::assumptions() const {
  return loaded_->assumptions;
}

std::vector<float> OnnxNetwork::run(const std::vector<float>& images, std::int64_t count) {
  if (count < 0 || static_cast<std::int64_t>(images.size()) != count * loaded_->pixels)
    fail("{} values were given for {} pictures, expected {} for each", images.size(), count, loaded_->pixels);
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(count * loaded_->classes));
  for (std::int64_t begin = 0; begin < count; begin += loaded_->model.batch) {
    loaded_->run_batch(images.data() + begin * loaded_->pixels, std::min(loaded_->model.batch, count - begin),
                       out);
  }
  return out;
}

std::vector<float> OnnxNetwork::scores(const std::vector<float>& images, std::int64_t count) {
  std::vector<float> scores = run(images, count);
  if (loaded_->model.probabilities) {
    for (float& score : scores) score = std::log(score);
  }
  return scores;
}

void OnnxNetwork::set_threads(std::int64_t threads) {
  cv::setNumThreads(threads == 0 ? -1 : static_cast<int>(threads));
}

}  // namespace refnorm::deploy
