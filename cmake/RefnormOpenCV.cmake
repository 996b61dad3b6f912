# OpenCV's modules as REFNORM_OPENCV_<MODULE> (a library's path), its headers as REFNORM_OPENCV_INCLUDE_DIR. Debian's
# packages of single modules bring no OpenCVConfig.cmake: libopencv-dev does, and hundreds of packages with it. So the
# files themselves are looked for; where there is a package file, it says where.
find_package(OpenCV 4.5 QUIET)
find_path(REFNORM_OPENCV_INCLUDE_DIR opencv2/core.hpp HINTS ${OpenCV_INCLUDE_DIRS} PATH_SUFFIXES opencv4 REQUIRED)
foreach(module core imgproc imgcodecs dnn)
  string(TOUPPER ${module} upper)
  find_library(REFNORM_OPENCV_${upper} opencv_${module} HINTS ${OpenCV_INSTALL_PATH}/lib ${OpenCV_DIR}/../.. REQUIRED)
endforeach()
