# Flags that every target of the tree shares. They are not exported: a user's compiler keeps its own.
option(REFNORM_WERROR "Treat warnings as errors" OFF)
set(REFNORM_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

# -fPIC for all, rather than POSITION_INDEPENDENT_CODE: programs would then get -fPIE, and could not share the
# libraries' precompiled header.
add_compile_options(-fPIC)

add_library(refnorm_flags INTERFACE)
target_compile_options(refnorm_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers)
if(REFNORM_WERROR)
  target_compile_options(refnorm_flags INTERFACE -Werror)
endif()
if(REFNORM_SANITIZE)
  add_compile_options(-fsanitize=${REFNORM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${REFNORM_SANITIZE})
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header changes its time stamps with each build; without these settings ccache never hits.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    add_compile_options(-fpch-preprocess)
  endif()
endif()
