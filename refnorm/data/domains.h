#pragma once

#include <memory>
#include <string>
#include <vector>

#include <refnorm/data/image_set.h>

namespace refnorm::data {

/// A way in which features shift and labels do not.
struct DomainKind {
  std::string name;  ///< as a recipe has it, such as "blurred"
  std::string what;
};

std::vector<DomainKind> domain_kinds();

/// The set with each sample in one of the domains and its picture changed accordingly; the grouping is that
/// of the domains. A sample's domain and what is drawn for its picture depend only on the list, on `part`
/// ("train", "test") and on its index, and are the same for every seed of a run and at every reading. Throws
/// UserError for an unknown domain, one listed twice, an empty list, and pictures that cannot be turned
/// because they are not square.
std::shared_ptr<const ImageSet> with_domains(std::shared_ptr<const ImageSet> set,
                                             const std::vector<std::string>& domains,
                                             const std::string& part);

}  // namespace refnorm::data
