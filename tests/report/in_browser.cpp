// The pages as a browser sees them. Chromium lays the page out in a frame as wide as a screen or a telephone
// (its own window cannot be that narrow), and a script around the frame writes down what it measures.
#include <string>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/report/report.h>

#include "tests/base/helpers.h"
#include "tests/report/sample_sweep.h"

namespace refnorm::report {
namespace {

using namespace testing;

constexpr const char* kMeasure = R"js(
function measure() {
  var page = document.getElementById("page").contentWindow;
  var all = function (what) { return Array.from(page.document.querySelectorAll(what)); };
  var boxes = all("svg").map(function (picture) {
    var box = picture.getBoundingClientRect();
    return [box.width, box.height];
  });
  var dim = function () { return all(".dim").length; };
  var entry = all(".entry")[0];
  var dimmed = [dim()];
  if (entry) {
    ["mouseenter", "mouseleave", "focus", "blur", "click", "mouseleave", "click"].forEach(function (kind) {
      entry.dispatchEvent(new page.Event(kind));
      dimmed.push(dim());
    });
  }
  var out = document.createElement("pre");
  out.id = "measured";
  out.textContent = JSON.stringify({ width: page.innerWidth, boxes: boxes, dimmed: dimmed,
    content: page.document.scrollingElement.scrollWidth, marks: all("[data-arm]").length });
  document.body.appendChild(out);
}
)js";

std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += c;
    }
  }
  return out;
}

struct Seen {
  Json measured;
  std::string console;  ///< what the browser logged
};

Seen seen_in_browser(const std::string& page, int width) {
  const TemporaryFolder folder;
  write_file(
      folder / "around.html",
      fmt::format("<!DOCTYPE html><html><body style=\"margin:0\"><script>{}</script><iframe id=\"page\" "
                  "onload=\"measure()\" style=\"width:{}px;height:900px;border:0\" srcdoc=\"{}\"></iframe>"
                  "</body></html>",
                  kMeasure, width, quoted(page)));
  const std::filesystem::path log = folder / "log";
  Subprocess browser({REFNORM_CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
                      "--virtual-time-budget=4000", "--window-size=1300,1000", "--enable-logging=stderr",
                      "--v=0", "--user-data-dir=" + (folder / "profile").string(), "--dump-dom",
                      "file://" + (folder / "around.html").string()},
                     log);
  EXPECT_TRUE(browser.wait().ok());
  const std::string text = read_file(log);
  Seen seen;
  for (std::size_t at = text.find(":CONSOLE"); at != std::string::npos; at = text.find(":CONSOLE", at + 1))
    seen.console += text.substr(at, text.find('\n', at) - at) + "\n";
  const std::string mark = "<pre id=\"measured\">";
  const std::size_t start = text.rfind(mark);
  if (start == std::string::npos) {
    ADD_FAILURE() << "nothing was measured: " << text.substr(0, 2000);
    return seen;
  }
  const std::size_t first = start + mark.size();
  seen.measured = parse_json(text.substr(first, text.find("</pre>", first) - first), "measured");
  return seen;
}

void expect_sound(const std::string& page, std::size_t pictures) {
  for (const int width : {1200, 375}) {
    const Seen seen = seen_in_browser(page, width);
    ASSERT_TRUE(seen.measured.is_object());
    EXPECT_EQ(seen.console, "");
    EXPECT_EQ(seen.measured["width"], width);
    EXPECT_LE(seen.measured["content"].get<int>(), width);
    EXPECT_EQ(seen.measured["boxes"].size(), pictures);
    for (const Json& box : seen.measured["boxes"]) {
      EXPECT_GT(box[0].get<double>(), 100) << box;
      EXPECT_GT(box[1].get<double>(), 50) << box;
    }
    // Pointed at, left, with the focus, without; then kept by a click, still after leaving, and let go.
    const Json& dimmed = seen.measured["dimmed"];
    ASSERT_EQ(dimmed.size(), 8U) << dimmed;
    const int others = dimmed[1].get<int>();
    EXPECT_GT(others, 0);
    EXPECT_LT(others, seen.measured["marks"].get<int>());
    EXPECT_EQ(dimmed, (Json{0, others, 0, others, 0, others, others, 0}));
  }
}

TEST(InBrowser, ASweepsPage) {
  const TemporaryFolder folder;
  write_json(folder / "result.json", sample_sweep());
  write_report(folder.path());
  expect_sound(read_file(folder / "report.html"), 2);
}

TEST(InBrowser, AComparisonsPage) {
  const TemporaryFolder folder;
  write_json(folder / "result.json", sample_document({sample_arm("BN", {0.9, 1.0, 1.2}, "bn"),
                                                      sample_arm("RBN", {0.8, 0.95, 1.0}, "rbn")}));
  for (const char* run : {"bn/seed-1", "rbn/seed-1"}) {
    std::filesystem::create_directories(folder / run);
    write_file(folder.path() / run / "metrics.jsonl",
               "{\"kind\":\"step\",\"step\":50,\"train_accuracy_pct\":80}\n"
               "{\"kind\":\"step\",\"step\":100,\"train_accuracy_pct\":90}\n");
  }
  write_report(folder.path());
  expect_sound(read_file(folder / "report.html"), 1);
}

TEST(InBrowser, FaultsWouldBeSeen) {
  const Seen seen = seen_in_browser(
      "<!DOCTYPE html><html><body><div style=\"width:900px\">wide</div><svg width=\"0\"></svg>"
      "<script>nowhere();</script></body></html>",
      375);
  EXPECT_TRUE(contains(seen.console, "nowhere is not defined")) << seen.console;
  EXPECT_GT(seen.measured["content"].get<int>(), 375);
  EXPECT_EQ(seen.measured["boxes"][0][0], 0);
}

}  // namespace
}  // namespace refnorm::report
