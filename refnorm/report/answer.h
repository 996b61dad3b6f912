#pragma once

#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/result.h>
#include <refnorm/report/statistics.h>

namespace refnorm::report {

/// How an arm stands to the one with the lowest mean test error.
enum class Standing {
  kBest,
  kSame,            ///< the interval of the difference holds 0: these seeds cannot tell the two apart
  kWorse,           ///< the interval lies above 0
  kBetterInCommon,  ///< the interval lies below 0: the lower mean is owed to seeds that this arm lost
  kTooFewSeeds,     ///< fewer than two seeds in common: nothing can be told
  kNoSpread,        ///< the difference is the same with every seed, which gives no interval
  kNoResult,        ///< every run diverged or failed
};

struct Comparison {
  Standing standing = Standing::kNoResult;
  PairedDifference difference;  ///< this arm − the best one over the seeds where both count
};

/// The answer to "which normalization?", for each arm and in a sentence.
struct Answer {
  std::string sentence;  ///< plain text, not escaped
  std::optional<std::size_t> best;
  std::vector<Comparison> arms;  ///< as in the result
  std::size_t compared = 0;  ///< arms compared with the best; the intervals are Bonferroni's for that many
  double confidence = 0.95;  ///< of a single interval, so that all together hold with 95 %
};

Answer answer(const Result& result);

}  // namespace refnorm::report
