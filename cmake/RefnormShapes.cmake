# The lists of bench/shapes/*.txt as a header, so that an installed program has them.
function(refnorm_carry_shapes header)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/shapes/*.txt)
  string(CONCAT text
           "// Made by cmake/RefnormShapes.cmake of bench/shapes/*.txt.\n#pragma once\n\n"
           "namespace refnorm::cli {\n\n"
           "struct CarriedShapes {\n  const char* name;\n  const char* text;\n};\n\n"
           "inline constexpr CarriedShapes kCarriedShapes[] = {\n")
  foreach(file IN LISTS files)
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} content)
    string(APPEND text "{\"${name}\", R\"shapes(${content})shapes\"},\n")
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
  string(APPEND text "};\n\n}  // namespace refnorm::cli\n")
  file(CONFIGURE OUTPUT ${header} CONTENT "${text}" @ONLY)  # leaves a file alone that is the same
endfunction()
