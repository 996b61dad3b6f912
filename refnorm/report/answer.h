#pragma once

#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/paired.h>
#include <refnorm/report/result.h>

namespace refnorm::report {

/// The answer to "which normalization?", for each arm and in sentences.
struct Answer {
  std::optional<std::size_t> best;
  std::vector<AgainstBest> to_best;  ///< one an arm; corrected after Holm for `compared` of them
  std::size_t compared = 0;          ///< arms with a seed in common with the best
  /// The first arm whose norm is bn, where there is one beside others.
  std::optional<std::size_t> baseline;
  std::vector<AgainstBaseline> against;  ///< one an arm, or empty without a baseline; corrected as a family
  std::size_t against_compared = 0;      ///< its size

  std::vector<std::string> sentences;  ///< plain text, not escaped
};

Answer answer(const Result& result);

/// Fills in the sentences. Used by answer().
std::vector<std::string> answer_sentences(const Result& result, const Answer& answer);

}  // namespace refnorm::report
