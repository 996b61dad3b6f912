#include <refnorm/base/rle.h>
#include <refnorm/data/coco_writer.h>

namespace refnorm::data {

CocoWriter::CocoWriter()
    : json_{{"info", {{"description", "stamps of Tux Paint (GPL-2) on drawn backgrounds"}, {"version", "1"}}},
            {"licenses", Json::array({{{"id", 1}, {"name", "GPL-2"}}})},
            {"images", Json::array()},
            {"annotations", Json::array()},
            {"categories", Json::array()}} {}

void CocoWriter::add_category(const std::string& name) {
  Json& all = json_["categories"];
  all.push_back({{"id", all.size() + 1}, {"name", name}, {"supercategory", "stamp"}});
}

void CocoWriter::add_picture(const std::string& file_name, const Scene& scene) {
  Json& pictures = json_["images"];
  Json& objects = json_["annotations"];
  const Rgb& picture = scene.picture();
  pictures.push_back({{"id", pictures.size() + 1},
                      {"file_name", file_name},
                      {"width", picture.width},
                      {"height", picture.height},
                      {"license", 1}});
  for (const SceneObject& object : scene.objects()) {
    objects.push_back({{"id", objects.size() + 1},
                       {"image_id", pictures.size()},
                       {"category_id", object.thing + 1},
                       {"segmentation",
                        {{"size", {picture.height, picture.width}},
                         {"counts", encode_mask(object.mask, picture.height, picture.width).counts}}},
                       {"area", object.area},
                       {"bbox", object.box},
                       {"iscrowd", 0}});
  }
}

}  // namespace refnorm::data
