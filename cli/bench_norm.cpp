#include <algorithm>
#include <cstdlib>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/run.h>
#include <refnorm/ops/instruction_set.h>

#include "bench.h"
#include "bench_contender.h"
#include "bench_table.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string shapes = "resnet50", isa;
  std::vector<std::string> norms{"bn"}, thens{"relu"}, dtypes{"fp32"}, formats{"contiguous"};
  std::int64_t threads = 0;
  Effort effort;
};

/// The words that were given, or those that "all" stands for, each once.
std::vector<std::string> chosen(const std::vector<std::string>& given, const std::vector<std::string>& all) {
  std::vector<std::string> words;
  for (const std::string& word : given) {
    for (const std::string& one : word == "all" ? all : std::vector<std::string>{word}) {
      if (std::find(words.begin(), words.end(), one) == words.end()) words.push_back(one);
    }
  }
  return words;
}

/// With that behind each norm; shapes that are the same then become one.
std::vector<NormShape> shapes_followed_by(const std::string& then, const std::vector<NormShape>& shapes) {
  std::vector<NormShape> merged;
  for (NormShape shape : shapes) {
    if (then != "as-network") shape.then = then_named(then);
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const NormShape& other) {
      return other.same_sizes(shape) && other.then == shape.then;
    });
    if (same == merged.end()) {
      merged.push_back(shape);
    } else {
      same->count += shape.count;
    }
  }
  return merged;
}

/// A table before it is measured.
struct Plan {
  NormTable table;
  std::vector<NormCase> cases;
};

/// The cases of a table. All layers are made, so that an option that does not fit a shape is found at once.
Plan plan_of(const NormSpec& norm, const std::string& dtype, const std::string& format,
             const std::string& then, const std::vector<NormShape>& shapes) {
  Plan plan{{norm.to_string(), dtype, format, then, {}, {}}, {}};
  for (const NormShape& shape : shapes_followed_by(then, shapes)) {
    NormCase what{norm, shape, dtype == "bf16", format == "channels_last"};
    if (what.dims() == 0) what.channels_last = false;  // [N, C] has no other
    if (make_layer(what) == nullptr) {
      plan.table.notes.push_back(fmt::format("{}: no normalization, left out", what.to_string()));
    } else {
      plan.cases.push_back(what);
    }
  }
  if (plan.cases.empty()) {
    user_error("--norm {}: does not normalize any of these shapes, nothing to measure", norm.to_string());
  }
  if (!operator_of(norm)) {
    plan.table.notes.push_back(
        fmt::format("LibTorch has no operator for {}; its times are batch_norm's", norm.to_string()));
  }
  return plan;
}

std::vector<Plan> plans_of(const Arguments& arguments) {
  const std::vector<NormShape> shapes = read_shapes(arguments.shapes);
  std::vector<NormSpec> norms;
  for (const std::string& norm : chosen(arguments.norms, {})) norms.push_back(NormSpec::parse(norm));
  std::vector<Plan> plans;
  for (const NormSpec& norm : norms) {
    for (const std::string& dtype : chosen(arguments.dtypes, {"fp32", "bf16"})) {
      for (const std::string& format : chosen(arguments.formats, {"contiguous", "channels_last"})) {
        for (const std::string& then : chosen(arguments.thens, {"none", "relu", "add_relu"})) {
          plans.push_back(plan_of(norm, dtype, format, then, shapes));
        }
      }
    }
  }
  return plans;
}

void measure(std::vector<Plan>& plans, const Effort& effort) {
  std::int64_t total = 0;
  for (const Plan& plan : plans) total += static_cast<std::int64_t>(plan.cases.size());
  Progress progress("bench norm", total, "cases");
  std::int64_t done = 0;
  for (Plan& plan : plans) {
    for (const NormCase& what : plan.cases) {
      if (interrupted()) throw experiment::Interrupted("stopped; nothing was kept");
      Measured measured = measure(what, effort);
      plan.table.notes.insert(plan.table.notes.end(), measured.notes.begin(), measured.notes.end());
      plan.table.cases.push_back(std::move(measured));
      progress.update(++done, what.to_string());
    }
  }
}

