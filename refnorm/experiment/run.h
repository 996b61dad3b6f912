#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <refnorm/base/error.h>
#include <refnorm/base/json.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/experiment/trained_run.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::experiment {

/// Ctrl-C: the work so far is saved, and the message says how to go on.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// Trains the recipe's one arm into `folder`, evaluates it on the test set and writes result.json, which is
/// returned. A folder that already holds a run is an error unless `resume`: then its last checkpoint is gone
/// on from, a complete run is returned as it is, and a recipe that differs from the folder's is an error.
/// Nothing is created before recipe and data have been checked. Throws Interrupted after Ctrl-C.
///
/// At a place among several, each process calls it alike, and the first one does all of that for them; the
/// others get null. `recipe.run.processes` becomes the place's. Throws train::PeerLost where another one is
/// gone or silent for `patience`.
Json train_run(Recipe recipe, const std::filesystem::path& folder, bool resume,
               const train::Place& place = {},
               std::chrono::seconds patience = std::chrono::seconds(train::kPeerTimeout));

/// How many processes a run is to be trained by: so many as asked for, else as many as the recipe says, or
/// those that the run in `folder` was trained by where it is gone on with.
std::int64_t processes_of(const Recipe& recipe, std::int64_t asked, const std::filesystem::path& folder,
                          bool resume);

/// Throws UserError naming the first line in which the recipe in `config` differs from `wanted`; notes may
/// differ.
void check_same_recipe(const std::filesystem::path& config, const Recipe& wanted);

/// The result.json of a complete run. Throws UserError where it is damaged or something else, such as a
/// comparison's.
Json read_run_result(const std::filesystem::path& file);

struct EvaluationRequest {
  TrainedRequest of;
  std::string statistics;  ///< running | population | batch; empty: all that the norm has
};

/// Test error of a trained run by statistics; population statistics are the stored ones for the last
/// checkpoint, else collected anew.
Json evaluate_run(const std::filesystem::path& folder, const EvaluationRequest& request);

}  // namespace refnorm::experiment
