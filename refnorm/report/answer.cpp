#include <algorithm>

#include <fmt/format.h>

#include <refnorm/report/answer.h>

namespace refnorm::report {
namespace {

template <class Comparison>
std::size_t with_pairs(const std::vector<Comparison>& arms, std::optional<std::size_t> apart_from) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < arms.size(); ++i) count += i != apart_from && arms[i].pairs > 0 ? 1 : 0;
  return count;
}

}  // namespace

Answer answer(const Result& result) {
  Answer found;
  found.best = best_of(result.arms);
  found.to_best = against_best(result.arms, found.best);
  found.compared = with_pairs(found.to_best, found.best);
  if (result.arms.size() > 1) found.baseline = bn_arm(result.arms);
  if (found.baseline) {
    found.against = against_baseline(result.arms, *found.baseline);
    std::vector<AgainstBaseline*> family;
    for (AgainstBaseline& against : found.against) family.push_back(&against);
    decide(family);
    found.against_compared = with_pairs(found.against, found.baseline);
  }
  found.sentences = answer_sentences(result, found);
  if (const auto error = result.setup.find("test_error"); error != result.setup.end() && error->is_string())
    found.sentences.push_back(fmt::format("The test error is {}, in percent.", error->get<std::string>()));
  return found;
}

}  // namespace refnorm::report
