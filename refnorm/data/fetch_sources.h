#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/data/fetch.h>

namespace refnorm::data {

// Shared by what gets data sets: where files come from, and what to do where a source does not have them.

/// Why one source did not do; the next one is tried.
class SourceFailed : public Error {
 public:
  using Error::Error;
};

template <class... Args>
[[noreturn]] void source_failed(fmt::format_string<Args...> format, Args&&... args) {
  throw SourceFailed(fmt::format(format, std::forward<Args>(args)...));
}

/// Gets `files` (of a mirror; other sources come as a whole) from one source after the other, and calls
/// `use` with the folder that they then lie in, until one is there and `use` throws nothing; what is
/// temporary goes away after each. A UserError of `use` is the source's fault. Returns the source's name.
/// Throws Error of one line that names each source and why it failed, with `otherwise` behind it.
std::string use_first_source(const Dataset& dataset, const std::vector<DatasetFile>& files,
                             const FetchOptions& options, const std::string& otherwise,
                             const std::function<void(const std::filesystem::path&)>& use);

/// As use_first_source() returns it.
std::string source_name(const FetchSource& source);

}  // namespace refnorm::data
