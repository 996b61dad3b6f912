#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/text.h>
#include <refnorm/data/picture.h>
#include <refnorm/data/picture_label.h>
#include <refnorm/deploy/onnx_network.h>
#include <refnorm/experiment/run_predictor.h>

#include "command.h"
#include "predict_objects.h"
#include "quiet_standard_error.h"

namespace refnorm::cli {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string model;
  std::vector<std::string> images;
  std::int64_t top = 3;
  bool invert = false;
  std::string draw, draw_on;
  double score = 0.5;
  std::string results, annotations;
  std::string statistics;
  experiment::TrainedRequest request;
};

std::unique_ptr<deploy::Predictor> load_predictor(const Arguments& arguments) {
  const fs::path path = arguments.model;
  if (fs::is_directory(path)) {
    return std::make_unique<experiment::RunPredictor>(path, arguments.request, arguments.statistics);
  }
  if (!fs::exists(path)) user_error("{}: there is no such run folder or file", path.string());
  if (path.extension() != ".onnx")
    user_error("{}: expected a run folder, as refnorm train leaves it, or an .onnx file", path.string());
  for (const auto& [option, given] :
       {std::pair("--statistics", arguments.statistics), std::pair("--data", arguments.request.data_path)}) {
    if (!given.empty()) user_error("{}: is for a run folder, and {} is a file", option, path.string());
  }
  if (arguments.request.device == "cuda") user_error("--device cuda: an ONNX file is run on the CPU");
  deploy::OnnxNetwork::set_threads(arguments.request.threads);
  return std::make_unique<deploy::OnnxNetwork>(deploy::OnnxNetwork::read(path));
}

/// Where each picture is drawn: DIR/<name without ending>.png, a second one of that name with "-2" and so on.
/// Throws UserError where that is one of the pictures themselves.
std::vector<fs::path> drawn_files(const fs::path& folder, const std::vector<std::string>& images) {
  std::error_code ignored;
  std::set<fs::path> given;
  for (const std::string& image : images) given.insert(fs::weakly_canonical(image, ignored));
  std::set<std::string> taken;
  std::vector<fs::path> files;
  for (const std::string& image : images) {
    const std::string stem = fs::path(image).stem().string();
    std::string name = stem;
    for (int i = 2; !taken.insert(name).second; ++i) name = fmt::format("{}-{}", stem, i);
    files.push_back(folder / (name + ".png"));
    if (given.contains(fs::weakly_canonical(files.back(), ignored)))
      user_error("--draw {}: would write over the picture {}", folder.string(), files.back().string());
  }
  return files;
}

std::string percent(double probability) {
  return fmt::format("{:.1f} %", 100 * probability);
}

/// One picture's entry of the document, without its name.
Json predict_one(const Arguments& arguments, deploy::Predictor& predictor, const data::Picture& picture) {
  const deploy::ModelDescription& model = predictor.description();
  const auto values =
      data::network_values(arguments.invert ? inverted(picture) : picture, picture_format(model));
  Json classes = Json::array();
  for (const auto& guess :
       deploy::best_guesses(predictor.scores(values, 1), arguments.top, arguments.model)) {
    classes.push_back({{"class", model.classes.at(static_cast<std::size_t>(guess.index))},
                       {"probability", guess.probability}});
  }
  return {{"class", classes.at(0).at("class")},
          {"probability", classes.at(0).at("probability")},
          {"classes", classes}};
}

std::string in_words(const std::string& image, const Json& entry) {
  std::vector<std::string> guesses;
  for (const Json& guess : entry.at("classes")) {
    guesses.push_back(
        fmt::format("{} ({})", guess.at("class").get<std::string>(), percent(guess.at("probability"))));
  }
  return fmt::format("{}: {}\n", image, join(guesses, ", "));
}

/// Without a value where the picture cannot be read, which is then said, and not the end of the others.
std::optional<data::Picture> read_or_complain(const std::string& image, Json& entry) {
  try {
    const QuietStandardError quiet;
    return data::read_picture(image);
  } catch (const UserError& error) {
    entry["error"] = error.what();
  }
  print_error(entry["error"]);
  return std::nullopt;
}

/// Options that say nothing to a network of this kind are errors, rather than ignored.
void reject_options(const CLI::App& app, std::initializer_list<const char*> options,
                    const std::string& what) {
  for (const char* option : options) {
    if (app.count(option) > 0) user_error("{}: is of networks that {}", option, what);
  }
}

