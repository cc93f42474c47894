# SPDX-License-Identifier: MIT
# Windows programs built on Linux with mingw-w64 and run under wine. Everything is linked
# statically, so that a test program needs nothing beside it.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
find_program(PORTHOLE_WINE NAMES wine wine64 wine-stable PATHS /usr/lib/wine)
if(PORTHOLE_WINE)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${PORTHOLE_WINE}")
endif()
