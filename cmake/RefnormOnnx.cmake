# ONNX's protobuf classes and checker, as Debian's libonnx-dev has them. LibTorch links the same library: a second copy
# of the classes in one program would not start.
find_package(Protobuf REQUIRED)
find_path(ONNX_INCLUDE_DIR onnx/onnx_pb.h REQUIRED)
find_library(ONNX_LIBRARY onnx REQUIRED)
find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
add_library(refnorm_onnx INTERFACE)
target_include_directories(refnorm_onnx SYSTEM INTERFACE ${ONNX_INCLUDE_DIR})
target_compile_definitions(refnorm_onnx INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)
target_link_libraries(refnorm_onnx INTERFACE ${ONNX_LIBRARY} ${ONNX_PROTO_LIBRARY} protobuf::libprotobuf)
