#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/train/settings.h>

namespace refnorm::experiment {

struct DataSettings {
  std::string kind = "mnist";
  std::string path = "data/mnist";
  std::int64_t validation = 5000;
  std::int64_t samples = 0;  ///< of the training set, validation held out; 0: all
  std::vector<std::string> domains;
  std::string groups;  ///< a CSV file; empty: no groups
  /// Of image folders: what is seen of a picture, and what training changes at random.
  std::int64_t size = 224, resize = 256;
  std::vector<double> crop_scale{0.08, 1}, crop_ratio{3.0 / 4, 4.0 / 3};
  double flip = 0.5;
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
  double erase = 0;
  std::string on_error = "stop";
  std::int64_t workers = -1;  ///< threads that make batches ahead; -1: as many as suit the data
  /// Of pictures with objects: which of the annotations, "train2017" for annotations/instances_train2017.json
  /// and the pictures in train2017/; empty: the only ones that begin so.
  std::string train, val;
  std::int64_t short_side = 800, long_side = 1333;
  std::string empty = "drop";  ///< training pictures without objects
};

struct ModelSettings {
  std::string kind = "lenet5";
  std::string weights;  ///< a file that training starts from; empty: drawn at random
  bool zero_init_residual = true;
};

/// Of networks that detect objects.
struct DetectionSettings {
  std::int64_t frozen_stages = 2;
  std::string region_norm;         ///< of conv5 on regions; empty: the arm's
  std::string head_norm = "none";  ///< of the heads
  std::vector<double> anchor_sizes{32, 64, 128, 256, 512};
  std::int64_t anchors = 256, regions = 512;  ///< that a picture is learned from
  std::int64_t proposals_before = 12000, proposals = 2000;
  std::int64_t test_proposals_before = 6000, test_proposals = 1000;
  std::int64_t region_size = 14, mask_channels = 256;
  double score = 0.05, suppress = 0.5;
  std::int64_t most = 100;
};

struct SamplerSettings {
  std::string kind = "iid";
};

struct ReferenceSettings {
  std::int64_t size = 128;
  std::string sampler = "iid";  ///< what draws the reference batch
  bool per_process = false;     ///< each process has a batch of its own
};

struct PopulationSettings {
  std::int64_t batches = 0;  ///< batches of Algorithm 3's pass; 0: an epoch
  std::string reading = "blended_between";
};

struct ArmSettings {
  std::string name;
  std::string norm;
  std::optional<double> lr;            ///< in place of train.lr
  std::optional<std::string> weights;  ///< in place of model.weights
};

struct RunSettings {
  std::int64_t seed = 1;
  std::int64_t threads = 0;    ///< 0: as many as a step is worth
  std::int64_t processes = 0;  ///< that train together; 0: one, or as many as a resumed run had
  std::string device = "cpu";
  bool test = true;  ///< read the test set at the end
};

/// One key of the recipe and the values that a sweep gives it, as TOML writes them.
struct Axis {
  std::string key;
  std::vector<std::string> values;
};

/// A number of steps, or a share of a run's.
struct StepCount {
  std::int64_t steps = 0;
  double percent = 0;  ///< above 0: in place of the number

  /// In a run of so many; at least 1, unless it is 0.
  std::int64_t of(std::int64_t total) const;
};

/// What is measured beside the errors.
struct MeasureSettings {
  StepCount every;    ///< steps between validations; 0: at epochs' ends only
  double target = 0;  ///< percent validation error; 0: none
  std::vector<std::string> corruptions;
  double fgsm = 0, pgd = 0;  ///< largest change of a pixel of 0 … 1; 0: no attack
  std::int64_t pgd_steps = 10;
  std::int64_t attacked = 1000;
};

/// How a sweep chooses each arm's learning rate in each setting.
struct TuneSettings {
  std::vector<double> lr;  ///< those to try; empty: train.lr for all
  std::int64_t seeds = 1;  ///< runs of each
  double give_up = 0.25;   ///< train.give_up of these runs
};

/// A recipe with its defaults filled in. docs/recipes.md describes the keys.
struct Recipe {
  std::string name;
  std::string note;  ///< what a reader of the results must know, such as that the run is shortened
  DataSettings data;
  ModelSettings model;
  DetectionSettings detection;
  train::TrainSettings train;
  SamplerSettings sampler;
  ReferenceSettings reference;
  PopulationSettings population;
  RunSettings run;
  MeasureSettings measure;
  std::vector<ArmSettings> arms;
  std::vector<Axis> axes;  ///< [sweep]; a recipe without one is a single setting
  TuneSettings tune;
  Json paper;  ///< the [paper] table as it stands
};

/// Reads a recipe and checks every key and value. `overrides` are KEY=VALUE as --set takes them: VALUE is
/// TOML, a bare word is a text; "arm.0.norm=gn:16" reaches into the list of arms. Overrides that change a
/// value are added to the note. Throws UserError of one line that names file, key (with the nearest known
/// one) and what was expected.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// The recipe of one setting of a sweep: without axes, and with these values (as TOML) of these keys. Throws
/// UserError for a key or a value that a recipe cannot have.
Recipe with_values(const Recipe& recipe, const std::vector<std::pair<std::string, std::string>>& values);

/// A norm whose numbers of steps are given in percent of a training's, such as "brn:warmup=10%", for one of
/// so many steps.
std::string with_steps(const std::string& norm, std::int64_t steps);

/// The whole recipe as TOML; read_recipe() of it gives the same recipe.
std::string to_toml(const Recipe& recipe);

/// The arm of that name (case does not matter); without a name the only one. Throws UserError that lists the
/// arms.
const ArmSettings& find_arm(const Recipe& recipe, const std::string& name);

/// "RBN fixed" -> "rbn-fixed": the name of an arm's folder.
std::string folder_name(const std::string& arm);

/// The section.key names of a recipe with their defaults, for documentation and tests.
std::vector<std::string> recipe_keys();

}  // namespace refnorm::experiment
