# The package that find_package(refnorm) finds: targets refnorm::base, refnorm::norms and so on, one a folder.
# Headers and libraries are installed by refnorm_folder().
include(CMakePackageConfigHelpers)
set(refnorm_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/refnorm)

install(TARGETS refnorm_onnx EXPORT refnormTargets)
install(EXPORT refnormTargets NAMESPACE refnorm:: DESTINATION ${refnorm_package_folder})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/refnormConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/refnormConfig.cmake
                              INSTALL_DESTINATION ${refnorm_package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/refnormConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/refnormConfig.cmake ${PROJECT_BINARY_DIR}/refnormConfigVersion.cmake
        DESTINATION ${refnorm_package_folder})