/// Where and how the times were taken; sets the number of threads.
Json prepare_machine(const Arguments& arguments) {
  if (!arguments.isa.empty()) ops::use_instruction_set(arguments.isa);
  experiment::Recipe recipe;
  const std::int64_t cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  recipe.run.threads = arguments.threads > 0 ? arguments.threads : cores;
  experiment::prepare_process(recipe);
  double load[1] = {};
  const bool has_load = getloadavg(load, 1) == 1;
  const Json described = experiment::machine_description(recipe);
  const std::string onednn = onednn_version();
  return {{"cpu", described.at("cpu")},
          {"cores", described.at("cores")},
          {"threads", described.at("threads_per_run")},
          {"instruction_set", ops::instruction_set()},
          {"load_average", has_load ? Json(load[0]) : Json(nullptr)},
          {"libtorch", described.at("libtorch")},
          {"onednn", onednn.empty() ? Json(nullptr) : Json(onednn)},
          {"refnorm", described.at("refnorm")}};
}

std::string machine_in_words(const Json& machine) {
  const auto words = [&](const char* key, const char* otherwise) {
    return machine.at(key).is_null() ? otherwise : machine.at(key).get<std::string>();
  };
  const std::int64_t cores = machine.at("cores");
  std::string text =
      fmt::format("{}, {} cores, {} threads, instruction set {}; LibTorch {}, oneDNN {}\n", words("cpu", ""),
                  cores, machine.at("threads").get<std::int64_t>(), words("instruction_set", ""),
                  words("libtorch", ""), words("onednn", "not built in"));
  if (machine.at("load_average").is_null()) return text;
  const double load = machine.at("load_average");
  text += fmt::format("load average at start: {:.2f}{}\n", load,
                      load > static_cast<double>(cores) / 2
                          ? "; other work is running, which distorts what several threads do together most"
                          : "");
  return text;
}

Answer bench_norm(const Arguments& arguments) {
  std::vector<Plan> plans = plans_of(arguments);
  const Json machine = prepare_machine(arguments);
  measure(plans, arguments.effort);
  Answer answer;
  answer.json = {{"machine", machine},
                 {"shapes", arguments.shapes},
                 {"rounds", arguments.effort.rounds},
                 {"min_time", arguments.effort.min_time},
                 {"tables", Json::array()}};
  answer.text = machine_in_words(machine);
  for (const Plan& plan : plans) {
    answer.json["tables"].push_back(to_json(plan.table));
    answer.text += "\n" + to_text(plan.table);
  }
  return answer;
}

void add_choice(CLI::App& app, const std::string& name, std::vector<std::string>& chosen_words,
                const std::vector<std::string>& known, const std::string& what) {
  app.add_option(name, chosen_words, what)
      ->check(CLI::IsMember(known))
      ->allow_extra_args(false)
      ->type_name("WORD");
}

}  // namespace

Command bench_norm_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "norm", "Time normalization layers beside LibTorch's operators, oneDNN's and plain copying");
  app->add_option("--shapes", arguments->shapes,
                  fmt::format("{}, or a file with lines of N C H W [COUNT [none|relu|add_relu]] (default: "
                              "resnet50)",
                              join(known_shapes(), ", ")))
      ->type_name("NAME|FILE");
  app->add_option("--norm", arguments->norms, "A norm (refnorm list norms; default: bn)")
      ->allow_extra_args(false)
      ->type_name("SPEC");
  add_choice(*app, "--then", arguments->thens, {"none", "relu", "add_relu", "as-network", "all"},
             "What follows the norm (default: relu); as-network: what the list of shapes says");
  add_choice(*app, "--dtype", arguments->dtypes, {"fp32", "bf16", "all"}, "(default: fp32)");
  add_choice(*app, "--format", arguments->formats, {"contiguous", "channels_last", "all"},
             "Memory format (default: contiguous)");
  app->add_option("--rounds", arguments->effort.rounds, "Rounds, in each of which everybody has a turn (7)")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  app->add_option("--min-time", arguments->effort.min_time, "Seconds of a turn (0.05); one repeat at least")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("SECONDS");
  add_threads(*app, arguments->threads, "Threads to compute with (default: all cores)");
  app->add_option("--isa", arguments->isa, "Instruction set of our kernels (default: the machine's best)")
      ->type_name("NAME");
  app->footer(
      "--norm, --then, --dtype and --format may be given several times; each combination is a table.\n"
      "Results are verified before they are timed: status 1 where one is wrong.");
  return {app, [arguments] {
            catch_interrupts();
            return bench_norm(*arguments);
          }};
}

}  // namespace refnorm::cli
