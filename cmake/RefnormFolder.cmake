# One target a folder. Each folder's headers are visible only through its own include root (a folder of links in the
# build tree), so a source file can include the folders its target names, and no others: the dependency arrows of
# docs/architecture.md are enforced by the compiler.
#
#   refnorm_folder(NAME [TORCH types|modules] [SOURCES a.cpp ...] [DEPENDS folder ...] [LINK lib ...] [LINK_PRIVATE lib ...])
function(refnorm_folder name)
  cmake_parse_arguments(ARG "" "TORCH" "SOURCES;DEPENDS;LINK;LINK_PRIVATE" ${ARGN})
  set(target refnorm_${name})
  list(TRANSFORM ARG_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/refnorm/${name}/)
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(refnorm::${name} ALIAS ${target})

  set(view ${PROJECT_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${view}/refnorm)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/refnorm/${name} ${view}/refnorm/${name} SYMBOLIC)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${view}> $<INSTALL_INTERFACE:include>)

  list(TRANSFORM ARG_DEPENDS PREPEND refnorm_)
  target_link_libraries(${target} PUBLIC ${ARG_DEPENDS} ${ARG_LINK} PRIVATE ${ARG_LINK_PRIVATE}
                                         $<BUILD_INTERFACE:refnorm_flags>)
  if(ARG_TORCH)
    refnorm_use_torch_pch(${target} ${ARG_TORCH})
  endif()
  target_compile_features(${target} PUBLIC cxx_std_20)  # its headers need it, wherever they are included
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS ${target} EXPORT refnormTargets)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/refnorm/${name} DESTINATION include/refnorm FILES_MATCHING PATTERN "*.h")
endfunction()

# Two precompiled headers for what includes torch, whose headers cost 8 to 15 s a file otherwise: "types", tensors and
# their operators, and "modules", which has torch::nn::Module, too. What is in one is paid for by every file, since the
# compiler keeps what the header left to instantiate for the end of each: torch/torch.h, 5 s; modules, 3; types, 2.
function(refnorm_use_torch_pch target kind)
  set(carrier refnorm_torch_${kind})
  if(NOT TARGET ${carrier})
    set(headers_types <torch/types.h>)
    set(headers_modules <torch/types.h> <torch/nn/cloneable.h> <torch/nn/pimpl.h>)
    # Leaves a file alone that is the same: a newer one would have everything built again.
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${carrier}.cpp CONTENT "// only carries the precompiled header\n")
    add_library(${carrier} OBJECT ${PROJECT_BINARY_DIR}/${carrier}.cpp)
    target_link_libraries(${carrier} PRIVATE ${TORCH_LIBRARIES} refnorm_flags)
    target_precompile_headers(${carrier} PRIVATE ${headers_${kind}})
  endif()
  target_link_libraries(${target} PUBLIC ${TORCH_LIBRARIES})
  target_precompile_headers(${target} REUSE_FROM ${carrier})
endfunction()
