# SPDX-License-Identifier: Apache-2.0
# What is installed, but for programs and pages, which are installed where they are made.
# Components, which packages are made of: library, development, cli, serve, torture.
#
# What a program needs to be built against Leasehold: libraries, headers, and how CMake and
# pkg-config find them. All of it may be moved as a whole, or lie under a DESTDIR: paths are
# relative to where the files are.
include(CMakePackageConfigHelpers)

# The static library is an export of its own: its users need libmongoc, those of the shared one need
# it for mongo.h alone.
install(TARGETS leasehold EXPORT leasehold-shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
        NAMELINK_COMPONENT development)
install(TARGETS leasehold_static EXPORT leasehold-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY include/leasehold DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

# Whoever uses mongo.h or the static library uses the driver that the library was built with.
if(MONGOC_MODULE_NAME STREQUAL mongoc2)
  set(LEASEHOLD_DRIVER "mongoc2 >= 2.0")
else()
  set(LEASEHOLD_DRIVER "libmongoc-1.0 >= 1.23")
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/leasehold)
foreach(kind shared static)
  install(EXPORT leasehold-${kind} DESTINATION ${package_dir} NAMESPACE leasehold::
          COMPONENT development)
endforeach()
configure_package_config_file(tools/dist/cmake/leasehold-config.cmake.in
                              ${PROJECT_BINARY_DIR}/leasehold-config.cmake
                              INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break what compiles.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/leasehold-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/leasehold-config.cmake
              ${PROJECT_BINARY_DIR}/leasehold-config-version.cmake
        DESTINATION ${package_dir} COMPONENT development)

file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_from_pc ${prefix_from_pc})
configure_file(tools/dist/cmake/leasehold.pc.in ${PROJECT_BINARY_DIR}/leasehold.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/leasehold.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)

# systemd's units. configure_file knows @NAME@ only, and leaves the filters' @groups alone.
set(LEASEHOLD_UNIT_DIR lib/systemd/system
    CACHE STRING "Where systemd's units are installed, from the prefix")
function(install_unit unit component)
  configure_file(tools/dist/systemd/${unit}.in ${PROJECT_BINARY_DIR}/${unit} @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${unit} DESTINATION ${LEASEHOLD_UNIT_DIR}
          COMPONENT ${component})
endfunction()
install_unit(leasehold-cleanup.service cli)
install(FILES tools/dist/systemd/leasehold-cleanup.timer DESTINATION ${LEASEHOLD_UNIT_DIR}
        COMPONENT cli)
if(LEASEHOLD_SERVE)
  install_unit(leasehold.service serve)
endif()

# What a driver of one's own needs to take part: leasehold-schema(5).
file(GLOB vectors CONFIGURE_DEPENDS tests/conformance/*.json)
list(FILTER vectors EXCLUDE REGEX "/package(-lock)?[.]json$") # of its player for node
install(FILES ${vectors} DESTINATION ${CMAKE_INSTALL_DATADIR}/leasehold COMPONENT development)
