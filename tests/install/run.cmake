# cmake -D BUILD=… -D TREE=… … -P run.cmake: see CMakeLists.txt beside this.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT status EQUAL 0)
    string(JOIN " " words ${ARGN})
    message(FATAL_ERROR "${words}: ended with ${status}\n${said}")
  endif()
  set(said "${said}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix} --config "${CONFIG}")

# What is installed stands on its own: no path of this tree, and none of its warnings for its users.
file(GLOB package ${prefix}/${LIBDIR}/cmake/refnorm/*.cmake)
if(NOT package)
  message(FATAL_ERROR "no package under ${prefix}/${LIBDIR}/cmake/refnorm")
endif()
foreach(file ${package})
  file(READ ${file} text)
  string(REPLACE "${WORK}" "" text "${text}")
  foreach(stray "${TREE}" "${BUILD}" refnorm_flags -Werror -Wall)
    string(FIND "${text}" "${stray}" place)
    if(NOT place EQUAL -1)
      message(FATAL_ERROR "${file} mentions ${stray}")
    endif()
  endforeach()
endforeach()

set(flags)
if(SANITIZE)
  set(flags -fsanitize=${SANITIZE})
endif()
# A ";" between the two would part the words of the command.
string(REPLACE ";" "\\;" search "${prefix};${PACKAGES}")
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${WORK}/build -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=${CONFIG} "-DCMAKE_PREFIX_PATH=${search}"
    -DCMAKE_CXX_FLAGS=${flags})
run(${CMAKE_COMMAND} --build ${WORK}/build --config "${CONFIG}")
run(${WORK}/build/app)
if(NOT said MATCHES "OK\n$")
  message(FATAL_ERROR "the program said: ${said}")
endif()
message(STATUS "${said}")

# The installed program runs, too.
run(${prefix}/bin/refnorm --version)
if(NOT said MATCHES "^refnorm [0-9.]+\n$")
  message(FATAL_ERROR "refnorm --version said: ${said}")
endif()