Answer predict(const Arguments& arguments, const CLI::App& app) {
  std::vector<fs::path> drawn;
  if (!arguments.draw.empty())
    drawn = drawn_files(arguments.draw, arguments.images);
  else if (!arguments.draw_on.empty())
    user_error("--draw-on: says what --draw draws on, and there is no --draw");
  if (fs::is_directory(arguments.model) && experiment::is_detection_run(arguments.model)) {
    reject_options(app, {"--top", "--invert", "--data"}, "score classes; this run's detects objects");
    const bool on_truth = arguments.draw_on == "truth";
    if (on_truth && arguments.annotations.empty())
      user_error("--draw-on truth: expected --annotations FILE.json, which has the true boxes");
    if (arguments.results.empty() && !on_truth && !arguments.annotations.empty())
      user_error("--annotations: is for --results or --draw-on truth, and there is neither");
    ObjectsRequest request{arguments.model,
                           arguments.images,
                           {},
                           on_truth,
                           arguments.score,
                           arguments.results,
                           arguments.annotations,
                           arguments.statistics,
                           arguments.request};
    for (const fs::path& file : drawn) request.drawn.push_back(file.string());
    return predict_objects(request);
  }
  reject_options(app, {"--score", "--results", "--annotations", "--draw-on"},
                 "detect objects; this one scores classes");
  const auto predictor = load_predictor(arguments);
  for (const std::string& assumed : predictor->assumptions()) fmt::print(stderr, "{}\n", assumed);
  if (!arguments.draw.empty()) make_folder(arguments.draw);
  Answer answer{Json::array(), "", 0};
  std::size_t done = 0;
  for (std::size_t i = 0; i < arguments.images.size(); ++i) {
    const std::string& image = arguments.images[i];
    Json entry{{"image", image}};
    if (const auto picture = read_or_complain(image, entry)) {
      entry.update(predict_one(arguments, *predictor, *picture));
      answer.text += in_words(image, entry);
      if (!drawn.empty()) {
        write_file(drawn[i], data::labelled_png(*picture, entry["class"], percent(entry["probability"])));
        entry["drawn"] = drawn[i].string();
      }
      ++done;
    }
    answer.json.push_back(entry);
  }
  if (done < arguments.images.size()) answer.status = done > 0 ? 1 : 2;
  return answer;
}

}  // namespace

Command predict_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "predict", "Classes of pictures, or objects in them, by a trained run or an ONNX file");
  app->add_option("model", arguments->model, "A run folder, as refnorm train leaves it, or an .onnx file")
      ->required()
      ->type_name("RUN|FILE.onnx");
  app->add_option("images", arguments->images, "Pictures: PNG, JPEG, BMP, PNM, TIFF or WebP")
      ->required()
      ->type_name("IMAGE");
  app->add_option("--top", arguments->top, "So many of the most probable classes (default: 3)")
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  app->add_flag(
      "--invert", arguments->invert,
      "Show the network the negatives, such as dark digits on white paper to one trained on MNIST, whose "
      "digits are light on dark");
  app->add_option(
         "--draw", arguments->draw,
         "Folder for the pictures with their classes written below, or with boxes, masks and names of "
         "what was found in them")
      ->type_name("DIR");
  app->add_option("--draw-on", arguments->draw_on,
                  "Of a network that detects objects: draw on the picture (default), or on the truth: white, "
                  "with the boxes and names of --annotations in grey, for pictures that cannot be shown")
      ->check(CLI::IsMember({"picture", "truth"}))
      ->type_name("picture|truth");
  app->add_option("--score", arguments->score,
                  "Of a network that detects objects: show those with at least this score (default: 0.5)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("S");
  app->add_option("--results", arguments->results,
                  "Of the same: write all that was found to this file, in COCO's results format")
      ->type_name("FILE.json");
  app->add_option(
         "--annotations", arguments->annotations,
         "The annotations whose image ids --results has, by the pictures' file names (default: 1, 2, ... in "
         "the pictures' order), and whose boxes --draw-on truth draws")
      ->type_name("FILE.json");
  app->add_option(
         "--statistics", arguments->statistics,
         "Of a run: running, the moving averages of training; or population, Algorithm 3's (default)")
      ->check(CLI::IsMember({"running", "population"}))
      ->type_name("MODE");
  app->add_option("--checkpoint", arguments->request.checkpoint,
                  "Of a run: last, or best: of the lowest validation error (default: last)")
      ->check(CLI::IsMember({"last", "best"}))
      ->type_name("last|best");
  app->add_option("--data", arguments->request.data_path,
                  "Folder of the run's data set, where statistics have to be collected (default: the run's)")
      ->type_name("DIR");
  add_threads(*app, arguments->request.threads,
              "Threads to compute with (default: the run's; all cores for a file)");
  add_device(*app, arguments->request.device);
  return {app, [arguments, app] { return predict(*arguments, *app); }};
}

}  // namespace refnorm::cli
