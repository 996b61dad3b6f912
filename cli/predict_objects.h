#pragma once

#include <string>
#include <vector>

#include <refnorm/experiment/trained_run.h>

#include "command.h"

namespace refnorm::cli {

/// What `refnorm predict` is asked of a run that detects objects.
struct ObjectsRequest {
  std::string run;
  std::vector<std::string> images;
  std::vector<std::string> drawn;  ///< files for the pictures with what was found; empty: none
  bool on_truth = false;           ///< draw over the boxes that the annotations have, on white
  double score = 0.5;              ///< what is shown has at least this; results have all
  std::string results;             ///< file in COCO's results format; empty: none
  std::string annotations;         ///< whose image ids the results have; empty: 1, 2, … in order
  std::string statistics;
  experiment::TrainedRequest of;
};

Answer predict_objects(const ObjectsRequest& request);

}  // namespace refnorm::cli
